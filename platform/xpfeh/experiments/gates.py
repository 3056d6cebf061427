"""What a model must pass before it is served: absolute bounds, and being no worse than the best champion so far.

The bounds are this project's own choice (LOG 2026-11-23).

The best champion so far, not the latest: each challenger may be slightly worse than its predecessor, so compared with
the latest only, a series of small losses would pass. All champions that can still be read are judged on the same stars
as the challenger, each time, since labels and features change; the best of them is its rival.

A spread is refused if it is worse by more than 3 % and the difference is significant: zero is below the 95 % interval
of a paired bootstrap of both models' predictions by whole cells of the sky. Either criterion alone would refuse the
wrong models. On a thousand stars the MAE of two equal networks differs by 3 % by chance; and a loss of 1 % may well be
real, and the price of better uncertainties. A bias is refused in the same way: beyond its bound, and beyond two
standard errors for that number of stars.

A model that learns from the whole sky is also judged there: giants by E(B-V), dwarfs, and whether its log g separates
them. Its bounds are wider: the labels are sparser there, and every number contains the dust map's errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xpfeh.evaluate.paired import Difference
from xpfeh.evaluate.slices import ALPHA_SLICES, EBV_SLICES
from xpfeh.evaluate.whole_sky import DUSTY, DWARFS
from xpfeh.evaluate.whole_star import SHARES

Slices = Mapping[str, Mapping[str, float]]
"""A model's numbers by slice of the stars, by name."""

WORSE = 1.03
"""Maximum ratio of a spread to the best champion's: less than one split's own uncertainty."""
MAX_BIAS = {"all": 0.02, "feh<-1": 0.05, "feh<-2": 0.10} | dict.fromkeys((*EBV_SLICES, *ALPHA_SLICES), 0.03)
"""Largest median residual, dex."""
COVERAGE = {"coverage_68": (0.68, 0.04), "coverage_95": (0.95, 0.02)}
"""The nominal share of each, and the tolerance beyond two standard errors for that number of stars."""
MAX_SKY_BIAS = dict.fromkeys((*DUSTY, DWARFS), 0.05) | {DUSTY[-1]: 0.08}
"""Largest median residual of a group of the whole sky, dex."""
SKY_COVERAGE = {"coverage_68": (0.68, 0.05), "coverage_95": (0.95, 0.03)}
"""As `COVERAGE`, for each of these groups."""
BY_SPECTRUM = "giants by spectrum"
"""The selection of LOGG < 3.5 among all labelled stars."""
MIN_SHARE = 0.95
"""Minimum purity and completeness of that selection."""
FAINT_G = 17.0
"""Magnitude of the faint copies: most stars of a catalog are fainter than the labels, which reach about 15."""
FAINT = f"as if G={FAINT_G:g}"
FAINT_COVERAGE = (0.60, 0.80)
"""Share of the faint copies inside their 68 % intervals: wide, since their noise is simulated."""
MAX_OUTSIDE = 0.05
"""Maximum share of held-out stars beyond the domain threshold; of the validation stars it is 1 %."""
MAX_WITHOUT_FEH = 0.02
"""Maximum share of held-out stars without [Fe/H]: a model must not improve by leaving out hard stars."""
MIN_SPEED = 0.1
"""Minimum stars per second, as a share of the best champion's: an ensemble may replace a single network."""

_MIN_FOR_A_MEDIAN = 30  # with fewer, a median is meaningless
_MIN_OF_A_GROUP = 100  # with fewer, two standard errors of a coverage are 0.09 and more
# With fewer held-out stars the sample has fewer than 10,000, too few to learn log g as well as the bound requires: with
# 4,900, purity 0.91 and completeness 0.94 (2026-11-29).
_MIN_BY_SPECTRUM = 2000


