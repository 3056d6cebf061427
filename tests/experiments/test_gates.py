"""Each gate fails for its own reason, and holds otherwise."""

import math

import numpy as np
import pytest
from xpfeh.evaluate.metrics import sliced_summary, summary
from xpfeh.evaluate.paired import Difference, bootstrap
from xpfeh.experiments.gates import BY_SPECTRUM, FAINT, MAX_BIAS, MAX_SKY_BIAS, Gate, Rival, judge

from tests.evaluate.made_up import held_out

GOOD = {
    "n": 1000, "n_without_feh": 5, "mae": 0.08, "median": 0.0, "median_se": 0.003, "coverage_68": 0.68,
    "coverage_95": 0.95, "outside": 0.01, "stars_per_s": 1e5,
}  # fmt: skip


def slices(**changed: dict[str, float]) -> dict[str, dict[str, float]]:
    """Numbers of a good model except for some slices."""
    return {label: GOOD | changed.get(label, {}) for label in (*MAX_BIAS, FAINT)}


SKY = GOOD | {"coverage_68_se": 0.01, "coverage_95_se": 0.005}
FOUND = {"n": 5000, "purity": 0.96, "purity_se": 0.004, "completeness": 0.96, "completeness_se": 0.004}


def whole_sky(**changed: dict[str, float]) -> dict[str, dict[str, float]]:
    """Numbers of a good model that learns from the whole sky, except for some groups."""
    groups = {label: SKY | changed.get(label, {}) for label in MAX_SKY_BIAS}
    return slices() | groups | {BY_SPECTRUM: FOUND | changed.get(BY_SPECTRUM, {})}


def missed(metrics: dict[str, dict[str, float]], rival: Rival | None = None, mae: float | None = None) -> list[str]:
    return [gate.name for gate in judge(metrics, rival, mae) if not gate.holds]


def rival(a: float, b: float, low: float, speed: float = 1e5) -> Rival:
    """A champion of MAE b and a challenger of MAE a, whose difference is above `low` with 97.5 %."""
    return Rival([Difference("MAE", a, b, low, math.nan, 1000)], speed)


def test_a_good_model_passes_every_gate() -> None:
    assert missed(slices(), rival(0.08, 0.08, -0.002), mae=0.1) == []


@pytest.mark.parametrize(
    ("label", "changed", "gate"),
    [
        ("all", {"n": 29}, "predicts: n"),
        ("all", {"n_without_feh": 50}, "predicts: share without [Fe/H]"),
        ("all", {"outside": 0.2}, "domain: share outside"),
        ("all", {"coverage_95": 0.8}, "calibration: coverage_95"),
        ("all", {"coverage_68": 0.77}, "calibration: coverage_68"),
        ("as if G=17", {"coverage_68": 0.55}, "calibration: coverage_68, as if G=17"),
        ("as if G=17", {"coverage_68": 0.81}, "calibration: coverage_68, as if G=17"),
        ("all", {"median": -0.03}, "bias: median, all"),
        ("feh<-2", {"median": 0.11}, "bias: median, feh<-2"),
        ("ebv<0.02", {"median": 0.04}, "bias: median, ebv<0.02"),
        ("alpha>=0.2", {"median": 0.04}, "bias: median, alpha>=0.2"),
        ("all", {"median": math.nan}, "bias: median, all"),
    ],
)
def test_each_gate_fails_for_its_reason(label: str, changed: dict[str, float], gate: str) -> None:
    assert missed(slices(**{label: changed})) == [gate]


def test_a_slice_of_few_stars_is_not_judged() -> None:
    assert missed(slices(**{"alpha<0.1": {"n": 29, "median": 0.2}})) == []


def test_a_bias_within_two_standard_errors_passes() -> None:
    assert missed(slices(**{"alpha<0.1": {"median": 0.05, "median_se": 0.03}})) == []
    assert missed(slices(**{"alpha<0.1": {"median": 0.05, "median_se": math.nan}})) == ["bias: median, alpha<0.1"]


