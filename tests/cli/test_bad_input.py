"""Bad input of every kind, through the command line: one line that names the place, exit code 2, nothing left behind.

A case is a command, what makes its files in an empty working directory, and what the line must say. No case may start
Ray or train: mistakes are found before that.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shlex
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xpfeh.cli.main import main
from xpfeh.commands.catalog import make_work, plan_catalog
from xpfeh.commands.ingest import make_work as make_features
from xpfeh.commands.ingest import plan_features
from xpfeh.dataset.dataset import Dataset
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_runs
from xpfeh.inference.bundle import pack
from xpfeh.settings import PreprocessSettings
from xpfeh.tables.reading import read_table
from xpfeh.training.fit import Member
from xpfeh.xp import correction_tables, dust

from tests.cli.bad_input.case import (
    SECONDS,
    STAR,
    Case,
    Given,
)
from tests.cli.bad_input.datasets import (
    DATASETS,
    PART,
    RECORD,
    flip_a_bit,
    replace_part,
)
from tests.cli.bad_input.labels import COMPILATIONS, LABELS, SOUND
from tests.cli.bad_input.models import MODELS
from tests.cli.bad_input.outputs import OUTPUTS
from tests.cli.bad_input.serving import FETCHING, SERVING
from tests.cli.bad_input.settings import SETTINGS
from tests.cli.bad_input.spectra import COMPANIONS, SPECTRA_FILES
from tests.cli.bad_input.tracking import MLFLOW, REPORTS
from tests.genuine import datalink_file

CASES = {
    **LABELS, **SPECTRA_FILES, **COMPANIONS, **COMPILATIONS, **SETTINGS, **DATASETS, **OUTPUTS, **MODELS, **MLFLOW,
    **REPORTS, **SERVING, **FETCHING,
}  # fmt: skip


@pytest.fixture(scope="module")
def given(
    features_dir: Path, labels_file: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Given]:
    place = tmp_path_factory.mktemp("given")
    catalog = Dataset.begin(place / "catalog", plan_catalog(features_dir, bundle))
    work = make_work(str(features_dir), pack(bundle))
    for shard in catalog.plan.shards:
        catalog.commit(shard, work(shard))
    store = f"sqlite:///{place / 'mlflow' / 'mlflow.db'}"
    (place / "mlflow").mkdir()
    with socket.socket() as nobody, pytest.MonkeyPatch.context() as patch:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: a connection is refused at once
        patch.setenv("MLFLOW_TRACKING_URI", store)
        mlflow_runs.experiment_id()
        port = nobody.getsockname()[1]
        yield Given(features_dir, labels_file, bundle, place / "catalog", datalink_file("csv", place), store, port)


@pytest.fixture
def outside(given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment in which nothing exists and nothing may start."""

    def begun(*arguments: object, **options: object) -> None:
        raise AssertionError("a mistake must be found before Ray starts or a network is trained")

    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("ray.init", begun)
    monkeypatch.setattr("xpfeh.training.fit.Trainer.train", begun)
    for name, value in {
        "MLFLOW_TRACKING_URI": given.mlflow,
        "XPFEH_DATA": str(tmp_path / "data"),
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    dust._load_full.cache_clear()
    correction_tables.correction_tables.cache_clear()
    return here


def listing(here: Path) -> dict[str, str]:
    """Return every file and folder with its contents."""
    return {
        str(path.relative_to(here)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(here.rglob("*"))
    }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_mistake_is_one_line(
    case: Case, given: Given, outside: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    case.make(outside, given)
    before = listing(outside)
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value.format(**vars(given)))
    capfd.readouterr()
    begun = time.monotonic()
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(case.command.format(**vars(given))))
    seconds = time.monotonic() - begun
    lines = capfd.readouterr().err.splitlines()
    assert stopped.value.code == 2, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("xpfeh: ")
    assert re.search(case.message, lines[0])
    assert listing(outside) == before
    assert seconds < SECONDS


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 120


# --- what only looks like a mistake -----------------------------------------------------------------------------------


def succeeds(command: str, given: Given) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(command.format(**vars(given))))
    assert stopped.value.code == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gzip.csv", gzip.compress(SOUND.encode(), mtime=0)),
        ("text.csv.gz", SOUND.encode()),
        ("mark.csv", b"\xef\xbb\xbf" + SOUND.encode()),
        ("labels[1].csv", SOUND.encode()),
        ("windows.tsv", SOUND.replace(",", "\t").replace("\n", "\r\n").encode()),
    ],
)
def test_odd_tables_are_read(outside: Path, name: str, content: bytes) -> None:
    (outside / name).write_bytes(content)
    assert read_table(name).rows() == [(str(STAR), "-1.5")]


