import numpy as np
from xpfeh.xp import photometry


def test_the_cuts_are_the_papers() -> None:
    colour = np.array([0.7, 0.71, 1.0, 1.9])
    assert photometry.passes_colour(colour).tolist() == [False, True, True, False]
    # -(1)^2 + 6.5 - 1.8 = 3.7 at (BP-RP)0 = 1
    assert photometry.passes_giant(np.array([3.69, 3.71]), np.ones(2)).tolist() == [True, False]
    assert photometry.passes_excess_factor(np.array([1.33, 1.35]), np.ones(2)).tolist() == [True, False]
    assert photometry.passes_height(np.array([-250.0, -150.0, 199.0, 201.0])).tolist() == [True, False, False, True]


def test_absolute_magnitude_at_ten_parsec_is_the_apparent_one() -> None:
    m_g = photometry.absolute_magnitude(np.array([5.0, 5.0]), np.array([0.5, 0.0]), np.array([10.0, 100.0]))
    np.testing.assert_allclose(m_g, [4.5, 0.0])


def test_a_distance_that_is_not_positive_is_unknown() -> None:
    assert np.isnan(photometry.absolute_magnitude(np.zeros(3), np.zeros(3), np.array([0.0, -5.0, np.nan]))).all()


def test_excess_factor_by_hand() -> None:
    """Fluxes of the EDR3 zero points: 10^(0.4 (25.3385 - 12)) = 216,481 and so on, with a pocket calculator."""
    excess = photometry.excess_factor(np.array([11.5]), np.array([12.0]), np.array([10.8]))
    np.testing.assert_allclose(excess, (216_481 + 379_454) / 473_093, rtol=1e-4)


def test_height_is_over_the_plane() -> None:
    z = photometry.height_pc(np.array([1000.0]), np.array([30.0]), 20.8)
    np.testing.assert_allclose(z, 520.8)
