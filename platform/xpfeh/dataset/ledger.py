"""The shard ledger: what is planned, what is done, what failed, and so what is left.

A dataset is a folder of parts, one Parquet file a shard, beside ``_xpfeh/``: ``plan.json`` (inputs, settings,
model, shards), ``done/SHARD.json`` (a record of each finished shard), ``failed/SHARD.json`` (why one is not) and
``rejected/SHARD.csv`` (rows that were not delivered). A part is written to ``_xpfeh/tmp``, checked, moved to its name,
and only then recorded; a run that is killed loses the shards in hand and nothing else.

Object stores have no rename: there a move is a copy on the server followed by a delete, and the copy shows only once
it is whole. So a part appears whole or not at all there too, and two workers that make the same shard write the same
bytes to the same name.
"""

from __future__ import annotations

import csv
import io
import json
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel

from xpfeh.dataset.plan import Plan, Shard
from xpfeh.errors import UserError
from xpfeh.files import PROVENANCE_KEY, digest, exists, filesystem, list_files, read_json, write_whole
from xpfeh.sources.coefficients import Reject

_ROW_GROUP = 16_384


class Delivery(NamedTuple):
    """Some rows of a shard: those delivered, and those rejected."""

    table: pa.Table
    rejected: Sequence[Reject] = ()


class Record(BaseModel, frozen=True):
    """A finished shard: what was read, what was written, by which model and settings, and when (UTC)."""

    shard: str
    source: str
    source_fingerprint: str
    settings: str
    model: str
    rows_read: int
    rows_written: int
    rejected: dict[str, int]
    fingerprint: str
    seconds: float
    finished: datetime


class Failure(BaseModel, frozen=True):
    """A shard that could not be made: its input, one line, and the trace for whoever mends the code."""

    shard: str
    source: str
    reason: str
    trace: str
    when: datetime


