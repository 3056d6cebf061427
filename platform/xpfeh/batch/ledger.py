"""The shard ledger: what is planned, what is done, and so what is left.

A dataset is a folder of parts, one Parquet file a shard, beside ``_xpfeh/``: ``plan.json`` (inputs, settings,
model, shards) and ``done/SHARD.json`` (one record a finished shard). A part appears whole or not at all, and is
recorded only after it was read back; a run that is killed loses the shards in hand and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from xpfeh.errors import UserError
from xpfeh.storage import PROVENANCE_KEY, exists, filesystem, list_files, read_json, write_whole


class Shard(BaseModel, frozen=True):
    """A piece of input: `rows` rows of `source` from `start` on."""

    name: str
    source: str
    start: int
    rows: int
    rejected: dict[str, int] = {}
    """Rows of the source that are not delivered, by reason; told once, in the source's first shard."""


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
        """Return the shards that have no record."""
        done = {Path(path).stem for path in list_files(self._fs, f"{self._folder}/_xpfeh/done", ".json")}
        return [shard for shard in self.plan.shards if shard.name not in done]

    def records(self) -> list[Record]:
        """Return the records of the finished shards, in the order of their names."""
        paths = list_files(self._fs, f"{self._folder}/_xpfeh/done", ".json")
        return [Record.model_validate(read_json(self._fs, path)) for path in paths]

    def commit(self, shard: Shard, table: pa.Table, seconds: float) -> Record:
        """Write a shard's rows as its part, check the part, and only then record it.

        Raises
        ------
        ValueError
            If rows were lost, or a ``source_id`` stands there twice.
        """
        if table.num_rows != shard.rows:
            raise ValueError(f"shard {shard.name}: {table.num_rows} rows came of {shard.rows}")
        if np.unique(table["source_id"].to_numpy()).size != table.num_rows:
            raise ValueError(f"shard {shard.name}: a source_id stands there twice")
        metadata = {
            **(table.schema.metadata or {}),
            PROVENANCE_KEY: json.dumps(self.plan.provenance()).encode(),
        }
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
        data = sink.getvalue()
        path = f"{self._folder}/{shard.name}.parquet"
        write_whole(self._fs, path, data)
        if pq.read_metadata(path, filesystem=self._fs).num_rows != shard.rows:
            raise ValueError(f"shard {shard.name}: {path} reads back with another number of rows")
        record = Record(
            shard=shard.name,
            rows_read=shard.rows + sum(shard.rejected.values()),
            rows_written=table.num_rows,
            rejected=shard.rejected,
            sha256=hashlib.sha256(data).hexdigest(),
            seconds=round(seconds, 3),
        )
        write_whole(
            self._fs,
            f"{self._folder}/_xpfeh/done/{shard.name}.json",
            record.model_dump_json(indent=1).encode(),
        )
        return record


def _differences(one: Plan, other: Plan) -> list[str]:
    return [
        name for name in ("kind", "inputs", "settings", "model", "shards") if getattr(one, name) != getattr(other, name)
    ]
