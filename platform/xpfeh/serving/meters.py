"""What a replica reports to Prometheus about the stars it answers; infra/monitoring has the dashboard and alerts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ray.util.metrics import Counter, Gauge

from xpfeh.flags import Flag
from xpfeh.typing import Columns

_BITS = np.array([flag.bit_length() - 1 for flag in Flag], dtype=np.uint32)
_UP_TO = np.array([0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0])  # most giants have 0.5 to 2, the worst 1 % about 5
_OUTCOMES = [{"outcome": "answered"}, {"outcome": "error"}]
_FLAGS = [{"flag": str(flag.name)} for flag in Flag]
_RANGES = [{"up_to": each} for each in (*(f"{edge:g}" for edge in _UP_TO), "+Inf")]
_NOTHING = 1e-300  # Ray refuses 0, and a rate needs a series that exists before its first star


class Meters:
    """The counters of one replica; stars are counted a batch at a time, since each count takes microseconds."""

    def __init__(self, model_version: str) -> None:
        self._version = {"model_version": model_version}
        self._model = Gauge("xpfeh_model_info", "1 for each live replica, with its model", ("model_version",))
        self._counters = (
            (Counter("xpfeh_answers", "Stars of requests, by outcome", ("outcome",)), _OUTCOMES),
            (Counter("xpfeh_flags", "Answered stars with a flag", ("flag",)), _FLAGS),
            (Counter("xpfeh_domain_scores", "Answered stars, by range of their score", ("up_to",)), _RANGES),
        )
        self._count(*([_NOTHING] * len(labels) for _, labels in self._counters))

    def alive(self) -> None:
        """Set the gauge of the model again: Ray forgets one that is not set for 20 s."""
        self._model.set(1, self._version)

    def answered(self, catalogs: Sequence[Columns], errors: int) -> None:
        """Count the stars of some requests: those answered, and those with an error instead."""
        flags = np.concatenate([np.empty(0, np.uint32), *(each["flags"] for each in catalogs)])
        scores = np.concatenate([np.empty(0, np.float32), *(each["domain_score"] for each in catalogs)])
        with_flag = ((flags[:, np.newaxis] >> _BITS) & 1).sum(axis=0)  # (N, flags) -> (flags,)
        ranges = np.searchsorted(_UP_TO, scores[np.isfinite(scores)])
        in_range = np.bincount(ranges, minlength=len(_RANGES))
        self._count([len(flags), errors], with_flag.tolist(), in_range.tolist())

    def _count(self, *stars: Sequence[float]) -> None:
        for (counter, labels), numbers in zip(self._counters, stars, strict=True):
            for label, number in zip(labels, numbers, strict=True):
                if number:
                    counter.inc(number, label)
