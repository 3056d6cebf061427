"""What a running plan says to Prometheus: Ray exports it from every node, ``docs/cluster.md`` says where."""

from __future__ import annotations

from ray.util.metrics import Counter, Histogram

from xpfeh.dataset.records import Record

_SECONDS = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]


class Meters:
    """The counters of one worker; a kind is ``features`` or ``catalog``."""

    def __init__(self, kind: str) -> None:
        self._stars = Counter("xpfeh_stars", "Stars written to parts", ("kind",))
        self._rejected = Counter("xpfeh_rejected", "Stars rejected, by reason", ("kind", "reason"))
        self._parts = Counter("xpfeh_parts", "Parts that were tried, by outcome", ("kind", "outcome"))
        self._seconds = Histogram("xpfeh_part_seconds", "How long a part took", _SECONDS, ("kind",))
        for meter in (self._stars, self._rejected, self._parts, self._seconds):
            meter.set_default_tags({"kind": kind})

    def done(self, record: Record) -> None:
        """Count a finished part."""
        self._stars.inc(record.rows_written)
        for reason, rows in record.rejected.items():
            self._rejected.inc(rows, {"reason": reason})
        self._parts.inc(1, {"outcome": "done"})
        self._seconds.observe(record.seconds)

    def failed(self) -> None:
        """Count a part that could not be made."""
        self._parts.inc(1, {"outcome": "failed"})
