import numpy as np
from scipy.optimize import nnls
from xpfeh.settings import PreprocessSettings
from xpfeh.xp import photometry
from xpfeh.xp.deredden import attenuation
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.preprocess import deredden_spectra

from tests.conftest import library_stars


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


def test_reddening_is_that_of_the_spectra_under_the_xp_curve() -> None:
    """A_BP, A_G and A_RP of dereddened giants, with passbands that turn 2,000 spectra into Gaia's own magnitudes."""
    settings, stars = PreprocessSettings(), library_stars(0, 2000)
    giants = deredden_spectra(stars, settings)
    bp_rp = stars["phot_bp_mean_mag"] - stars["phot_rp_mean_mag"]
    colour = bp_rp - (settings.r_bp - settings.r_rp) * giants["ebv"]
    intrinsic = giants["flux"][(colour > 1.0) & (colour < 1.3) & (giants["ebv"] < 0.2)]  # 4,500 to 5,200 K
    dimmed = intrinsic * attenuation(np.array([0.1])) / attenuation(np.array([0.0]))
    for band, nm, expected in (("g", (330, 1020), settings.r_g), ("bp", (330, 690), settings.r_bp),
                               ("rp", (610, 1020), settings.r_rp)):  # fmt: skip
        passband = fitted_passband(stars["flux"], stars[f"phot_{band}_mean_mag"], *nm)
        extinction = -2.5 * np.log10((dimmed @ passband) / (intrinsic @ passband)) / 0.1
        np.testing.assert_allclose(np.median(extinction), expected, rtol=0.02)


def fitted_passband(flux: np.ndarray, mag: np.ndarray, first_nm: float, last_nm: float) -> np.ndarray:
    """The non-negative, piecewise linear weights (343,) that give the flux in a band from each spectrum."""
    nodes_nm = np.arange(first_nm, last_nm + 1, 20)
    hats = np.maximum(0, 1 - np.abs(WAVELENGTH_NM - nodes_nm[:, None]) / 20)  # (nodes, 343)
    relative = flux @ hats.T / 10 ** (-0.4 * mag[:, None])
    scale = relative.mean()
    weights, _ = nnls(relative / scale, np.ones(len(flux)))
    residual = np.abs(relative / scale @ weights - 1)
    assert np.median(residual) < 0.002, "the passband does not give Gaia's magnitudes"
    return weights @ hats
