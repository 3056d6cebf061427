"""Intervals against made-up residuals whose true quantiles are known, and against real held-out stars."""

from pathlib import Path

import numpy as np
import pytest
from xpfeh.evaluate.metrics import summary
from xpfeh.inference.calibration import Calibration, fit_calibration
from xpfeh.labels.sample import Sample
from xpfeh.settings import RECIPES
from xpfeh.training.train import train

GAUSSIAN = Calibration(
    low=(0.0,) * 4, high=(0.0,) * 4, intercepts=(-1.96, -0.9945, 0.9945, 1.96), slopes=((0.0,) * 4,) * 4
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


def shares(calibration: Calibration, given: dict[str, np.ndarray], feh: np.ndarray) -> list[float]:
    ends = {
        k: np.array(v) for k, v in calibration.intervals(**{k: v.astype(np.float32) for k, v in given.items()}).items()
    }
    return [((feh >= ends[f"FEH_lo{p}"]) & (feh <= ends[f"FEH_hi{p}"])).mean() for p in (68, 95)]


def test_the_gaussian_takes_sigma_at_its_word() -> None:
    rng = np.random.default_rng(0)
    given = outputs(100_000, rng)
    feh = given["feh"] + rng.normal(size=100_000) * np.hypot(given["aleatoric"], given["epistemic"])
    np.testing.assert_allclose(shares(GAUSSIAN, given, feh), [0.68, 0.95], atol=0.005)


def test_heavy_lopsided_tails_that_depend_on_everything_are_held() -> None:
    """Student-t residuals, too wide for sigma where dusty, shifted where poor: no Gaussian fits them."""
    rng = np.random.default_rng(1)

    def draw(n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        given = outputs(n, rng)
        sigma = np.hypot(given["aleatoric"], given["epistemic"]) * (0.7 + 2 * given["ebv"])
        return given, given["feh"] + sigma * (rng.standard_t(3, n) - 0.3 * given["feh"])

    calibration = fit_calibration(*draw(6000))
    given, feh = draw(60_000)
    for chosen in (given["ebv"] < 0.1, given["ebv"] > 0.4, given["feh"] < -2, given["feh"] > 0):
        part = {name: values[chosen] for name, values in given.items()}
        np.testing.assert_allclose(shares(calibration, part, feh[chosen]), [0.68, 0.95], atol=0.04)


def test_beyond_the_stars_it_was_fitted_to_it_stays_as_at_their_edge() -> None:
    rng = np.random.default_rng(2)
    given = outputs(3000, rng)
    calibration = fit_calibration(given, given["feh"] + 0.1 * rng.normal(size=3000) * (1 + given["ebv"]))
    far, edge = ({name: values[:1].astype(np.float32) for name, values in given.items()} for _ in range(2))
    far["ebv"], edge["ebv"] = np.float32([50.0]), np.float32([calibration.high[3]])
    assert float(calibration.intervals(**far)["FEH_err"][0]) == float(calibration.intervals(**edge)["FEH_err"][0])


@pytest.mark.parametrize("stars", ["paper", pytest.param("wide", marks=pytest.mark.slow)])
def test_real_stars_that_no_training_saw_lie_in_their_intervals(sample: Sample, tmp_path: Path, stars: str) -> None:
    """A tenth of the library and a short fit: the intervals are wider, and must still be true."""
    from xpfeh.inference.predictor import Predictor

    recipe = RECIPES["best"].model_copy(update={"steps": 1500, "members": 2, "stars": stars})
    train(sample, recipe, tmp_path / "model")
    held_out = sample.part("test").columns
    numbers = summary({**held_out, **Predictor.load(tmp_path / "model").predict(held_out)})
    spread = np.sqrt(0.68 * 0.32 / numbers["n"] + 0.68 * 0.32 / len(sample.part("validation", "validation-wide")))
    assert abs(numbers["coverage_68"] - 0.68) < 3 * spread
    assert numbers["coverage_95"] > 0.88
