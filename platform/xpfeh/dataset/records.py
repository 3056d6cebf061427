"""The ledger's entries on shards: a record of each finished one, and the reason why one failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from xpfeh.sources.coefficients import Reject


class Delivery(NamedTuple):
    """Some rows of a shard: those delivered and rejected, the number in companion files, the number of each kind."""

    table: pa.Table
    rejected: Sequence[Reject] = ()
    matched: Mapping[str, int] | None = None
    kinds: Mapping[str, int] | None = None


class Record(BaseModel):
    """A finished shard: what was read, what was written, by which model and code, and when (UTC).

    ``fingerprint`` and ``bytes`` are the part's; ``rejected`` counts rows by reason, ``matched`` the stars that have a
    row in the companion files, by kind of file; ``kinds`` counts a catalog's stars, see `xpfeh.inference.kinds`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: str
    source: str
    source_fingerprint: str
    model: str
    rows_read: int
    rows_written: int
    rejected: dict[str, int]
    matched: dict[str, int]
    kinds: dict[str, int]
    fingerprint: str
    bytes: int
    seconds: float
    finished: datetime
    made_by: dict[str, str]


class Failure(BaseModel):
    """A shard that failed: its input, the reason in one line, and the traceback for developers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: str
    source: str
    reason: str
    trace: str
    when: datetime
