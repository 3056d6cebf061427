"""Proof of exactly once: it passes for datasets that xpfeh writes, and reports any tampering."""

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from xpfeh.commands.ingest import make_work, plan_features
from xpfeh.dataset import repeated_ids
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.status import status
from xpfeh.dataset.verify import verify
from xpfeh.errors import UserError
from xpfeh.files import digest
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import library
from xpfeh.sources.library import NAME

REPEATED = 375


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return features of the whole library in two parts, made without Ray."""
    out = tmp_path_factory.mktemp("run") / "features"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "_RANGE_STARS", 20_000)
        plan = plan_features([NAME], PreprocessSettings())
    dataset = Dataset.begin(out, plan)
    work = make_work(PreprocessSettings())
    for shard in dataset.pending():
        dataset.commit(shard, work(shard))
    return out


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "features"))


def test_the_librarys_rows_add_up(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_ids, "_IN_MEMORY", 5_000)
    account = verify(dataset)
    assert account.problems == []
    assert (account.requested, account.written, account.rejected) == (39_851 + REPEATED, 39_851, REPEATED)
    assert account.parts == 2


def test_status_counts_finished_parts(copy: Path) -> None:
    whole = status(copy)
    assert (whole.parts, whole.done, whole.failed, whole.seconds_left) == (2, 2, 0, 0)
    assert whole.rejected == {"repeated source_id": REPEATED}
    assert whole.rows_read == whole.rows_written + whole.rejected.total()
    (copy / "_xpfeh" / "done" / "part-00001.json").unlink()
    half = status(copy)
    assert half.done == 1
    assert half.seconds_left == pytest.approx(half.rows_read / half.rate)
    with pytest.raises(UserError, match="not an xpfeh dataset"):
        status(copy / "none")


def test_pauses_do_not_slow_the_rate(copy: Path) -> None:
    other = copy / "_xpfeh" / "done" / "part-00001.json"
    first = Dataset.at(copy).records()[0]
    later = first.model_copy(update={"shard": "part-00001", "finished": first.finished + timedelta(minutes=4)})
    other.write_text(later.model_dump_json())
    assert status(copy).rate == pytest.approx(first.rows_read / first.seconds)
    at_once = first.model_copy(update={"shard": "part-00001"})
    other.write_text(at_once.model_dump_json())
    assert status(copy).rate == pytest.approx(2 * first.rows_read / first.seconds)


def _rewrite(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], None]:
    """Rewrite a part and its record, as a bug might."""

    def tamper(folder: Path) -> None:
        path, record = folder / "part-00001.parquet", folder / "_xpfeh" / "done" / "part-00001.json"
        dataset = Dataset.at(folder)
        _, old = dataset.records()
        table = pq.read_table(path)
        rows = change(pl.DataFrame({"row": np.arange(table.num_rows)}))["row"].to_numpy()
        pq.write_table(table.take(rows), path)
        new = {"rows_written": len(rows), "fingerprint": digest(dataset.fs, str(path)), "bytes": path.stat().st_size}
        record.write_text(old.model_copy(update=new).model_dump_json())

    return tamper


def _corrupt(folder: Path) -> None:
    path = folder / "part-00001.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _double(folder: Path) -> None:
    (folder / "part-00001.parquet").write_bytes((folder / "part-00000.parquet").read_bytes())


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (_corrupt, "part-00001: differs from its recorded bytes"),
        (_rewrite(lambda rows: rows.head(-1)), "rows were requested, 19850 written"),
        (_rewrite(lambda rows: pl.concat([rows.head(-1), rows.head(1)])), "contains other stars than were requested"),
        (lambda folder: (folder / "part-00001.parquet").unlink(), "part-00001: .*part-00001.parquet"),
        (lambda folder: (folder / "_xpfeh" / "done" / "part-00001.json").unlink(), "part-00001: has not been made yet"),
        (lambda folder: (folder / "_xpfeh" / "rejected" / "part-00000.csv").unlink(), "part-00000: 20000 rows and 0"),
        (_double, "part-00001: differs from its recorded bytes"),
    ],
)
def test_every_fault_is_reported(copy: Path, tamper: Callable[[Path], None], message: str) -> None:
    tamper(copy)
    (problem,) = verify(copy).problems
    assert re.search(message, problem), problem


def test_a_star_in_two_parts_is_reported(dataset: Path, tmp_path: Path) -> None:
    """Each part matches its input, but the input has the star twice."""
    plan = plan_features([NAME], PreprocessSettings())
    first = plan.shards[0].model_copy(update={"name": "again"})
    twice = plan.model_copy(update={"shards": [plan.shards[0], first]})
    dataset, work = Dataset.begin(tmp_path / "features", twice), make_work(PreprocessSettings())
    for shard in twice.shards:
        dataset.commit(shard, work(shard))
    (problem,) = verify(tmp_path / "features").problems
    assert "source_ids are in several parts" in problem
