"""Shared by all tests: one local Ray, real spectra, its own tracking store for each test that needs one."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from xpfeh.archive import archive_requests, cache, gaia_archive
from xpfeh.archive.archives import Services
from xpfeh.columns import FEATURES, to_table
from xpfeh.commands.labels import write_apogee
from xpfeh.commands.read_sample import read_sample
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery
from xpfeh.labels.sample import Sample
from xpfeh.provenance import code_version
from xpfeh.releases import RELEASES
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.library import NAME, library_path, read_spectra
from xpfeh.xp import dust
from xpfeh.xp.preprocess import preprocess

from tests.archive.archive_server import ArchiveServer
from tests.genuine import datalink_file

# Ray Tune warns of a change of Ray Train, which is not used here; warnings are errors.
os.environ.setdefault("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")


# No test is timed: on a busy machine any example can take long.
hypothesis.settings.register_profile("xpfeh", deadline=None)
hypothesis.settings.load_profile("xpfeh")

BUCKET = "stars"


def library_stars(start: int, rows: int) -> dict[str, np.ndarray]:
    """Raw columns of real stars of the library."""
    return read_spectra(library_path(NAME), start, start + rows)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=150_000_000, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def spectra() -> dict[str, np.ndarray]:
    """The first 300 real stars of the library."""
    return library_stars(0, 300)


@pytest.fixture(scope="session")
def features_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of 6,000 real stars in three parts, written without Ray."""
    settings = PreprocessSettings()
    folder = tmp_path_factory.mktemp("library") / "features"
    shards = [Shard(name=f"part-{i:05d}", source=NAME, start=6000 * i, rows=2000) for i in range(3)]
    plan = Plan(
        kind="features",
        inputs={NAME: "6,000 stars"},
        settings=settings,
        shards=shards,
        made_by=code_version(),
    )
    dataset = Dataset.begin(folder, plan)
    for shard in shards:
        columns = preprocess(library_stars(shard.start, shard.rows), settings)
        dataset.commit(shard, [Delivery(to_table(columns, FEATURES))])
    return folder


@pytest.fixture(scope="session")
def labels_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "apogee.parquet"
    write_apogee(NAME, path)
    return path


@pytest.fixture(scope="session")
def sample(features_dir: Path, labels_file: Path) -> Sample:
    return read_sample(features_dir, labels_file)


@pytest.fixture(scope="session")
def bundle(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, really trained."""
    from xpfeh.settings import Recipe
    from xpfeh.training.train import train

    folder = tmp_path_factory.mktemp("model") / "bundle"
    train(sample, Recipe(steps=1000, members=2), folder)
    return folder


@pytest.fixture(scope="session")
def hint_bundle(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that takes the spectrum as observed, and E(B-V) as a hint."""
    from xpfeh.settings import Recipe
    from xpfeh.training.train import train

    folder = tmp_path_factory.mktemp("model") / "hint"
    train(sample, Recipe(name="hint", dust="hint", steps=500, members=2), folder)
    return folder


@pytest.fixture
def full_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the full SFD98 map, which is too large to ship: 0.01 mag at the pole to 0.31 in the plane."""

    def made_up(place: SkyCoord) -> np.ndarray:
        return 0.01 + 0.3 * np.cos(place.b.radian)

    monkeypatch.setattr(dust, "_load_full", lambda: made_up)


@pytest.fixture
def mlflow_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh MLflow store; the variable is restored afterwards."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[ArchiveServer]:
    """A server on this machine that speaks Gaia's archive's protocols, with a genuine star."""
    server = ArchiveServer(datalink_file("csv", tmp_path).read_text())
    yield server
    server.close()


@pytest.fixture
def services(archive: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """That server, queried for ten stars at a time, with its own cache."""
    monkeypatch.setattr(gaia_archive, "IDS_PER_REQUEST", 10)
    monkeypatch.setattr(cache, "IDS_PER_REQUEST", 10)
    monkeypatch.setattr(archive_requests, "IDS_PER_REQUEST", 10)
    monkeypatch.setitem(RELEASES, "dr3", replace(RELEASES["dr3"], bulk=f"{archive.url}/bulk"))
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path / "xpfeh"))
    return services_of(archive)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URI of a folder in an empty bucket; to be formatted with the folder's name.

    moto does not take the multipart uploads of pyarrow unless the first bytes may wait.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    for name, value in (("AWS_ACCESS_KEY_ID", "tests"), ("AWS_SECRET_ACCESS_KEY", "tests")):
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1").create_bucket(Bucket=BUCKET)
    yield f"s3://{BUCKET}/{{}}?endpoint_override={host}:{port}&scheme=http&region=us-east-1&allow_delayed_open=true"
    server.stop()


def services_of(*archives: ArchiveServer) -> Services:
    """Services on this machine: ESA's archive, and mirrors; impatient ones."""
    names = [("esa", "ESA's Gaia archive"), ("ari", "ARI Heidelberg"), ("aip", "Gaia@AIP")]
    listed = tuple(each.as_archive(*name) for each, name in zip(archives, names, strict=False))
    tap = f"{archives[0].url}/tap"
    return Services(listed, tap, timeout_s=2.0, answer_s=2.0, attempts=3, pause_s=0.01)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs Ray last: a mistake in the physics shows within a minute. All notebooks but one are slow."""
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.stem != "ten_stars":
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.parent.name in ("dataset", "commands", "cluster", "experiments", "serving"))
