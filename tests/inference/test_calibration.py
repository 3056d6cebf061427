"""Intervals against made-up residuals whose true quantiles are known, and against real held-out stars."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import QuantileRegressor
from xpfeh.evaluate.metrics import summary
from xpfeh.inference.calibration import _SHRINKAGE, QUANTILES, Calibration, _quantiles, fit_calibration
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.settings import RECIPES
from xpfeh.training.train import train

GAUSSIAN = Calibration(
    low=(0.0,) * 5, high=(0.0,) * 5, intercepts=(-1.96, -0.9945, 0.9945, 1.96), slopes=((0.0,) * 5,) * 4
)
"""Takes the network's sigma at its word."""


def outputs(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "feh": rng.uniform(-2.5, 0.5, n),
        "aleatoric": rng.uniform(0.05, 0.2, n),
        "epistemic": rng.uniform(0.01, 0.1, n),
        "noise": np.exp(rng.uniform(-5, -2, n)),
        "ebv": rng.uniform(0, 0.5, n),
    }


def sigma(given: dict[str, np.ndarray]) -> np.ndarray:
    """Noise, disagreement, and 16 % of E(B-V) at 2.2 dex a magnitude."""
    return np.sqrt(given["aleatoric"] ** 2 + given["epistemic"] ** 2 + (0.16 * 2.2 * given["ebv"]) ** 2)


def fitted(given: dict[str, np.ndarray], feh: np.ndarray) -> Calibration:
    return fit_calibration(given, feh, np.zeros(len(feh)), np.arange(len(feh)) % 5)


def shares(calibration: Calibration, given: dict[str, np.ndarray], feh: np.ndarray) -> list[float]:
    ends = {
        k: np.array(v) for k, v in calibration.intervals(**{k: v.astype(np.float32) for k, v in given.items()}).items()
    }
    return [((feh >= ends[f"FEH_lo{p}"]) & (feh <= ends[f"FEH_hi{p}"])).mean() for p in (68, 95)]


def test_the_gaussian_takes_sigma_at_its_word() -> None:
    rng = np.random.default_rng(0)
    given = outputs(100_000, rng)
    feh = given["feh"] + rng.normal(size=100_000) * sigma(given)
    np.testing.assert_allclose(shares(GAUSSIAN, given, feh), [0.68, 0.95], atol=0.005)


