"""Many records, read one by one and from the gathered file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from xpfeh.dataset import record_files
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery
from xpfeh.errors import UserError
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings

PARTS = 210


def commit(dataset: Dataset, shard: Shard) -> None:
    dataset.commit(shard, [Delivery(pa.table({"source_id": np.array([int(shard.name[5:])], np.int64)}))])


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    shards = [Shard(name=f"part-{i:05d}", source="made", rows=1) for i in range(PARTS)]
    plan = Plan(kind="features", inputs={}, settings=PreprocessSettings(), shards=shards, made_by=code_version())
    begun = Dataset.begin(tmp_path / "out", plan)
    for shard in shards[:-5]:
        commit(begun, shard)
    return begun


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the small files that were read one by one."""
    names: list[str] = []
    real = record_files.read_bytes

    def noting(fs: object, path: str) -> bytes:
        names.append(Path(path).stem)
        return real(fs, path)

    monkeypatch.setattr(record_files, "read_bytes", noting)
    return names


def test_gathered_records_equal_those_read_one_by_one(dataset: Dataset, read: list[str]) -> None:
    records = dataset.records()
    assert len(records) == len(read) == PARTS - 5
    dataset.gather_records()
    read.clear()
    commit(dataset, dataset.plan.shards[-5])
    assert dataset.records()[:-1] == records
    assert read == [f"part-{PARTS - 5:05d}"]


def test_changed_records_are_reread(dataset: Dataset, read: list[str]) -> None:
    dataset.gather_records()
    done = Path(str(dataset.uri), "_xpfeh", "done")
    (done / "part-00007.json").unlink()
    (done / "part-00009.json").write_text("{}")
    read.clear()
    with pytest.raises(UserError, match=r"part-00009\.json: not a record"):
        dataset.records()
    (done / "part-00009.json").unlink()
    assert read == ["part-00009"]
    assert [shard.name for shard in dataset.pending()][:2] == ["part-00007", "part-00009"]


def test_a_damaged_gathered_file_costs_only_time(dataset: Dataset, read: list[str]) -> None:
    dataset.gather_records()
    expected = dataset.records()
    Path(str(dataset.uri), "_xpfeh", "records.parquet").write_bytes(b"PAR1 cut off")
    read.clear()
    assert dataset.records() == expected
    assert len(read) == PARTS - 5


def test_a_few_records_are_not_gathered(dataset: Dataset) -> None:
    dataset.gather_records()
    path = Path(str(dataset.uri), "_xpfeh", "records.parquet")
    before = path.stat().st_mtime_ns
    for shard in dataset.pending():
        commit(dataset, shard)
    dataset.gather_records()
    assert path.stat().st_mtime_ns == before
