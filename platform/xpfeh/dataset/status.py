"""A dataset's progress, from its records: while it is being made or after the run was killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.records import Record

_RECENT = timedelta(minutes=5)  # long enough for a steady rate, short enough to follow a cluster that grows


@dataclass(frozen=True)
class Status:
    """A dataset's progress.

    Attributes
    ----------
    kind : str
        ``features`` or ``catalog``.
    parts, done, failed : int
        Parts planned, finished, and failed so far.
    rows_read, rows_written : int
    rejected : Counter
        Rejected rows by reason; rows read = rows written + rows rejected.
    rate : float
        Rows read per second over the five minutes before the latest part, excluding pauses.
    latest : datetime or None
        When the latest part was finished (UTC).
    """

    kind: str
    parts: int
    done: int
    failed: int
    rows_read: int
    rows_written: int
    rejected: Counter[str]
    rate: float
    latest: datetime | None

    @property
    def seconds_left(self) -> float | None:
        """Remaining seconds at this rate, if known, assuming the remaining parts are like the others."""
        if not self.rate or not self.done:
            return None
        return self.rows_read / self.done * (self.parts - self.done) / self.rate


def status(uri: str | Path) -> Status:
    """Return the progress of the dataset in a folder.

    Raises
    ------
    UserError
        If the folder has no dataset.
    """
    dataset = Dataset.at(uri)
    records, parts = dataset.records(), len(dataset.plan.shards)
    return Status(
        kind=dataset.plan.kind,
        parts=parts,
        done=parts - len(dataset.without_part(records)),
        failed=len(dataset.failures()),
        rows_read=sum(record.rows_read for record in records),
        rows_written=sum(record.rows_written for record in records),
        rejected=sum((Counter(record.rejected) for record in records), Counter()),
        rate=_rate(records),
        latest=max((record.finished for record in records), default=None),
    )


def _rate(records: Sequence[Record]) -> float:
    if not records:
        return 0.0
    latest = max(record.finished for record in records)
    recent = [record for record in records if latest - record.finished < _RECENT]
    return sum(record.rows_read for record in recent) / max(_busy_seconds(recent), 1e-3)


def _busy_seconds(records: Sequence[Record]) -> float:
    """Return the time during which at least one of the parts was being made."""
    ends = np.array([record.finished.timestamp() for record in records])
    begins = ends - np.array([record.seconds for record in records])
    order = np.argsort(begins)
    begins, reached = begins[order], np.maximum.accumulate(ends[order])
    gaps = np.maximum(begins[1:] - reached[:-1], 0.0)
    return float(reached[-1] - begins[0] - gaps.sum())
