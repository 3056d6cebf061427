"""Ray Data on a real local cluster, on a real file of 400 stars in the library's layout."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from xpfeh.columns import CATALOG, FEATURES, to_arrays, to_table
from xpfeh.commands.catalog import make_catalog, make_work, plan_catalog
from xpfeh.commands.ingest import ingest
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery
from xpfeh.errors import UserError
from xpfeh.flags import NO_PREDICTION, Flag
from xpfeh.inference.bundle import pack
from xpfeh.lease import only_one
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import library
from xpfeh.sources.library import NAME, library_path
from xpfeh.xp.preprocess import preprocess

from tests.conftest import library_stars

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def spectra_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "stars.fits"
    table = Table(fits.getdata(library_path(NAME), 1)[:402])
    table["gaiaedr3_source_id"][401] = table["gaiaedr3_source_id"][0]
    table["flux"][7, 100] = np.nan
    table.write(path)
    return path


@pytest.fixture(scope="module")
def features(ray_cluster: None, spectra_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "features"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "_RANGE_STARS", 100)
        ingest([str(spectra_file)], out, PreprocessSettings())
    return out


def test_every_star_becomes_a_row_once(features: Path, spectra_file: Path) -> None:
    table, provenance = Dataset.at(features).read(), Dataset.at(features).plan.provenance()
    expected = np.unique(fits.getdata(spectra_file, 1)["gaiaedr3_source_id"])
    assert sorted(table["source_id"].to_pylist()) == expected.tolist()
    assert provenance["settings"] == PreprocessSettings().model_dump(mode="json")
    assert provenance["parts"] == -(-len(expected) // 100)


def test_requested_is_written_plus_rejected(
    features: Path, spectra_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_RANGE_STARS", 100)
    before = {path: path.stat().st_mtime_ns for path in features.glob("*.parquet")}
    records = ingest([str(spectra_file)], features, PreprocessSettings())
    assert {path: path.stat().st_mtime_ns for path in features.glob("*.parquet")} == before, "made again"
    assert sum(record.rows_read for record in records) == 402
    rejected = sum(n for record in records for n in record.rejected.values())
    assert sum(record.rows_written for record in records) + rejected == 402


def test_other_settings_in_the_same_folder_are_refused(features: Path, spectra_file: Path) -> None:
    with pytest.raises(UserError, match=r"sun_height_pc 0\.0 -> 20\.8"):
        ingest([str(spectra_file)], features, PreprocessSettings(sun_height_pc=20.8))


def test_the_catalog_has_table_2_for_every_star(features: Path, bundle: Path, tmp_path: Path) -> None:
    make_catalog(features, bundle, tmp_path / "catalog")
    table, provenance = Dataset.at(tmp_path / "catalog").read(), Dataset.at(tmp_path / "catalog").plan.provenance()
    inputs = Dataset.at(features).read()
    assert table["source_id"].equals(inputs["source_id"])
    assert table.column_names == CATALOG.names
    columns = to_arrays(table)
    unpredicted = (columns["flags"] & np.uint32(NO_PREDICTION)) > 0
    silent = np.isnan(columns["FEH"])
    assert silent[unpredicted].all()
    beyond = silent & ~unpredicted
    assert beyond.any()
    assert (columns["flags"][beyond] & np.uint32(Flag.FEH_EDGE)).all()
    assert (columns["flags"] & np.uint32(Flag.BAD_SPECTRUM) > 0).sum() == 1
    assert provenance["model"] == columns["model_version"][0]


def test_a_part_without_stars_becomes_one_without_rows(bundle: Path, tmp_path: Path) -> None:
    """As from a file in which every star was rejected."""
    plan = Plan(
        kind="features",
        inputs={"a file": "1"},
        settings=PreprocessSettings(),
        shards=[Shard(name="part-00000", source="a file", start=0, rows=0)],
        made_by=code_version(),
    )
    dataset = Dataset.begin(tmp_path / "features", plan)
    dataset.commit(plan.shards[0], [Delivery(FEATURES.empty_table())])
    assert len(dataset.some(10)) == 0
    (record,) = make_catalog(tmp_path / "features", bundle, tmp_path / "catalog")
    assert (record.rows_read, record.rows_written) == (0, 0)
    assert Dataset.at(tmp_path / "catalog").read().schema.names == CATALOG.names


def test_a_second_run_in_the_same_folder_is_refused(features: Path, bundle: Path, tmp_path: Path) -> None:
    """The first to finish would delete the other's open parts."""
    with only_one(tmp_path / "catalog"), pytest.raises(UserError, match="another process is at work here"):
        make_catalog(features, bundle, tmp_path / "catalog")
    assert len(make_catalog(features, bundle, tmp_path / "catalog")) == 5


def test_workers_need_no_folder_of_the_bundle(features: Path, bundle: Path, tmp_path: Path) -> None:
    """On a cluster of several machines the bundle is fetched to one of them."""
    here = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    plan, files = plan_catalog(features, here), pack(here)
    shutil.rmtree(here)
    work = make_work(str(features), files)
    _, delivery = work(plan.shards[0])  # the first is empty
    assert delivery.table.num_rows == plan.shards[0].rows


@pytest.mark.slow
def test_features_of_other_settings_do_not_become_a_catalog(spectra_file: Path, bundle: Path, tmp_path: Path) -> None:
    ingest([str(spectra_file)], tmp_path / "features", PreprocessSettings(sun_height_pc=20.8))
    with pytest.raises(UserError, match=r"do not fit the model: sun_height_pc is 20\.8"):
        make_catalog(tmp_path / "features", bundle, tmp_path / "catalog")
    assert not (tmp_path / "catalog").exists()


@pytest.mark.slow
def test_features_of_another_dust_map_become_a_catalog_by_a_model_that_takes_it_as_a_hint(
    hint_bundle: Path, bundle: Path, full_map: None, tmp_path: Path
) -> None:
    settings = PreprocessSettings().with_overrides(["dust_map=sfd"])
    shard = Shard(name="part-00000", source=NAME, start=0, rows=50)
    plan = Plan(kind="features", inputs={NAME: "50 stars"}, settings=settings, shards=[shard], made_by=code_version())
    columns = preprocess(library_stars(0, 50), settings)
    Dataset.begin(tmp_path / "features", plan).commit(shard, [Delivery(to_table(columns, FEATURES))])
    make_catalog(tmp_path / "features", hint_bundle, tmp_path / "catalog")
    catalog = Dataset.at(tmp_path / "catalog")
    assert catalog.plan.settings.dust_map == "sfd"
    np.testing.assert_array_equal(to_arrays(catalog.read())["EBV"], columns["ebv"])
    with pytest.raises(UserError, match="dust_map is sfd, the model expects sfd-nside64"):
        make_catalog(tmp_path / "features", bundle, tmp_path / "other")


@pytest.mark.slow
def test_a_killed_ingest_is_finished_by_the_same_command(tmp_path: Path) -> None:
    """SIGKILL while shards are being written; finished parts stay, and the rest has the bytes of a clean run."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    out = tmp_path / "features"
    command = [sys.executable, "-m", "xpfeh", "ingest", NAME, "--out"]
    process = subprocess.Popen(
        [*command, str(out)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("_xpfeh/done/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path.stem for path in out.glob("_xpfeh/done/*.json")}
    assert 0 < len(finished) < 8, "the kill came too early or too late to show anything"
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet") if path.stem in finished}
    subprocess.run([*command, str(out)], env=environment, check=True, capture_output=True)
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    table = Dataset.at(out).read()
    assert len(np.unique(table["source_id"].to_numpy())) == table.num_rows == 39_851
