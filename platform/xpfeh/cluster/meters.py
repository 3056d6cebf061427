"""What a running plan reports to Prometheus, and to its workers' logs: infra/monitoring explains both."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from ray.util.metrics import Counter, Histogram

from xpfeh.dataset.plan import Plan
from xpfeh.dataset.records import Failure, Record

_SECONDS = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]  # a part takes 10 s; the alert PartsSlow uses these
_LOG = logging.getLogger("xpfeh")


class PlanMeters:
    """The counters of one worker, and its log: one line of JSON for each part."""

    def __init__(self, plan: Plan) -> None:
        self._stars = Counter("xpfeh_stars", "Stars written to parts", ("kind",))
        self._rejected = Counter("xpfeh_rejected", "Stars rejected, by reason", ("kind", "reason"))
        self._parts = Counter("xpfeh_parts", "Parts attempted, by outcome", ("kind", "outcome"))
        self._seconds = Histogram("xpfeh_part_seconds", "How long a part took", _SECONDS, ("kind",))
        for meter in (self._stars, self._rejected, self._parts, self._seconds):
            meter.set_default_tags({"kind": plan.kind})
        self._run = {"run": plan.fingerprint(), "kind": plan.kind}
        _LOG.setLevel(logging.INFO)
        if not _LOG.hasHandlers():
            _LOG.addHandler(logging.StreamHandler())  # a worker has none; Ray keeps its stderr

    def done(self, record: Record) -> None:
        """Record a finished part."""
        if record.rows_written:  # Ray refuses to count 0
            self._stars.inc(record.rows_written)
        for reason, rows in record.rejected.items():
            self._rejected.inc(rows, {"reason": reason})
        self._parts.inc(1, {"outcome": "done"})
        self._seconds.observe(record.seconds)
        self._log("done", record.shard, rows=record.rows_written, seconds=record.seconds, rejected=record.rejected)

    def failed(self, failure: Failure) -> None:
        """Record a failed part."""
        self._parts.inc(1, {"outcome": "failed"})
        self._log("failed", failure.shard, reason=failure.reason)

    def _log(self, outcome: str, shard: str, **more: Any) -> None:
        time = datetime.now(UTC).isoformat(timespec="seconds")
        _LOG.info(json.dumps({"time": time, **self._run, "shard": shard, "outcome": outcome, **more}))
