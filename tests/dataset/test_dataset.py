import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import FORMAT, Plan, Shard
from xpfeh.dataset.records import Delivery
from xpfeh.errors import UserError
from xpfeh.sources.coefficients import Reject


def a_plan(**changes: object) -> Plan:
    shards = [Shard(name=f"part-{i:05d}", source="s", start=10 * i, rows=10) for i in range(3)]
    inputs, settings = {"s": "abc"}, {"sun_height_pc": 30}
    values = {"kind": "features", "inputs": inputs, "settings": settings, "shards": shards, "made_by": {}}
    return Plan.model_validate({**values, **changes})


def rows(shard: Shard) -> pa.Table:
    return pa.table({"source_id": pa.array(range(shard.start, shard.start + shard.rows), pa.int64())})


def test_a_resumed_run_makes_only_the_missing_parts(tmp_path: Path) -> None:
    dataset = Dataset.begin(tmp_path, a_plan())
    first = dataset.pending()[0]
    record = dataset.commit(first, [Delivery(rows(first))])
    part = (tmp_path / "part-00000.parquet").read_bytes()
    assert record.fingerprint == f"sha256:{hashlib.sha256(part).hexdigest()}"
    again = Dataset.begin(tmp_path, a_plan())
    assert [shard.name for shard in again.pending()] == ["part-00001", "part-00002"]
    with pytest.raises(UserError, match="2 of 3 parts"):
        Dataset.at(tmp_path).read()
    for shard in again.pending():
        again.commit(shard, [Delivery(rows(shard))])
    assert Dataset.at(tmp_path).read()["source_id"].to_pylist() == list(range(30))
    assert sum(record.rows_written for record in again.records()) == 30


def test_a_part_without_a_record_is_rebuilt_with_the_same_bytes(tmp_path: Path) -> None:
    dataset = Dataset.begin(tmp_path, a_plan())
    shard = dataset.pending()[1]
    dataset.commit(shard, [Delivery(rows(shard))])
    before = (tmp_path / "part-00001.parquet").read_bytes()
    (tmp_path / "_xpfeh" / "done" / "part-00001.json").unlink()
    assert shard in dataset.pending()
    dataset.commit(shard, [Delivery(rows(shard))])
    (tmp_path / "part-00001.parquet").unlink()
    assert shard in dataset.pending(), "a recorded part that was lost is made again"
    dataset.commit(shard, [Delivery(rows(shard))])
    assert (tmp_path / "part-00001.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": {"s": "other"}}, "s has changed"),
        ({"inputs": {}}, "s is gone"),
        ({"settings": {"sun_height_pc": 31}}, "sun_height_pc 30.0 -> 31.0"),
        ({"model": "m"}, "model '' -> 'm'"),
        ({"shards": [Shard(name="part-00000", source="s", rows=30)]}, "the input is divided into other shards"),
        ({"shards": [Shard(name="part-00000", source="t", rows=30)]}, "s is gone, t is new"),
    ],
)
def test_another_plan_in_the_same_folder_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    Dataset.begin(tmp_path, a_plan())
    with pytest.raises(UserError, match=f"holds another run: {message}; choose"):
        Dataset.begin(tmp_path, a_plan(**change))


@pytest.mark.parametrize("before", [{}, {"format": 2}])
def test_a_dataset_of_an_earlier_version_is_refused(tmp_path: Path, before: dict[str, int]) -> None:
    """Its parts would have other columns than new ones, or dereddened spectra mistaken for observed ones."""
    Dataset.begin(tmp_path / "out", a_plan())
    path = tmp_path / "out" / "_xpfeh" / "plan.json"
    earlier = json.loads(path.read_text())
    assert earlier.pop("format") == FORMAT
    path.write_text(json.dumps(earlier | before))
    for use in (lambda: Dataset.at(tmp_path / "out"), lambda: Dataset.begin(tmp_path / "out", a_plan())):
        with pytest.raises(UserError, match=r"of another version of xpfeh.*make them again"):
            use()


def test_lost_or_duplicate_rows_are_never_committed(tmp_path: Path) -> None:
    dataset = Dataset.begin(tmp_path, a_plan())
    shard = dataset.pending()[0]
    with pytest.raises(ValueError, match="9 rows and 0 rejected do not add up to 10"):
        dataset.commit(shard, [Delivery(rows(shard).slice(0, 9))])
    with pytest.raises(ValueError, match="twice"):
        dataset.commit(shard, [Delivery(rows(shard).slice(0, 9)), Delivery(rows(shard).slice(0, 1))])
    assert list(tmp_path.rglob("*.parquet")) == []
    assert len(dataset.pending()) == 3


def test_a_reader_that_fails_midway_leaves_no_part(tmp_path: Path) -> None:
    dataset = Dataset.begin(tmp_path, a_plan())
    shard = dataset.pending()[0]

    def breaks_off() -> Iterator[Delivery]:
        yield Delivery(rows(shard).slice(0, 5))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        dataset.commit(shard, breaks_off())
    assert list(tmp_path.rglob("*.parquet")) == []


def test_rejected_rows_are_kept_with_their_reason(tmp_path: Path) -> None:
    dataset = Dataset.begin(tmp_path, a_plan())
    shard = dataset.pending()[0]
    rejects = [Reject(3, 99, "beyond 1"), Reject(7, None, "no id")]
    record = dataset.commit(shard, [Delivery(rows(shard).slice(0, 8), rejects)])
    assert (record.rows_read, record.rows_written) == (10, 8)
    assert record.rejected == {"beyond 1": 1, "no id": 1}
    kept = (tmp_path / "_xpfeh" / "rejected" / "part-00000.csv").read_text().splitlines()
    assert kept == ["source,row,source_id,reason", "s,3,99,beyond 1", "s,7,,no id"]


def test_every_part_records_its_origin(tmp_path: Path) -> None:
    dataset = Dataset.begin(tmp_path, a_plan())
    shard = dataset.pending()[0]
    dataset.commit(shard, [Delivery(rows(shard))])
    metadata = pq.read_schema(tmp_path / "part-00000.parquet").metadata
    assert json.loads(metadata[b"xpfeh"])["settings"]["sun_height_pc"] == 30


def test_the_reason_of_a_failure_is_kept_until_the_shard_is_made(tmp_path: Path) -> None:
    dataset = Dataset.begin(tmp_path, a_plan())
    shard = dataset.pending()[0]
    assert dataset.fail(shard, UserError("s: broken")).reason == "s: broken"
    try:
        raise OSError("the disk is full\nsecond line")
    except OSError as error:
        dataset.fail(shard, error)
    (failure,) = Dataset.at(tmp_path).failures()
    assert failure.reason == "s: OSError: the disk is full"
    assert "Traceback" in failure.trace
    assert len(dataset.pending()) == 3
    dataset.commit(shard, [Delivery(rows(shard))])
    assert dataset.failures() == []


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not an xpfeh dataset"):
        Dataset.at(tmp_path)
