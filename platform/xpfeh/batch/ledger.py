"""The shard ledger: what is planned, what is done, and so what is left.

A dataset is a folder of parts, one Parquet file a shard, beside ``_xpfeh/``: ``plan.json`` (inputs, settings,
model, shards) and ``done/SHARD.json`` (one record a finished shard). A part appears whole or not at all, and is
recorded only after it was read back; a run that is killed loses the shards in hand and nothing else.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel

from xpfeh.errors import UserError
from xpfeh.sources.coefficients import Reject
from xpfeh.storage import PROVENANCE_KEY, exists, filesystem, list_files, read_json, write_whole


class Shard(BaseModel, frozen=True):
    """A piece of input: a file, or `rows` rows of it from `start` on (0: as many as there are)."""

    name: str
    source: str
    release: str = ""
    start: int = 0
    rows: int = 0


class Delivery(NamedTuple):
    """Some rows of a shard: those delivered, and those rejected."""

    table: pa.Table
    rejected: Sequence[Reject] = ()


class Plan(BaseModel, frozen=True):
    """What a run makes of what: it never changes once a folder holds it."""

    kind: str
    inputs: dict[str, str]
    settings: dict[str, Any]
    model: str = ""
    shards: list[Shard]
    made_by: dict[str, str]

    def fingerprint(self) -> str:
        """Return a SHA-256 (hex, 16 digits) of all that decides the output's content."""
        content = self.model_dump_json(exclude={"made_by"})
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def provenance(self) -> dict[str, Any]:
        """Return what each part's metadata tells of its origin."""
        told = self.model_dump(exclude={"shards"})
        return {**told, "parts": len(self.shards), "fingerprint": self.fingerprint()}


class Record(BaseModel, frozen=True):
    """A finished shard."""

    shard: str
    rows_read: int
    rows_written: int
    rejected: dict[str, int]
    sha256: str
    seconds: float


class Ledger:
    """The plan and the records of one output folder."""

    def __init__(self, uri: str | Path, plan: Plan) -> None:
        self.plan = plan
        self._fs, self._folder = filesystem(uri)

    @classmethod
    def open(cls, uri: str | Path, plan: Plan) -> Ledger:
        """Begin `plan` in a new folder, or resume it in the folder that holds it.

        Raises
        ------
        UserError
            If the folder holds another plan; the message names the differences.
        """
        ledger = cls(uri, plan)
        path = f"{ledger._folder}/_xpfeh/plan.json"
        if exists(ledger._fs, path):
            earlier = Plan.model_validate(read_json(ledger._fs, path))
            if earlier.fingerprint() != plan.fingerprint():
                changed = ", ".join(_differences(earlier, plan))
                raise UserError(
                    f"{uri} holds another run ({changed} differ); choose another --out, or delete the folder"
                )
            return cls(uri, earlier)
        write_whole(ledger._fs, path, plan.model_dump_json(indent=1).encode())
        return ledger

    def pending(self) -> list[Shard]:
        """Return the shards that have no record, or whose recorded part is not there any more."""
        done = {Path(path).stem for path in list_files(self._fs, f"{self._folder}/_xpfeh/done", ".json")}
        parts = {Path(path).stem for path in list_files(self._fs, self._folder, ".parquet")}
        return [shard for shard in self.plan.shards if shard.name not in done & parts]

    def records(self) -> list[Record]:
        """Return the records of the finished shards, in the order of their names."""
        paths = list_files(self._fs, f"{self._folder}/_xpfeh/done", ".json")
        return [Record.model_validate(read_json(self._fs, path)) for path in paths]

    def commit(self, shard: Shard, deliveries: Iterable[Delivery]) -> Record:
        """Write a shard's rows as its part, check the part, and only then record it.

        Memory holds one delivery at a time. Rejected rows go to ``_xpfeh/rejected/SHARD.csv``.

        Raises
        ------
        ValueError
            If rows were lost, or a ``source_id`` stands there twice.
        """
        begun = time.perf_counter()
        path = f"{self._folder}/{shard.name}.parquet"
        temporary = f"{self._folder}/_xpfeh/tmp/{shard.name}.{uuid.uuid4().hex}.parquet"
        self._fs.create_dir(f"{self._folder}/_xpfeh/tmp", recursive=True)
        try:
            ids, rejected = self._write_part(temporary, deliveries)
            if shard.rows and len(ids) != shard.rows:
                raise ValueError(f"shard {shard.name}: {len(ids)} rows came of {shard.rows}")
            if np.unique(ids).size != len(ids):
                raise ValueError(f"shard {shard.name}: a source_id stands there twice")
            if pq.read_metadata(temporary, filesystem=self._fs).num_rows != len(ids):
                raise ValueError(f"shard {shard.name}: {temporary} reads back with another number of rows")
            checksum = self._sha256(temporary)
            self._fs.move(temporary, path)
        except BaseException:
            if exists(self._fs, temporary):
                self._fs.delete_file(temporary)
            raise
        if rejected:
            text = io.StringIO()
            csv.writer(text).writerows(
                [("source", "row", "source_id", "reason"), *((shard.source, *r) for r in rejected)]
            )
            write_whole(self._fs, f"{self._folder}/_xpfeh/rejected/{shard.name}.csv", text.getvalue().encode())
        record = Record(
            shard=shard.name,
            rows_read=len(ids) + len(rejected),
            rows_written=len(ids),
            rejected=Counter(r.reason for r in rejected),
            sha256=checksum,
            seconds=round(time.perf_counter() - begun, 3),
        )
        write_whole(
            self._fs, f"{self._folder}/_xpfeh/done/{shard.name}.json", record.model_dump_json(indent=1).encode()
        )
        return record

    def _write_part(self, path: str, deliveries: Iterable[Delivery]) -> tuple[NDArray[np.int64], list[Reject]]:
        metadata = {PROVENANCE_KEY: json.dumps(self.plan.provenance()).encode()}
        writer, ids, rejected = None, [np.empty(0, dtype=np.int64)], list[Reject]()
        try:
            for delivery in deliveries:
                rejected.extend(delivery.rejected)
                table = delivery.table.replace_schema_metadata({**(delivery.table.schema.metadata or {}), **metadata})
                writer = writer or pq.ParquetWriter(path, table.schema, filesystem=self._fs, compression="zstd")
                writer.write_table(table)
                ids.append(table["source_id"].to_numpy())
        finally:
            if writer:
                writer.close()
        if not writer:
            raise ValueError("a shard must deliver at least one table, be it without rows")
        return np.concatenate(ids), rejected

    def _sha256(self, path: str) -> str:
        sha = hashlib.sha256()
        with self._fs.open_input_stream(path) as stream:
            while block := stream.read(1 << 22):
                sha.update(block)
        return sha.hexdigest()


def _differences(one: Plan, other: Plan) -> list[str]:
    return [
        name for name in ("kind", "inputs", "settings", "model", "shards") if getattr(one, name) != getattr(other, name)
    ]
