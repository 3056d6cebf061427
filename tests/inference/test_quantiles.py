"""Smoothed quantile regression compared with a linear program, and properties of quantiles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import QuantileRegressor
from xpfeh.inference.quantiles import fit_quantiles, weighted_quantile

SHARES = (0.025, 0.16, 0.5, 0.84, 0.975)


def heteroscedastic(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two covariates, and values (sigmas) whose spread grows with the first and whose centre with the second."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 2)) * [1.0, 3.0] + [0.0, 10.0]
    return x, 0.2 * x[:, 1] + (1.5 + x[:, 0]) * rng.normal(size=n)


@pytest.mark.parametrize("share", SHARES)
def test_the_share_of_values_below_is_the_same_everywhere(share: float) -> None:
    intercepts, slopes = fit_quantiles(*heteroscedastic(8000, 0), np.ones(8000), (share,))
    x, z = heteroscedastic(100_000, 1)
    below = z < intercepts[0] + x @ slopes[0]
    spread = np.sqrt(share * (1 - share) / 8000)  # of a fit to 8,000 values
    assert abs(below.mean() - share) < 4 * spread
    for covariate in x.T:
        for half in (covariate < np.median(covariate), covariate >= np.median(covariate)):
            assert abs(below[half].mean() - share) < 0.02


@pytest.mark.parametrize("share", SHARES)
def test_equals_the_linear_program(share: float) -> None:
    """Within the smoothing of the loss and the penalty on slopes: a few hundredths of a sigma."""
    rng = np.random.default_rng(2)
    x, weight = rng.standard_normal((3000, 5)), rng.uniform(0.2, 4.0, 3000)
    z = rng.standard_normal(3000) * (1 + 0.5 * np.abs(x[:, 0])) + 0.3 * x[:, 1]
    intercepts, slopes = fit_quantiles(x, z, weight, (share,))
    exact = QuantileRegressor(quantile=share, alpha=0.0, solver="highs").fit(x, z, sample_weight=weight)
    np.testing.assert_allclose(intercepts[0], exact.intercept_, atol=0.04)
    np.testing.assert_allclose(slopes[0], exact.coef_, atol=0.04)
    apart = intercepts[0] + x @ slopes[0] - exact.predict(x)
    assert np.sqrt(np.mean(apart**2)) < 0.04


def test_with_irrelevant_covariates_it_is_the_plain_quantile() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=20_000)
    intercepts, slopes = fit_quantiles(rng.normal(size=(20_000, 3)), z, np.ones(20_000), SHARES)
    np.testing.assert_allclose(intercepts, np.quantile(z, SHARES), atol=0.02)
    assert np.abs(slopes).max() < 0.05


def test_a_covariate_that_never_changes_does_no_harm() -> None:
    x, z = heteroscedastic(2000, 4)
    constant = np.column_stack([x, np.full(2000, 7.0)])
    (one, slopes), (other, more) = (fit_quantiles(each, z, np.ones(2000), SHARES) for each in (x, constant))
    np.testing.assert_allclose(constant @ more.T + other, x @ slopes.T + one, atol=1e-4)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.25, 2.0])
def test_stretched_values_have_stretched_quantiles(scale: float) -> None:
    """Except for the smoothing width and the penalty, which are not stretched and matter in the tails."""
    x, z = heteroscedastic(2000, 5)
    weight = np.ones(2000)
    (one, slopes), (other, stretched) = (fit_quantiles(x, each, weight, SHARES) for each in (z, scale * z))
    apart = (other + x @ stretched.T) / scale - (one + x @ slopes.T)
    assert (np.sqrt(np.mean(apart**2, axis=0)) < [0.1, 0.03, 0.03, 0.03, 0.1]).all()


@settings(max_examples=10)
@given(shift=st.floats(-50, 50), scale=st.sampled_from([-3.0, 0.01, 1.0, 1000.0]))
def test_the_units_of_the_covariates_do_not_matter(shift: float, scale: float) -> None:
    x, z = heteroscedastic(1000, 6)
    weight = np.ones(1000)
    (one, slopes), (other, turned) = (fit_quantiles(each, z, weight, SHARES) for each in (x, shift + scale * x))
    np.testing.assert_allclose(other + (shift + scale * x) @ turned.T, one + x @ slopes.T, atol=1e-3)


def test_a_shift_is_exact() -> None:
    x, z = heteroscedastic(1000, 7)
    (one, slopes), (other, same) = (fit_quantiles(x, each, np.ones(1000), SHARES) for each in (z, z + 3.0))
    np.testing.assert_allclose(other, one + 3.0, atol=1e-4)
    np.testing.assert_allclose(same, slopes, atol=1e-4)


def test_a_weight_counts_like_repeated_rows() -> None:
    x, z = heteroscedastic(800, 8)
    weight = np.random.default_rng(0).integers(0, 5, 800)
    repeated = np.repeat(np.arange(800), weight)
    # Covariates are standardised without weights, so slopes are penalised slightly differently.
    (one, slopes), (other, same) = (
        fit_quantiles(x, z, weight.astype(float), SHARES),
        fit_quantiles(x[repeated], z[repeated], np.ones(len(repeated)), SHARES),
    )
    np.testing.assert_allclose(one + x @ slopes.T, other + x @ same.T, atol=0.02)


def test_only_ratios_of_weights_matter() -> None:
    x, z = heteroscedastic(500, 9)
    for one, other in zip(*(fit_quantiles(x, z, np.full(500, w), SHARES) for w in (1.0, 40.0)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_quantiles_are_in_order() -> None:
    x, z = heteroscedastic(3000, 10)
    intercepts, slopes = fit_quantiles(x, z, np.ones(3000), SHARES)
    assert (np.diff(intercepts + x @ slopes.T, axis=1) > 0).all()


def test_identical_covariates_share_their_slope() -> None:
    """Without a penalty one slope could grow without limit while the other shrinks."""
    x, z = heteroscedastic(2000, 11)
    twice = np.column_stack([x, x[:, 0]])
    (_, once), (_, both) = (fit_quantiles(each, z, np.ones(2000), SHARES) for each in (x, twice))
    np.testing.assert_allclose(both[:, 0], both[:, 2], atol=1e-4)
    np.testing.assert_allclose(both[:, 0] + both[:, 2], once[:, 0], atol=0.1)


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 9)), min_size=1, max_size=20), st.floats(0.01, 0.99))
def test_a_weighted_quantile_equals_that_of_repeated_values(pairs: list[tuple[float, int]], share: float) -> None:
    values, weight = map(np.array, zip(*pairs, strict=True))
    repeated = np.quantile(np.repeat(values, weight), share, method="inverted_cdf")
    found = weighted_quantile(values, share, weight.astype(float))
    below, up_to = ((weight * each).sum() / weight.sum() for each in (values < found, values <= found))
    assert below - 1e-9 <= share <= up_to + 1e-9
    assert found == repeated or abs(up_to - share) < 1e-9 or abs(below - share) < 1e-9
