import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.training.backend import gradient, ops
from xpfeh.training.loss import cost_weights, feh_losses, further_losses


def test_equals_equation_12_with_the_labels_errors_star_by_star() -> None:
    rng = np.random.default_rng(0)
    batch = [rng.uniform(0.1, 2, (2, 9)).astype(np.float32) for _ in range(5)]
    losses = np.array(feh_losses(*batch, beta=0.0))
    for member in range(2):
        total = 0.0
        for m, s, y, error, c in zip(*(values[member] for values in batch), strict=True):
            wide = math.hypot(s, error)
            total += c * ((y - m) ** 2 / (2 * wide**2) + math.log(wide))
        np.testing.assert_allclose(losses[member], total / 9, rtol=1e-5)


def test_an_uncertain_label_costs_little() -> None:
    """A large residual with a label error as large is due to the label, not to the network."""
    mean, sigma, feh, cost = (np.full((1, 1), value, np.float32) for value in (0.0, 0.1, 1.0, 1.0))
    sure, unsure = (float(feh_losses(mean, sigma, feh, 0 * feh + e, cost, 0.0)[0]) for e in (0.0, 1.0))
    assert unsure < 1 < sure


def test_beta_weighs_by_a_power_of_sigma() -> None:
    one = np.full((1, 1), 0.5, dtype=np.float32)
    plain, weighed = (float(feh_losses(one * 0, one, one, one * 0, one * 2, beta)[0]) for beta in (0.0, 0.5))
    np.testing.assert_allclose(weighed, plain * 0.5, rtol=1e-6)


def further_batch(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, sigma and labels for 2 members, 9 stars and 3 labels, every fourth of them unknown."""
    mean, labels = rng.normal(size=(2, 2, 9, 3)).astype(np.float32)
    labels.reshape(-1)[::4] = np.nan
    return mean, rng.uniform(0.1, 2, (2, 9, 3)).astype(np.float32), labels


def test_further_labels_cost_their_squares_and_the_term_for_sigma_star_by_star() -> None:
    mean, sigma, labels = further_batch(np.random.default_rng(2))
    losses = np.array(further_losses(mean, sigma, labels))
    for member in range(2):
        total = 0.0
        for m, s, y in zip(*(each[member].reshape(-1) for each in (mean, sigma, labels)), strict=True):
            if math.isfinite(y):
                total += (y - m) ** 2 + (y - m) ** 2 / (2 * s**2) + math.log(s)
        np.testing.assert_allclose(losses[member], total / 9, rtol=1e-5)


def test_a_missing_label_has_no_cost_and_no_gradient() -> None:
    mean, sigma, labels = further_batch(np.random.default_rng(3))
    missing = np.isnan(labels)
    _, slopes = gradient(
        lambda at: ops.sum(further_losses(*at, labels)), tuple(map(ops.convert_to_tensor, (mean, sigma)))
    )
    for each in map(np.array, slopes):
        assert (each[missing] == 0).all()
        assert (each[~missing] != 0).all()
    nonsense = [np.where(missing, value, each).astype(np.float32) for value, each in ((1e3, mean), (1e-3, sigma))]
    np.testing.assert_array_equal(np.array(further_losses(*nonsense, labels)), further_losses(mean, sigma, labels))
    nothing_known = np.full_like(labels, np.nan)
    np.testing.assert_array_equal(np.array(further_losses(mean, sigma, nothing_known)), 0)


def test_the_term_for_sigma_does_not_influence_the_means() -> None:
    """The gradient with respect to the mean is that of squared errors alone, for any sigma."""
    mean, sigma, labels = further_batch(np.random.default_rng(4))
    _, (slopes,) = gradient(lambda at: ops.sum(further_losses(at[0], sigma, labels)), (ops.convert_to_tensor(mean),))
    np.testing.assert_allclose(np.array(slopes), np.nan_to_num(2 * (mean - labels)) / 9, rtol=1e-5)


def test_sigma_learns_the_size_of_the_residuals() -> None:
    residual = np.float32(0.3)
    mean, labels = np.zeros((1, 1, 3), np.float32), np.full((1, 1, 3), residual)
    below, at, above = (float(further_losses(mean, 0 * mean + f * residual, labels)[0]) for f in (0.9, 1.0, 1.1))
    assert at < min(below, above)


def test_cost_weights_equal_a_slow_loop() -> None:
    rng = np.random.default_rng(1)
    colour, feh = rng.normal(1.2, 0.1, 500), rng.normal(-0.5, 0.5, 500)
    weights = cost_weights(colour, feh, (10, 15), 0.5)

    def bin_of(value: float, values: np.ndarray, bins: int) -> int:
        return min(int((value - values.min()) / (values.max() - values.min()) * bins), bins - 1)

    cells = [(bin_of(c, colour, 10), bin_of(f, feh, 15)) for c, f in zip(colour, feh, strict=True)]
    frequency = {cell: cells.count(cell) for cell in cells}
    expected = np.array([(frequency[cell] / max(frequency.values())) ** -0.5 for cell in cells])
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-5)


def test_stars_bluer_or_redder_than_the_papers_cost_the_same_as_its_outermost() -> None:
    rng = np.random.default_rng(5)
    colour, feh = rng.uniform(0.7, 1.9, 500), rng.normal(-0.5, 0.5, 500)
    colour[:4], feh[:4] = [0.7, 1.9, 0.7, 0.7], [-0.5, -0.5, -0.5, -0.5]
    at_the_ends = cost_weights(colour, feh, (10, 15), 0.5)
    colour[:3] = [-0.4, 5.0, np.nan]
    np.testing.assert_array_equal(cost_weights(colour, feh, (10, 15), 0.5), at_the_ends)


@given(gamma=st.floats(0, 1), seed=st.integers(0, 50))
def test_weights_have_mean_one_and_rare_stars_cost_most(gamma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    colour, feh = rng.normal(1.3, 0.1, 200), rng.normal(-0.5, 0.5, 200)
    weights = cost_weights(colour, feh, (10, 15), gamma)
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-5)
    frequency, *edges = np.histogram2d(colour, feh, bins=(10, 15))
    crowded = np.unravel_index(frequency.argmax(), frequency.shape)
    inside = [(x >= e[i]) & (x < e[i + 1]) for x, e, i in zip((colour, feh), edges, crowded, strict=True)]
    np.testing.assert_allclose(weights[inside[0] & inside[1]], weights.min(), rtol=1e-6)
