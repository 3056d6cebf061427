"""Proof of exactly once: rows requested = rows delivered + rows rejected, star by star."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Shard
from xpfeh.dataset.records import Record
from xpfeh.dataset.repeated_ids import RepeatedIds
from xpfeh.errors import UserError
from xpfeh.files import digest, exists, first_line, read_bytes
from xpfeh.sources import reader

_EXAMPLES = 3  # repeated identifiers that are named
_AT_ONCE = 4  # shards: some are downloaded from a bucket while others are compared

Requested = Callable[[Shard], Iterator[pa.Array]]
"""Yields the identifiers of a shard's input."""


@dataclass
class Account:
    """The result of `verify`.

    Attributes
    ----------
    kind : str
    requested, written, rejected : int
        Rows of the input, rows of the parts, rows rejected with a reason.
    parts : int
        Parts that were read and compared with their recorded fingerprint.
    problems : list of str
        Problems found, one line each; empty if there are none.
    """

    kind: str
    requested: int = 0
    written: int = 0
    rejected: int = 0
    parts: int = 0
    problems: list[str] = field(default_factory=list)


def verify(uri: str | Path) -> Account:
    """Read the identifiers of input and output and compare them, shard by shard and overall.

    Every part must have the recorded bytes; its stars and the rejected ones must be those of its input, each as often
    as there; no star may be in two parts, and no other Parquet file may be in the folder. Memory holds the identifiers
    of four shards, or four million; the others are in a temporary folder (8 bytes per star).

    Raises
    ------
    UserError
        If the folder has no dataset, or a catalog's features are gone.
    """
    dataset = Dataset.at(uri)
    requested = _read_requested(dataset)
    records = {record.shard: record for record in dataset.records()}
    account = Account(dataset.plan.kind)
    account.problems += [f"{name}: is not part of this dataset; move it elsewhere" for name in dataset.other_files()]
    shards = dataset.plan.shards

    def check(shard: Shard) -> _ShardCheck:
        return _check_shard(dataset, shard, records.get(shard.name), requested)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_AT_ONCE) as threads:
        written = RepeatedIds(Path(folder) / "source_id.int64")
        for start in track(range(0, len(shards), _AT_ONCE), description="verify"):
            for each in threads.map(check, shards[start : start + _AT_ONCE]):
                account.requested += each.requested
                account.written += each.written
                account.rejected += each.rejected
                if each.problem:
                    account.problems.append(each.problem)
                else:
                    account.parts += 1
                    written.add(each.ids)
        repeated = written.find()
    if repeated.size:
        examples = ", ".join(map(str, repeated[:_EXAMPLES])) + ", ..." * (repeated.size > _EXAMPLES)
        ids = "1 source_id is" if repeated.size == 1 else f"{repeated.size} source_ids are"
        account.problems.append(f"{ids} in several parts: {examples}")
    return account


@dataclass
class _ShardCheck:
    """The result for one shard; it has identifiers only if nothing is wrong."""

    requested: int = 0
    written: int = 0
    rejected: int = 0
    problem: str = ""
    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


def _check_shard(dataset: Dataset, shard: Shard, record: Record | None, requested: Requested) -> _ShardCheck:
    found = _ShardCheck()
    try:
        wanted = pa.chunked_array(requested(shard), pa.int64())
        found.requested = len(wanted)
        if record is None:
            raise UserError("has not been made yet")
        path = dataset.part(shard.name)
        written = pq.read_table(path, filesystem=dataset.fs, columns=["source_id"])["source_id"].to_numpy()
        rejected = _read_rejected(dataset, shard)
        found.written, found.rejected = len(written), len(rejected)
        if digest(dataset.fs, path) != record.fingerprint:
            raise UserError("differs from its recorded bytes")
        if (len(written), len(rejected)) != (record.rows_written, sum(record.rejected.values())):
            raise UserError(f"{len(written)} rows and {len(rejected)} rejected do not match the record")
        if len(wanted) != len(written) + len(rejected):
            raise UserError(f"{len(wanted)} rows were requested, {len(written)} written and {len(rejected)} rejected")
        delivered = np.concatenate([written, np.array([i for i in rejected if i is not None], dtype=np.int64)])
        if not np.array_equal(np.sort(delivered), np.sort(wanted.drop_null().to_numpy())):
            raise UserError("contains other stars than were requested")
        found.ids = written
    except (UserError, OSError, pa.ArrowInvalid) as error:
        found.problem = f"{shard.name}: {first_line(error)}"
    return found


def _read_requested(dataset: Dataset) -> Requested:
    """Return a function that yields the identifiers of a shard's input: spectra, or a part of the features."""
    if dataset.plan.kind == "features":
        return lambda shard: reader.open_spectra(shard.source).source_ids(shard.start, shard.rows)
    (uri,) = dataset.plan.inputs  # a catalog has one input: its features
    features = Dataset.at(uri)

    def of_part(shard: Shard) -> Iterator[pa.Array]:
        path = features.part(shard.source)
        yield from pq.read_table(path, filesystem=features.fs, columns=["source_id"])["source_id"].chunks

    return of_part


def _read_rejected(dataset: Dataset, shard: Shard) -> list[int | None]:
    path = dataset.rejects(shard.name)
    if not exists(dataset.fs, path):
        return []
    rows = csv.DictReader(io.StringIO(read_bytes(dataset.fs, path).decode()))
    return [int(row["source_id"]) if row["source_id"] else None for row in rows]
