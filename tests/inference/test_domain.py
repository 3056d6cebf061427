from pathlib import Path

import numpy as np
from xpfeh.columns import to_arrays
from xpfeh.dataset.dataset import Dataset
from xpfeh.inference.domain import domain_of
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.training.noise import fainter


def test_a_score_by_hand() -> None:
    """Two pixels that vary alone: each deviation counts in units of its own spread and noise."""
    rng = np.random.default_rng(0)
    flux = np.exp(rng.normal(size=(200_000, 2)) * [0.1, 0.3]).astype(np.float32)
    domain = domain_of(flux)
    one = np.exp(np.array([[0.2, 0.0]], dtype=np.float32))
    quiet, noisy = np.zeros((1, 2), np.float32), one * np.float32(0.1)

    def score(error: np.ndarray, epistemic: float) -> float:
        sigma = np.array([0.1, epistemic], dtype=np.float32)
        return float(np.array(domain.score(one, error, sigma[:1], sigma[1:]))[0])

    np.testing.assert_allclose(score(quiet, 0.0), np.sqrt(0.5 * (0.2 / 0.1) ** 2), rtol=0.02)
    np.testing.assert_allclose(score(noisy, 0.0), np.sqrt(0.5 * 0.2**2 / (0.1**2 + 0.1**2)), rtol=0.02)
    np.testing.assert_allclose(score(noisy, 0.02), 2 * score(noisy, 0.0), rtol=1e-5)


def test_noise_alone_does_not_take_a_giant_out_of_the_domain(sample: Sample) -> None:
    giants = sample.part("test").columns
    domain = domain_of(sample.part("train").columns["flux"])
    agreed = np.full(len(giants["feh"]), 0.1, np.float32), np.zeros(len(giants["feh"]), np.float32)
    near = np.array(domain.score(giants["flux"], giants["flux_error"], *agreed))
    flux, flux_error = fainter(giants["flux"], giants["flux_error"], 6 * giants["flux_error"], np.random.default_rng(0))
    far = np.array(domain.score(flux, flux_error, *agreed))
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