class Ledger:
    """The plan and the records of one output folder."""

    def __init__(self, uri: str | Path, plan: Plan) -> None:
        self.plan = plan
        self.fs, self.folder = filesystem(uri)

    @classmethod
    def open(cls, uri: str | Path, plan: Plan) -> Ledger:
        """Begin `plan` in a new folder, or resume it in the folder that holds it.

        Raises
        ------
        UserError
            If the folder holds another plan; the message tells the differences.
        """
        ledger = cls(uri, plan)
        if not exists(ledger.fs, ledger._path("plan.json")):
            write_whole(ledger.fs, ledger._path("plan.json"), plan.model_dump_json(indent=1).encode())
            return ledger
        begun = cls.at(uri)
        if begun.plan.fingerprint() != plan.fingerprint():
            told = begun.plan.differences(plan)
            raise UserError(f"{uri} holds another run: {told}; choose another --out, or delete the folder")
        return begun

    @classmethod
    def at(cls, uri: str | Path) -> Ledger:
        """Return the ledger of a folder, begun or finished.

        Raises
        ------
        UserError
            If the folder holds none.
        """
        fs, folder = filesystem(uri)
        path = f"{folder}/_xpfeh/plan.json"
        if not exists(fs, path):
            raise UserError(f"{uri}: no run of xpfeh here (no _xpfeh/plan.json)")
        return cls(uri, Plan.model_validate(read_json(fs, path)))

    def pending(self) -> list[Shard]:
        """Return the shards that have no record, or whose recorded part is not there any more."""
        done = {Path(path).stem for path in list_files(self.fs, self._path("done"), ".json")}
        parts = {Path(path).stem for path in list_files(self.fs, self.folder, ".parquet")}
        return [shard for shard in self.plan.shards if shard.name not in done & parts]

    def records(self) -> list[Record]:
        """Return the records of the finished shards, in the order of their names."""
        return [Record.model_validate(read_json(self.fs, p)) for p in list_files(self.fs, self._path("done"), ".json")]

    def failures(self) -> list[Failure]:
        """Return the shards that could not be made so far, in the order of their names."""
        paths = list_files(self.fs, self._path("failed"), ".json")
        return [Failure.model_validate(read_json(self.fs, path)) for path in paths]

    def part(self, shard: Shard) -> str:
        """Return the path of a shard's part."""
        return f"{self.folder}/{shard.name}.parquet"

    def rejects(self, shard: Shard) -> str:
        """Return the path of the table of a shard's rejected rows; it is there if there are any."""
        return self._path(f"rejected/{shard.name}.csv")

    def commit(self, shard: Shard, deliveries: Iterable[Delivery]) -> Record:
        """Write a shard's rows as its part, check the part, and only then record it.

        Memory holds one delivery, or a row group, at a time. Rejected rows go to ``_xpfeh/rejected/SHARD.csv``.

        Raises
        ------
        ValueError
            If rows were lost, or a ``source_id`` stands there twice.
        """
        begun = time.perf_counter()
        temporary = self._path(f"tmp/{shard.name}.{uuid.uuid4().hex}.parquet")
        self.fs.create_dir(self._path("tmp"), recursive=True)
        try:
            ids, rejected = self._write_part(temporary, deliveries)
            if shard.rows and len(ids) + len(rejected) != shard.rows:
                raise ValueError(f"{len(ids)} rows and {len(rejected)} rejected came of {shard.rows}")
            if np.unique(ids).size != len(ids):
                raise ValueError("a source_id stands there twice")
            written = pq.read_table(temporary, filesystem=self.fs, columns=["source_id"])["source_id"].to_numpy()
            if not np.array_equal(written, ids):
                raise ValueError(f"{temporary} reads back with other rows")
            fingerprint = digest(self.fs, temporary)
            self.fs.move(temporary, self.part(shard))
        except BaseException:
            if exists(self.fs, temporary):
                self.fs.delete_file(temporary)
            raise
        if rejected:
            text = io.StringIO()
            csv.writer(text).writerows(
                [("source", "row", "source_id", "reason"), *((shard.source, *r) for r in rejected)]
            )
            write_whole(self.fs, self.rejects(shard), text.getvalue().encode())
        record = Record(
            shard=shard.name,
            source=shard.source,
            source_fingerprint=shard.fingerprint,
            settings=self.plan.settings_fingerprint(),
            model=self.plan.model,
            rows_read=len(ids) + len(rejected),
            rows_written=len(ids),
            rejected=Counter(r.reason for r in rejected),
            fingerprint=fingerprint,
            seconds=round(time.perf_counter() - begun, 3),
            finished=datetime.now(UTC),
        )
        write_whole(self.fs, self._path(f"done/{shard.name}.json"), record.model_dump_json(indent=1).encode())
        if exists(self.fs, self._path(f"failed/{shard.name}.json")):
            self.fs.delete_file(self._path(f"failed/{shard.name}.json"))
        return record

    def fail(self, shard: Shard, error: Exception) -> Failure:
        """Record why a shard could not be made, if there is room for that; the next run tries it again."""
        line = (str(error).splitlines() or [""])[0]
        failure = Failure(
            shard=shard.name,
            source=shard.source,
            reason=line if isinstance(error, UserError) else f"{shard.source}: {type(error).__name__}: {line}",
            trace="".join(traceback.format_exception(error)),
            when=datetime.now(UTC),
        )
        with suppress(OSError):
            write_whole(self.fs, self._path(f"failed/{shard.name}.json"), failure.model_dump_json(indent=1).encode())
        return failure

    def clear(self) -> None:
        """Delete what killed workers left half-written; for when no shard is in hand."""
        if self.fs.get_file_info(self._path("tmp")).type == pafs.FileType.Directory:
            self.fs.delete_dir(self._path("tmp"))

    def _path(self, inside: str) -> str:
        return f"{self.folder}/_xpfeh/{inside}"

    def _write_part(self, path: str, deliveries: Iterable[Delivery]) -> tuple[NDArray[np.int64], list[Reject]]:
        metadata = {PROVENANCE_KEY: json.dumps(self.plan.provenance()).encode()}
        ids, rejected = [np.empty(0, dtype=np.int64)], list[Reject]()

        def tables() -> Iterator[pa.Table]:
            for delivery in deliveries:
                rejected.extend(delivery.rejected)
                ids.append(delivery.table["source_id"].to_numpy())
                yield delivery.table

        groups = _row_groups(tables())
        first = next(groups, None)
        if first is None:
            raise ValueError("a shard must deliver at least one table, be it without rows")
        schema = first.schema.with_metadata({**(first.schema.metadata or {}), **metadata})
        # A dictionary of numbers that hardly repeat costs two thirds of the time and a quarter of the space.
        strings = [field.name for field in schema if pa.types.is_string(field.type)]
        with pq.ParquetWriter(path, schema, filesystem=self.fs, compression="lz4", use_dictionary=strings) as writer:
            for table in chain([first], groups):
                writer.write_table(table.replace_schema_metadata(schema.metadata))
        return np.concatenate(ids), rejected


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Gather tables to such as are worth a row group; at least one, be it without rows."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= _ROW_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
