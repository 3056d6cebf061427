"""What a model must hold before it may serve: absolute bounds, and not worse than the champion.

The bounds are this project's own choice (LOG 2026-11-23).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Slices = Mapping[str, Mapping[str, float]]
"""A model's numbers by slice of the stars, by name."""

WORSE = 1.03
"""How much larger than the champion's a spread may be: less than one split's own uncertainty."""
MAX_BIAS = {"all": 0.02, "feh<-1": 0.05, "feh<-2": 0.10}
"""How far off the median residual may be, dex."""
COVERAGE = {"coverage_68": (0.68, 0.04), "coverage_95": (0.95, 0.02)}
"""What each should be, and how far off it may be besides two standard errors of so many stars."""
MAX_OUTSIDE = 0.05
"""Share of held-out stars beyond the domain threshold, which 1 % of the validation stars are beyond."""
MIN_SPEED = 0.1
"""Stars a second, as a share of the champion's: an ensemble may take the place of a single network."""

_FEW = 30  # stars: of fewer the median means nothing


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

    Examples
    --------
    >>> gate = Gate("bias: median, all", value=0.03, low=-0.02, high=0.02)
    >>> gate.holds, round(gate.misses_by, 3)
    (False, 0.01)
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


def judge(challenger: Slices, champion: Slices | None) -> list[Gate]:
    """Return the gates of a challenger.

    Parameters
    ----------
    challenger, champion : mapping
        `xpfeh.evaluate.metrics.sliced_summary` on the same held-out stars; in "all" also ``outside``, the share of
        stars beyond the domain threshold, and ``stars_per_s``. No champion: the absolute bounds alone.

    Examples
    --------
    >>> slices = {"all": {"n": 900, "median": 0.03, "outside": 0.01, "coverage_68": 0.7, "coverage_95": 0.94}}
    >>> slices |= {"feh<-1": {"n": 3, "median": 0.2}, "feh<-2": {"n": 0}}  # too few to be judged
    >>> [gate.name for gate in judge(slices, champion=None) if not gate.holds]
    ['bias: median, all']
    """
    every = challenger["all"]
    gates = [
        Gate("predicts: n", every["n"], _FEW, math.inf),
        Gate("domain: share outside", every["outside"], 0.0, MAX_OUTSIDE),
    ]
    for name, (wanted, slack) in COVERAGE.items():
        standard_error = math.sqrt(wanted * (1 - wanted) / every["n"])  # of a share of n stars: binomial
        allowed = slack + 2 * standard_error
        gates.append(Gate(f"calibration: {name}", every[name], wanted - allowed, wanted + allowed))
    for label, bound in MAX_BIAS.items():
        if challenger[label]["n"] >= _FEW:
            gates.append(Gate(f"bias: median, {label}", challenger[label]["median"], -bound, bound))
    if champion is not None:
        gates += [
            Gate(f"spread: {name}", every[name], 0.0, WORSE * champion["all"][name])
            for name in ("robust_sigma", "mae", "std")
        ]
        slowest = MIN_SPEED * champion["all"]["stars_per_s"]
        gates.append(Gate("speed: stars/s", every["stars_per_s"], slowest, math.inf))
    return gates