@pytest.mark.parametrize("name", ["star[1].csv", "folder[2]/star.csv", "~/star.csv"])
def test_odd_names_are_taken_literally(given: Given, outside: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HOME", str(outside))
    place = Path(name).expanduser()
    place.parent.mkdir(exist_ok=True)
    shutil.copy(given.star, place)
    succeeds(f"spectra '{name}' --out '{name}.parquet'", given)
    assert place.with_name("star[1].csv.parquet" if "[1]" in name else "star.csv.parquet").is_file()


def test_a_run_is_resumed_from_another_working_directory(
    given: Given, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = PreprocessSettings()
    for name in ("here", "there"):
        (outside / name).mkdir()
    shutil.copy(given.star, outside / "here" / "star.csv")
    monkeypatch.chdir(outside / "here")
    begun = Dataset.begin("features", plan_features(["star.csv"], chosen))
    monkeypatch.chdir(outside / "there")
    again = Dataset.begin("../here/features", plan_features(["../here/star.csv"], chosen))
    assert again.plan == begun.plan
    work = make_features(chosen)
    for shard in again.pending():
        again.commit(shard, work(shard))
    catalog = Dataset.begin("catalog", plan_catalog("../here/features", given.bundle))
    monkeypatch.chdir(outside)
    assert Dataset.begin("there/catalog", plan_catalog("here/features", given.bundle)).plan == catalog.plan
    assert Dataset.at("here/features").read(["source_id"]).num_rows == 1


def test_junk_next_to_the_parts_is_not_read_and_verify_names_it(
    given: Given, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(given.catalog, outside / "data")
    shutil.copy(given.catalog / PART, outside / "data" / "mine.parquet")
    (outside / "data" / "part-00009.parquet").write_bytes(b"junk")
    shutil.copy(outside / "data" / RECORD, outside / "data" / "_xpfeh" / "done" / "part-00009.json")
    succeeds("catalog publish data --out release --format parquet", given)
    assert json.loads((outside / "release" / "MANIFEST.json").read_text())["rows"] == 6000
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        main(["verify", "data"])
    printed = capsys.readouterr().out
    assert "mine.parquet: is not part of this dataset" in printed
    assert "part-00009.parquet: is not part of this dataset" in printed


@pytest.mark.parametrize("change", [flip_a_bit(PART), replace_part], ids=["altered", "replaced"])
def test_a_part_changed_within_its_size_is_refused_by_the_workers(
    given: Given, outside: Path, change: Callable[[Path], object]
) -> None:
    """The driver of `catalog run` compares only sizes: hashing all features there would mean reading them twice."""
    shutil.copytree(given.features, outside / "data")
    change(outside / "data")
    catalog = Dataset.begin("catalog", plan_catalog("data", given.bundle))
    work = make_work(str(outside / "data"), pack(given.bundle))
    shard = catalog.plan.shards[1]
    with pytest.raises(UserError, match=f"data/{PART}: .*; delete it and ingest again"):
        catalog.commit(shard, work(shard))
    assert shard in catalog.pending()


def test_training_that_diverges_is_one_line(
    given: Given, outside: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("xpfeh.training.fit.Trainer.train", lambda *arguments: Member([], []))
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--features", str(given.features), "--labels", str(given.labels), "--out", "model"])
    assert capfd.readouterr().err == "xpfeh: training diverged: lower learning_rate, or set clip_norm\n"
    assert listing(outside) == {}
