import numpy as np
from xpfeh.labels.samples import Sample
from xpfeh.model.domain import domain_of
from xpfeh.model.noise import fainter
from xpfeh.model.predictor import Predictor
from xpfeh.sources.schema import to_arrays
from xpfeh.storage import read_parts


def test_a_score_by_hand() -> None:
    """Two pixels that vary alone: each deviation counts in units of its own spread and noise."""
    rng = np.random.default_rng(0)
    flux = np.exp(rng.normal(size=(200_000, 2)) * [0.1, 0.3]).astype(np.float32)
    domain = domain_of(flux)
    one = np.exp(np.array([[0.2, 0.0]], dtype=np.float32))
    quiet, noisy = np.zeros((1, 2), np.float32), one * np.float32(0.1)
    np.testing.assert_allclose(np.array(domain.score(one, quiet))[0], np.sqrt(0.5 * (0.2 / 0.1) ** 2), rtol=0.02)
    wanted = np.sqrt(0.5 * 0.2**2 / (0.1**2 + 0.1**2))
    np.testing.assert_allclose(np.array(domain.score(one, noisy))[0], wanted, rtol=0.02)


def test_hot_stars_are_outside_and_faint_giants_are_not(sample: Sample, features_dir, bundle) -> None:  # type: ignore[no-untyped-def]
    predictor = Predictor.load(bundle)
    threshold = predictor.model.domain.threshold
    giants = sample.part("test").columns
    score = predictor.predict(giants)["domain_score"]
    assert (score > threshold).mean() < 0.06
    target = 6 * giants["flux_error"]
    flux, flux_error = fainter(giants["flux"], giants["flux_error"], target, np.random.default_rng(0))
    faint = predictor.predict({"flux": flux, "flux_error": flux_error, "ebv": giants["ebv"]})["domain_score"]
    assert (faint > threshold).mean() < 0.06
    table, _ = read_parts(features_dir, ("flux", "flux_error", "ebv", "bp_rp0"))
    others = to_arrays(table)
    hot = predictor.predict(others)["domain_score"][others["bp_rp0"] < 0.4]
    assert len(hot) > 100
    assert (hot > threshold).mean() > 0.5
