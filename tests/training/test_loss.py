import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.training.loss import cost_weights, member_losses


def test_equals_equation_12_with_the_labels_errors_star_by_star() -> None:
    rng = np.random.default_rng(0)
    batch = [rng.uniform(0.1, 2, (2, 9)).astype(np.float32) for _ in range(5)]
    losses = np.array(member_losses(*batch, beta=0.0))
    for member in range(2):
        total = 0.0
        for m, s, y, error, c in zip(*(values[member] for values in batch), strict=True):
            wide = math.hypot(s, error)
            total += c * ((y - m) ** 2 / (2 * wide**2) + math.log(wide))
        np.testing.assert_allclose(losses[member], total / 9, rtol=1e-5)


def test_a_label_that_says_little_costs_little() -> None:
    """Far off, and by a label as unsure: the residual is the label's, not the network's."""
    mean, sigma, feh, cost = (np.full((1, 1), value, np.float32) for value in (0.0, 0.1, 1.0, 1.0))
    sure, unsure = (float(member_losses(mean, sigma, feh, 0 * feh + e, cost, 0.0)[0]) for e in (0.0, 1.0))
    assert unsure < 1 < sure


def test_beta_weighs_by_a_power_of_sigma() -> None:
    one = np.full((1, 1), 0.5, dtype=np.float32)
    plain, weighed = (float(member_losses(one * 0, one, one, one * 0, one * 2, beta)[0]) for beta in (0.0, 0.5))
    np.testing.assert_allclose(weighed, plain * 0.5, rtol=1e-6)


def test_cost_weights_equal_a_slow_loop() -> None:
    rng = np.random.default_rng(1)
    colour, feh = rng.normal(1.2, 0.2, 500), rng.normal(-0.5, 0.5, 500)
    weights = cost_weights(colour, feh, (10, 15), 0.5)

    def bin_of(value: float, values: np.ndarray, bins: int) -> int:
        return min(int((value - values.min()) / (values.max() - values.min()) * bins), bins - 1)

    cells = [(bin_of(c, colour, 10), bin_of(f, feh, 15)) for c, f in zip(colour, feh, strict=True)]
    frequency = {cell: cells.count(cell) for cell in cells}
    expected = np.array([(frequency[cell] / max(frequency.values())) ** -0.5 for cell in cells])
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-5)


@given(gamma=st.floats(0, 1), seed=st.integers(0, 50))
def test_weights_have_mean_one_and_rare_stars_cost_most(gamma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    colour, feh = rng.normal(1.2, 0.2, 200), rng.normal(-0.5, 0.5, 200)
    weights = cost_weights(colour, feh, (10, 15), gamma)
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-5)
    frequency, *edges = np.histogram2d(colour, feh, bins=(10, 15))
    crowded = np.unravel_index(frequency.argmax(), frequency.shape)
    inside = [(x >= e[i]) & (x < e[i + 1]) for x, e, i in zip((colour, feh), edges, crowded, strict=True)]
    np.testing.assert_allclose(weights[inside[0] & inside[1]], weights.min(), rtol=1e-6)