@dataclass(frozen=True)
class Gate:
    """One requirement of a challenger.

    Attributes
    ----------
    name : str
    value : float
        The challenger's.
    low, high : float
        Inclusive bounds of the value.

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
        """Whether the challenger passes; a value of NaN does not."""
        return self.low <= self.value <= self.high

    @property
    def misses_by(self) -> float:
        """How far the value is outside its bounds; 0 if it holds."""
        return max(self.low - self.value, self.value - self.high, 0.0)


@dataclass(frozen=True)
class Rival:
    """The champion that a challenger is compared with.

    Attributes
    ----------
    spreads : sequence of Difference
        The challenger's spreads (a) and the rival's (b), star by star.
    stars_per_s : float
        The rival's speed.
    """

    spreads: Sequence[Difference]
    stars_per_s: float


def judge(challenger: Slices, champion: Rival | None, baseline_mae: float | None) -> list[Gate]:
    """Return the gates of a challenger.

    Parameters
    ----------
    challenger : mapping
        `xpfeh.evaluate.metrics.sliced_summary` on held-out stars, and `FAINT`, the summary of their faint copies; in
        "all" also ``outside``, the share of stars beyond the domain threshold, and ``stars_per_s``. Of a model that
        learns from the whole sky, also `xpfeh.evaluate.metrics.with_errors` of the groups of `MAX_SKY_BIAS`, and
        `BY_SPECTRUM`, as `xpfeh.evaluate.whole_star.giants_found` gives it.
    champion : Rival, optional
        The best champion so far, on the same stars.
    baseline_mae : float, optional
        MAE of boosted trees (`xpfeh.evaluate.baseline`) on the same stars, dex; the first champion must not be worse.

    Examples
    --------
    >>> every = {"n": 900, "n_without_feh": 0, "median": 0.03, "median_se": 0.002, "outside": 0.01, "mae": 0.08}
    >>> slices = {label: {"n": 3, "median": 0.2} for label in MAX_BIAS}  # too few to be judged
    >>> slices |= {"all": {**every, "coverage_68": 0.7, "coverage_95": 0.94}, "as if G=17": {"coverage_68": 0.7}}
    >>> [gate.name for gate in judge(slices, champion=None, baseline_mae=0.1) if not gate.holds]
    ['bias: median, all']
    """
    every = challenger["all"]
    gates = [Gate("predicts: n", every["n"], _MIN_FOR_A_MEDIAN, math.inf)]
    if not gates[0].holds:
        return gates  # with so few stars nothing else can be judged
    without = every["n_without_feh"] / (every["n"] + every["n_without_feh"])
    gates += [
        Gate("predicts: share without [Fe/H]", without, 0.0, MAX_WITHOUT_FEH),
        Gate("domain: share outside", every["outside"], 0.0, MAX_OUTSIDE),
    ]
    for name, (wanted, slack) in COVERAGE.items():
        standard_error = math.sqrt(wanted * (1 - wanted) / every["n"])  # of a share of n stars: binomial
        allowed = slack + 2 * standard_error
        gates.append(Gate(f"calibration: {name}", every[name], wanted - allowed, wanted + allowed))
    gates.append(Gate(f"calibration: coverage_68, {FAINT}", challenger[FAINT]["coverage_68"], *FAINT_COVERAGE))
    gates += [
        _bias(label, challenger[label], MAX_BIAS[label])
        for label in MAX_BIAS
        if challenger[label]["n"] >= _MIN_FOR_A_MEDIAN
    ]
    gates += _whole_sky(challenger)
    if champion is not None:
        gates += [Gate(f"spread: {each.name}", each.a, 0.0, _largest(each)) for each in champion.spreads]
        gates.append(Gate("speed: stars/s", every["stars_per_s"], MIN_SPEED * champion.stars_per_s, math.inf))
    if baseline_mae is not None:
        gates.append(Gate("spread: MAE, XGBoost's at most", every["mae"], 0.0, baseline_mae))
    return gates


def _whole_sky(challenger: Slices) -> list[Gate]:
    """Return the gates of a model that learns from the whole sky; for another, an empty list."""
    gates: list[Gate] = []
    if not MAX_SKY_BIAS.keys() & challenger.keys():
        return gates
    for label, bound in MAX_SKY_BIAS.items():
        numbers = challenger[label]  # all groups or none are present: a single missing one is our bug
        if numbers["n"] < _MIN_OF_A_GROUP:
            continue
        gates.append(_bias(label, numbers, bound))
        for name, (wanted, slack) in SKY_COVERAGE.items():
            allowed = slack + _two_errors(numbers, name)
            gates.append(Gate(f"calibration: {name}, {label}", numbers[name], wanted - allowed, wanted + allowed))
    found = challenger.get(BY_SPECTRUM, {"n": 0})
    if found["n"] >= _MIN_BY_SPECTRUM:
        gates += [
            Gate(f"{BY_SPECTRUM}: {name}", found[name], MIN_SHARE - _two_errors(found, name), 1.0) for name in SHARES
        ]
    return gates


def _two_errors(numbers: Mapping[str, float], name: str) -> float:
    """Return two standard errors of a number by cells of the sky; 0 if too few cells give one."""
    error = numbers[f"{name}_se"]
    return 2 * error if math.isfinite(error) else 0.0


def _bias(label: str, numbers: Mapping[str, float], bound: float) -> Gate:
    if numbers["median_se"] > bound / 2:  # NaN is not larger: from few cells the bound alone counts
        bound = 2 * numbers["median_se"]
    return Gate(f"bias: median, {label}", numbers["median"], -bound, bound)


def _largest(spread: Difference) -> float:
    """Return the largest spread (dex) that is not both 3 % worse and significantly worse."""
    by_chance = spread.a - spread.low  # the rival's, plus what chance explains of the difference
    return max(WORSE * spread.b, by_chance) if math.isfinite(by_chance) else WORSE * spread.b