@pytest.mark.parametrize(
    ("label", "changed", "gates"),
    [
        ("giants 0.5<=ebv<0.8", {"median": 0.06}, ["bias: median, giants 0.5<=ebv<0.8"]),
        ("giants 0.5<=ebv<0.8", {"median": 0.06, "median_se": 0.04}, []),
        ("giants ebv>=1.5", {"median": -0.07}, []),
        ("giants ebv>=1.5", {"median": -0.09}, ["bias: median, giants ebv>=1.5"]),
        ("giants ebv>=1.5", {"coverage_68": 0.6}, ["calibration: coverage_68, giants ebv>=1.5"]),
        ("giants ebv>=1.5", {"coverage_68": 0.6, "coverage_68_se": 0.02}, []),
        (
            "giants ebv>=1.5",
            {"coverage_68": 0.6, "coverage_68_se": math.nan},
            ["calibration: coverage_68, giants ebv>=1.5"],
        ),
        ("giants ebv>=1.5", {"n": 99, "coverage_68": 0.1}, []),
        ("dwarfs", {"coverage_95": 0.9}, ["calibration: coverage_95, dwarfs"]),
        ("dwarfs", {"median": math.nan}, ["bias: median, dwarfs"]),
        (BY_SPECTRUM, {"purity": 0.93}, ["giants by spectrum: purity"]),
        (BY_SPECTRUM, {"completeness": 0.93}, ["giants by spectrum: completeness"]),
        (BY_SPECTRUM, {"completeness": 0.945}, []),
        (BY_SPECTRUM, {"n": 1999, "purity": 0.5}, []),
    ],
)
def test_a_model_of_the_whole_sky_is_judged_by_its_groups(
    label: str, changed: dict[str, float], gates: list[str]
) -> None:
    assert missed(whole_sky()) == []
    assert missed(whole_sky(**{label: changed})) == gates


def test_another_model_is_not_judged_by_the_whole_sky() -> None:
    assert not [gate for gate in judge(slices(), None, None) if "giants" in gate.name or "dwarfs" in gate.name]


def test_a_spread_fails_only_if_it_is_both_worse_and_significantly_so() -> None:
    assert missed(slices(), rival(0.090, 0.080, low=0.005)) == ["spread: MAE"]
    assert missed(slices(), rival(0.090, 0.080, low=-0.001)) == []  # 12 % worse, by luck of the cells
    assert missed(slices(), rival(0.082, 0.080, low=0.001)) == []  # surely worse, by 2.5 %
    assert missed(slices(), rival(0.090, 0.080, low=math.nan)) == ["spread: MAE"]  # few cells: 3 % alone


def test_a_slow_model_fails_and_a_first_champion_must_beat_the_trees() -> None:
    assert missed(slices(all={"stars_per_s": 9e3}), rival(0.08, 0.08, 0.0)) == ["speed: stars/s"]
    assert missed(slices(), mae=0.07) == ["spread: MAE, XGBoost's at most"]
    assert [gate.name for gate in judge(slices(), None, None) if gate.name.startswith(("spread", "speed"))] == []


def test_synthetic_stars_are_compared_with_a_rival_with_less_noise() -> None:
    worse, better = held_out(800, scatter=0.09), held_out(800, scatter=0.06, seed=1)
    given = np.isfinite(worse["FEH"]) & (np.arange(800) < 760)
    residuals = [stars["FEH"] - stars["feh"] for stars in (worse, better)]
    less_noisy = Rival(bootstrap(*(each[given] for each in residuals), worse["source_id"][given]), 1e5)
    metrics = sliced_summary(worse) | {FAINT: summary(worse)}
    metrics["all"] |= {"outside": 0.0, "stars_per_s": 1e5}
    assert [name for name in missed(metrics, less_noisy) if name.startswith("spread")] == [
        "spread: MAE", "spread: robust σ", "spread: std",
    ]  # fmt: skip


def test_nan_does_not_hold() -> None:
    assert not Gate("x", math.nan, 0, 1).holds
    assert Gate("x", 1.5, 0, 1).misses_by == 0.5