def test_heavy_lopsided_tails_that_depend_on_everything_are_held() -> None:
    """Student-t residuals, too wide for sigma where dusty, shifted where poor: no Gaussian fits them."""
    rng = np.random.default_rng(1)

    def draw(n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        given = outputs(n, rng)
        wide = sigma(given) * (0.7 + 2 * given["ebv"])
        return given, given["feh"] + wide * (rng.standard_t(3, n) - 0.3 * given["feh"])

    calibration = fitted(*draw(4000))
    given, feh = draw(60_000)
    for chosen in (given["ebv"] < 0.1, given["ebv"] > 0.4, given["feh"] < -2, given["feh"] > 0):
        part = {name: values[chosen] for name, values in given.items()}
        np.testing.assert_allclose(shares(calibration, part, feh[chosen]), [0.68, 0.95], atol=0.04)


def test_the_few_stars_below_minus_two_are_held_too() -> None:
    """One star in forty: too few to move the quantiles of all, whose 68 % intervals would hold 57 % of them."""
    rng = np.random.default_rng(7)

    def draw(n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        given = outputs(n, rng)
        given["feh"] = np.where(rng.random(n) < 0.025, rng.uniform(-3, -2, n), rng.uniform(-2, 0.5, n))
        wide = sigma(given) * (1 + 4 * np.maximum(-2 - given["feh"], 0))
        return given, given["feh"] + wide * rng.normal(size=n)

    calibration = fitted(*draw(4000))
    given, feh = draw(60_000)
    np.testing.assert_allclose(shares(calibration, given, feh), [0.68, 0.95], atol=0.02)
    poor = given["feh"] < -2
    inside = shares(calibration, {name: values[poor] for name, values in given.items()}, feh[poor])
    np.testing.assert_allclose(inside, [0.68, 0.95], atol=0.05)


def test_beyond_the_stars_it_was_fitted_to_it_stays_as_at_their_edge() -> None:
    rng = np.random.default_rng(2)
    given = outputs(3000, rng)
    calibration = fitted(given, given["feh"] + 0.1 * rng.normal(size=3000) * (1 + given["ebv"]))
    far, edge = ({name: values[:1].astype(np.float32) for name, values in given.items()} for _ in range(2))
    far["ebv"], edge["ebv"] = np.float32([50.0]), np.float32([calibration.high[4]])
    width = [float(calibration.intervals(**star)["FEH_err"][0]) / sigma(star)[0] for star in (far, edge)]
    assert width[0] == pytest.approx(width[1], rel=1e-5)


def test_a_label_with_a_huge_error_does_not_count() -> None:
    rng = np.random.default_rng(3)
    given = outputs(3000, rng)
    feh = given["feh"] + sigma(given) * rng.normal(size=3000)
    feh_err = np.where(np.arange(3000) % 2, np.nan, 100.0)
    feh[feh_err > 0] += rng.choice([-100, 100], 1500)
    calibration = fit_calibration(given, feh, feh_err, np.arange(3000) // 2 % 5)
    sure = np.isnan(feh_err)
    known = shares(calibration, {name: values[sure] for name, values in given.items()}, feh[sure])
    np.testing.assert_allclose(known, [0.68, 0.95], atol=0.02)


def with_copies(
    n: int, spread: float, fainter: float, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Stars, then a copy of each with `fainter` times the noise, whose residual is `spread` sigma wide."""
    given = {name: np.tile(values, 2) for name, values in outputs(n, rng).items()}
    given["noise"][n:] *= fainter
    return given, given["feh"] + sigma(given) * np.repeat([1.0, spread], n) * rng.normal(size=2 * n)


def fitted_with_copies(n: int, given: dict[str, np.ndarray], feh: np.ndarray) -> Calibration:
    return fit_calibration(given, feh, np.zeros(2 * n), np.tile(np.arange(n) % 5, 2), copies=1)


def test_fainter_copies_carry_the_trend() -> None:
    """Their residuals are twice as wide as sigma: taken at its word it would hold 38 % of them.

    The penalty on slopes costs a few per cent.
    """
    rng = np.random.default_rng(4)
    calibration = fitted_with_copies(1500, *with_copies(1500, 2.0, 1000.0, rng))
    given, feh = with_copies(10_000, 2.0, 1000.0, rng)
    for half in (slice(10_000), slice(10_000, None)):
        part = {name: values[half] for name, values in given.items()}
        np.testing.assert_allclose(shares(calibration, part, feh[half]), [0.68, 0.95], atol=0.08)


def test_copies_do_not_decide_the_level() -> None:
    """Copies that nothing tells from their stars have no residual: they would leave 60 % of the stars inside."""
    rng = np.random.default_rng(5)
    calibration = fitted_with_copies(1500, *with_copies(1500, 0.0, 1.0, rng))
    given, feh = with_copies(10_000, 0.0, 1.0, rng)
    stars = {name: values[:10_000] for name, values in given.items()}
    np.testing.assert_allclose(shares(calibration, stars, feh[:10_000]), [0.68, 0.95], atol=0.03)


def test_quantiles_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(6)
    x, weight = rng.standard_normal((300, 5)), rng.uniform(0.2, 4.0, 300)
    z = rng.standard_t(4, 300) * (1 + 0.5 * np.abs(x[:, 0]))
    intercepts, slopes = _quantiles(x, z, weight)
    unit = (x - x.mean(axis=0)) / x.std(axis=0)
    for i, q in enumerate(QUANTILES):
        peer = QuantileRegressor(quantile=q, alpha=_SHRINKAGE, solver="highs").fit(unit, z, sample_weight=weight)
        np.testing.assert_allclose(intercepts[i] + x @ slopes[i], peer.predict(unit), rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("stars", ["paper", "wide"])
def test_real_stars_that_no_training_saw_lie_in_their_intervals(sample: Sample, tmp_path: Path, stars: str) -> None:
    """A tenth of the library and a short fit: the intervals are wider, and must still be true."""
    recipe = RECIPES["best"].model_copy(update={"steps": 1000, "members": 4, "folds": 2, "stars": stars})
    card = train(sample, recipe, tmp_path / "model")
    held_out = sample.part("test").columns
    numbers = summary({**held_out, **Predictor(tmp_path / "model").predict(held_out)})
    spread = np.sqrt(0.68 * 0.32 / numbers["n"] + 0.68 * 0.32 / card.stars.validation)
    assert abs(numbers["coverage_68"] - 0.68) < 3 * spread
    assert numbers["coverage_95"] > 0.88
