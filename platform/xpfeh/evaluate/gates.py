"""What a model must hold before it may serve: absolute bounds, and not worse than the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Metrics = Mapping[str, Mapping[str, float]]

WORSE = 1.03
"""How much larger than the champion's a spread may be: less than one split's own uncertainty."""
MAX_BIAS = {"all": 0.02, "feh<-1": 0.05, "feh<-2": 0.10}
COVERAGE = {"coverage_68": (0.68, 0.04), "coverage_95": (0.95, 0.02)}
"""What each should be, and how far off it may be besides two standard errors of so many stars."""
MAX_OUTSIDE = 0.05
MIN_SPEED = 0.1
_FEW = 30


@dataclass(frozen=True)
class Gate:
    """One demand on a challenger.

    Attributes
    ----------
    name : str
    value : float
        The challenger's.
    low, high : float
        Between these it holds.
    """

    name: str
    value: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the challenger meets the demand; a value that is not a number does not."""
        return self.low <= self.value <= self.high

    @property
    def misses_by(self) -> float:
        """How far the value is outside its bounds; 0 if it holds."""
        return max(self.low - self.value, self.value - self.high, 0.0)


def judge(challenger: Metrics, champion: Metrics | None) -> list[Gate]:
    """Return the gates of a challenger.

    Parameters
    ----------
    challenger, champion : mapping
        `xpfeh.evaluate.metrics.sliced_summary` on the same held-out stars; in "all" also ``outside``, the share of
        stars beyond the domain threshold, and ``stars_per_s``. No champion: the absolute bounds alone.
    """
    every = challenger["all"]
    gates = [
        Gate("predicts: n", every["n"], _FEW, float("inf")),
        Gate("domain: share outside", every["outside"], 0.0, MAX_OUTSIDE),
    ]
    for name, (wanted, slack) in COVERAGE.items():
        off = slack + 2 * math.sqrt(wanted * (1 - wanted) / every["n"])
        gates.append(Gate(f"calibration: {name}", every[name], wanted - off, wanted + off))
    for label, bound in MAX_BIAS.items():
        if challenger[label]["n"] >= _FEW:
            gates.append(Gate(f"bias: median, {label}", challenger[label]["median"], -bound, bound))
    if champion is not None:
        gates += [
            Gate(f"spread: {name}", every[name], 0.0, WORSE * champion["all"][name])
            for name in ("robust_sigma", "mae", "std")
        ]
        slowest = MIN_SPEED * champion["all"]["stars_per_s"]
        gates.append(Gate("speed: stars/s", every["stars_per_s"], slowest, float("inf")))
    return gates
