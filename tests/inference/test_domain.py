from pathlib import Path

import numpy as np
import pytest
from xpfeh.columns import to_arrays
from xpfeh.dataset.dataset import Dataset
from xpfeh.inference.domain import domain_of
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.training.noise import fainter


def test_a_score_by_hand() -> None:
    """Two pixels that vary independently: each deviation counts in units of its own spread and noise."""
    rng = np.random.default_rng(0)
    flux = np.exp(rng.normal(size=(200_000, 2)) * [0.1, 0.3]).astype(np.float32)
    domain = domain_of(flux)
    one = np.exp(np.array([[0.2, 0.0]], dtype=np.float32))
    quiet, noisy = np.zeros((1, 2), np.float32), one * np.float32(0.1)

    def score(error: np.ndarray, epistemic: float) -> float:
        answers = {"aleatoric": np.float32([0.1]), "epistemic": np.float32([epistemic])}
        return float(np.array(domain.score(one, error, answers))[0])

    np.testing.assert_allclose(score(quiet, 0.0), np.sqrt(0.5 * (0.2 / 0.1) ** 2), rtol=0.02)
    np.testing.assert_allclose(score(noisy, 0.0), np.sqrt(0.5 * 0.2**2 / (0.1**2 + 0.1**2)), rtol=0.02)
    np.testing.assert_allclose(score(noisy, 0.02), 2 * score(noisy, 0.0), rtol=1e-5)


def test_the_score_grows_with_temperature_beyond_the_hottest_star_with_feh() -> None:
    """The score doubles 100 K, a fifth of the networks' unit, beyond the hottest; unknown labels do not count."""
    rng = np.random.default_rng(1)
    flux = np.exp(0.1 * rng.normal(size=(5000, 2))).astype(np.float32)
    teff = np.where(np.arange(5000) % 2, rng.uniform(-2, 5, 5000), np.nan)
    noise = rng.uniform(0.01, 0.2, 500)
    seen = {"noise": noise, "aleatoric": 0.5 * noise**0.5}
    domain = domain_of(flux, (teff, seen))
    assert domain.hottest == pytest.approx(5, abs=0.05)
    at = np.float32([-1.0, 0.0, 0.2, 1.0]) + np.float32(domain.hottest)
    answers = {"aleatoric": np.full(4, 0.05), "epistemic": np.zeros(4), "teff": at, "noise": np.full(4, 0.01)}
    scores = domain.score(np.tile(flux[:1], (4, 1)), np.full((4, 2), 0.01), answers)
    np.testing.assert_allclose(scores / scores[0], [1, 1, 2, 6], rtol=1e-4)
    assert domain_of(flux).hottest is None
    assert domain_of(flux, (np.full(5000, np.nan), seen)).hottest is None


def test_an_unusually_large_sigma_is_far_outside() -> None:
    """Twice the usual sigma for the star's noise, however large that is: four times the score."""
    rng = np.random.default_rng(1)
    flux = np.exp(0.1 * rng.normal(size=(5000, 2))).astype(np.float32)
    noise = rng.uniform(0.01, 0.2, 500)
    domain = domain_of(flux, (np.zeros(5000), {"noise": noise, "aleatoric": 0.5 * noise**0.5}))
    assert domain.usual_sigma == pytest.approx((np.log(0.5), 0.5))
    at = np.array([0.01, 0.01, 0.09, 0.09])
    answers = {"aleatoric": 0.5 * at**0.5 * [1, 2, 1, 2], "epistemic": np.zeros(4), "teff": np.zeros(4), "noise": at}
    scores = domain.score(np.tile(flux[:1], (4, 1)), np.full((4, 2), 0.01), answers)
    np.testing.assert_allclose(scores / scores[0], [1, 4, 1, 4], rtol=1e-4)


def test_noise_alone_does_not_put_a_giant_outside_the_domain(sample: Sample) -> None:
    giants = sample.part("test").columns
    domain = domain_of(sample.part("train").columns["flux"])
    agreed = {"aleatoric": np.full(len(giants["feh"]), 0.1), "epistemic": np.zeros(len(giants["feh"]))}
    near = np.array(domain.score(giants["flux"], giants["flux_error"], agreed))
    flux, flux_error = fainter(giants["flux"], giants["flux_error"], 6 * giants["flux_error"], np.random.default_rng(0))
    far = np.array(domain.score(flux, flux_error, agreed))
    assert (far > np.quantile(near, 0.99)).mean() < 0.03


def test_hot_stars_are_outside_and_giants_are_not(sample: Sample, features_dir: Path, bundle: Path) -> None:
    predictor = Predictor(bundle)
    threshold = predictor.card.domain_threshold
    assert (predictor.predict(sample.part("test").columns)["domain_score"] > threshold).mean() < 0.06
    table = Dataset.at(features_dir).read(("flux", "flux_error", "ebv", "bp_rp0"))
    others = to_arrays(table)
    hot = predictor.predict(others)["domain_score"][others["bp_rp0"] < 0.4]
    assert len(hot) > 100
    assert (hot > threshold).mean() > 0.5
