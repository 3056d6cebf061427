"""Statistics of residuals compared with an independent computation, and with known results."""

import numpy as np
import pytest
from astropy.stats import SigmaClip
from scipy.optimize import curve_fit
from scipy.stats import bootstrap, median_abs_deviation, norm
from xpfeh.evaluate.residuals import FEW, gaussian_fit, residual_numbers, running

from tests.evaluate.made_up import ONE_CELL

SEED = 20261126


def made_up(n: int = 3000, outliers: int = 60) -> dict[str, np.ndarray]:
    """Return stars in separate cells: a Gaussian core of sigma 0.08 around +0.02, and outliers."""
    rng = np.random.default_rng(SEED)
    residual = np.r_[rng.normal(0.02, 0.08, n), rng.uniform(-1.5, 1.5, outliers)]
    return {"source_id": np.arange(n + outliers) * ONE_CELL, "feh": np.zeros(n + outliers), "FEH": residual}


def test_numbers_equal_scipys_and_numpys() -> None:
    stars = made_up()
    residual, numbers = stars["FEH"], residual_numbers(stars)
    assert numbers["n"] == 3060
    np.testing.assert_allclose(numbers["bias"], np.mean(residual))
    np.testing.assert_allclose(numbers["median"], np.median(residual))
    np.testing.assert_allclose(numbers["std"], np.std(residual))
    np.testing.assert_allclose(numbers["mae"], np.mean(np.abs(residual)))
    np.testing.assert_allclose(numbers["robust_sigma"], median_abs_deviation(residual, scale="normal"), rtol=1e-4)


def test_the_gaussian_fit_is_astropys_clipping_corrected_for_the_cut() -> None:
    residual = made_up()["FEH"]
    mean, sigma = gaussian_fit(residual, np.ones((1, len(residual))))[:, 0]
    kept = SigmaClip(sigma=3, maxiters=None, cenfunc="mean", stdfunc="std")(residual, masked=False)
    assert abs(mean - kept.mean()) < 0.001
    cut = norm.expect(lambda x: x**2, lb=-3, ub=3) / (norm.cdf(3) - norm.cdf(-3))  # variance left of a Gaussian
    assert abs(sigma - kept.std() / np.sqrt(cut)) < 0.001


def test_the_gaussian_fit_agrees_with_a_histogram_within_its_error() -> None:
    stars = made_up()
    numbers = residual_numbers(stars)
    counts, edges = np.histogram(stars["FEH"], np.linspace(-0.4, 0.4, 81))
    centres = (edges[:-1] + edges[1:]) / 2
    (_, mean, sigma), _ = curve_fit(
        lambda x, a, m, s: a * np.exp(-0.5 * ((x - m) / s) ** 2), centres, counts, (90, 0, 0.1)
    )
    assert abs(numbers["gauss_mean"] - mean) < 2 * numbers["gauss_mean_se"]
    assert abs(numbers["gauss_sigma"] - sigma) < 2 * numbers["gauss_sigma_se"]
    assert numbers["std"] > 1.7 * numbers["gauss_sigma"]  # outliers raise the one, not the other


@pytest.mark.parametrize(("name", "statistic"), [("bias", np.mean), ("std", np.std), ("median", np.median)])
def test_errors_equal_scipys_bootstrap_where_each_star_has_its_own_cell(name: str, statistic: object) -> None:
    stars = made_up(600, 0)
    found = residual_numbers(stars)[f"{name}_se"]
    expected = bootstrap((stars["FEH"],), statistic, n_resamples=2000, rng=np.random.default_rng(1)).standard_error
    np.testing.assert_allclose(found, expected, rtol=0.12)  # two bootstraps, each accurate to about 3 per cent


def test_stars_in_one_cell_are_not_independent() -> None:
    rng = np.random.default_rng(SEED)
    of_cell = np.repeat(rng.normal(0, 0.1, 100), 20)
    stars = {"source_id": np.repeat(np.arange(100), 20) * ONE_CELL, "feh": np.zeros(2000), "FEH": of_cell}
    np.testing.assert_allclose(residual_numbers(stars)["bias_se"], 0.1 / np.sqrt(100), rtol=0.25)


def test_few_stars_have_no_width_and_few_cells_no_errors() -> None:
    stars = made_up(FEW - 1, 0)
    assert np.isnan(residual_numbers(stars)["gauss_sigma"])
    together = {**made_up(200, 0), "source_id": np.arange(200)}
    numbers = residual_numbers(together)
    assert numbers["gauss_sigma"] > 0
    assert np.isnan(numbers["gauss_sigma_se"])


def test_running_means_match_their_bins() -> None:
    stars = made_up()
    x = np.random.default_rng(3).uniform(0, 1, len(stars["FEH"]))
    line = running(x, stars, bins=5)
    edges = np.linspace(*np.percentile(x, [0.5, 99.5]), 6)
    for i in range(5):
        inside = (x >= edges[i]) & (x < edges[i + 1])
        assert abs(line.n[i] - inside.sum()) <= 1  # the last edge belongs to the last bin
        mean, sigma = gaussian_fit(stars["FEH"][inside], np.ones((1, inside.sum())))[:, 0]
        np.testing.assert_allclose([line.mean[i], line.sigma[i]], [mean, sigma], atol=1e-3)
    assert running(np.full(3060, np.nan), stars).centre.size == 0
