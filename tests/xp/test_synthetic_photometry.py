"""Against GaiaXPy's generator on genuine spectra, and against Gaia's own magnitudes of the library's stars."""

from pathlib import Path

import gaiaxpy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.releases import RELEASES
from xpfeh.xp.bases import BANDS
from xpfeh.xp.calibrate import calibrate
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.synthetic_photometry import _GENERATOR, MAGNITUDES, passbands, synthetic_magnitudes

from tests.conftest import library_stars
from tests.genuine import datalink_file, shared
from tests.sources.reading import read_whole

Columns = dict[str, np.ndarray]


def ours_and_gaiaxpys(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The magnitudes (N, 3) of a file's stars by us and by GaiaXPy."""
    table = gaiaxpy.generate(str(path), gaiaxpy.PhotometricSystem.Gaia_DR3_Vega, save_file=False)
    theirs = np.stack([table[f"GaiaDr3Vega_mag_{band}"].to_numpy(np.float64) for band in ("G", "BP", "RP")], axis=1)
    columns = read_whole(path).columns
    assert columns["source_id"].tolist() == table["source_id"].tolist()
    return synthetic_magnitudes(calibrate(columns, "dr3")[0]), theirs


@pytest.mark.parametrize("kind", ["csv", "fits"])
def test_a_genuine_star_has_gaiaxpys_magnitudes(kind: str, tmp_path: Path) -> None:
    ours, theirs = ours_and_gaiaxpys(datalink_file(kind, tmp_path))
    np.testing.assert_allclose(ours, theirs, atol=0.003)


@pytest.mark.parametrize("name", ["XP_CONTINUOUS_RAW.csv", "ten_bright_stars.csv"])
def test_genuine_stars_have_gaiaxpys_magnitudes(name: str) -> None:
    ours, theirs = ours_and_gaiaxpys(shared(f"gaia_continuous/{name}"))
    np.testing.assert_allclose(ours, theirs, atol=0.005)


def test_without_bp_there_is_no_magnitude() -> None:
    columns = read_whole(shared("gaia_continuous/XP_CONTINUOUS_RAW_with_missing_BP.csv")).columns
    missing = np.isnan(columns["bp_coefficients"]).any(axis=1)
    magnitudes = synthetic_magnitudes(calibrate(columns, "dr3")[0])
    assert missing.any()
    np.testing.assert_array_equal(np.isnan(magnitudes), np.repeat(missing[:, None], 3, axis=1))


def test_stars_of_all_kinds_have_gaiaxpys_magnitudes() -> None:
    """2,000 sources of Gaia's bulk files, of G = 7 to 20, by GaiaXPy's rows: `generate` needs columns they lack."""
    columns = read_whole(shared("xp_chunk0/xp_continuous_combined_chunk0.fits")).columns
    table = gaiaxpy.generator.internal_photometric_system.InternalPhotometricSystem("Gaia_DR3_Vega")
    sampling = table.load_xpsampling_from_xml()
    in_bands = sum(columns[f"{band}_coefficients"] @ sampling[band] for band in BANDS)
    theirs = -2.5 * np.log10(in_bands) + table.get_zero_points()
    difference = synthetic_magnitudes(calibrate(columns, "dr3")[0]) - theirs
    released = theirs[:, 0] < 17.65
    assert np.abs(difference[released]).max() < 0.012
    assert (np.abs(np.median(difference, axis=0)) < 0.0003).all()
    for bluest, reddest in ((-1, 1), (1, 2), (2, 6)):
        colour = theirs[:, 1] - theirs[:, 2]
        of_colour = difference[released & (colour > bluest) & (colour <= reddest)]
        assert (np.percentile(np.abs(of_colour), 68, axis=0) < 0.0025).all(), (bluest, reddest)


def test_real_stars_have_gaias_magnitudes() -> None:
    """Over all colours; red stars lose nothing beyond 1020 nm: G and RP do not drift with colour."""
    stars = library_stars(0, 40_000)
    measured = np.stack([stars[name] for name in MAGNITUDES], axis=1)
    difference = synthetic_magnitudes(stars["flux"]) - measured
    colour = measured[:, 1] - measured[:, 2]
    for bluest, reddest, g, bp, rp in (
        (-1.0, 0.5, -8.4, -5.8, -2.5),
        (0.5, 1.0, -4.9, -5.7, -1.0),
        (1.0, 1.5, -3.4, -6.9, -1.0),
        (1.5, 2.0, -2.4, -8.2, -0.9),
        (2.0, 3.0, -1.7, -11.2, -0.8),
        (3.0, 6.0, -1.5, -17.3, 0.0),
    ):
        of_colour = difference[(colour > bluest) & (colour <= reddest)]
        np.testing.assert_allclose(1e3 * np.median(of_colour, axis=0), (g, bp, rp), atol=0.2)
    giants = difference[(colour > 0.7) & (colour < 1.9)]
    spread = np.percentile(np.abs(giants - np.median(giants, axis=0)), 68, axis=0)
    assert (spread < 0.004).all()
    blended = np.abs(giants[:, 0]) > 0.1  # a neighbour's light: more in the spectrum's window than in G's
    assert blended.mean() < 0.03
    assert (giants[blended, 0] < 0).mean() > 0.99


def test_the_passbands_are_smooth_and_have_an_area_of_one() -> None:
    """As passbands that are not normalised do; what swings by more than its band would amplify noise."""
    weights, zero_point = passbands()
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=0.001)
    assert (weights.min(axis=0) > -0.08 * weights.max(axis=0)).all()
    bp, rp = (WAVELENGTH_NM < 700), (WAVELENGTH_NM > 600)
    assert np.abs(weights[~bp, 1]).max() < 0.01 * weights[:, 1].max()
    assert np.abs(weights[~rp, 2]).max() < 0.08 * weights[:, 2].max()
    np.testing.assert_array_equal(zero_point, [-26.4899, -25.9655, -27.2164])


def test_the_generator_is_of_the_models_of_dr3() -> None:
    models = RELEASES["dr3"].models
    assert models is not None
    assert _GENERATOR.endswith(f"{models['bp']}{models['rp']}.xml")


@hypothesis_settings(max_examples=20)
@given(star=st.integers(0, 299), factor=st.floats(0.01, 100))
def test_a_flux_ten_times_as_large_is_2_5_mag_brighter(star: int, factor: float) -> None:
    flux = library_stars(star, 1)["flux"]
    brighter, still = synthetic_magnitudes(np.concatenate([10 * factor * flux, factor * flux]))
    np.testing.assert_allclose(brighter - still, -2.5, atol=1e-9)


@hypothesis_settings(max_examples=15)
@given(rows=st.lists(st.integers(0, 599), min_size=1, max_size=300, unique=True))
def test_a_stars_bytes_do_not_depend_on_its_batch(rows: list[int]) -> None:
    flux = library_stars(0, 600)["flux"]
    assert synthetic_magnitudes(flux)[rows].tobytes() == synthetic_magnitudes(flux[rows]).tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_spectrum_that_is_not_finite_has_no_magnitude(value: float) -> None:
    flux = library_stars(0, 3)["flux"]
    flux[1, 100] = value
    assert np.isnan(synthetic_magnitudes(flux)).all(axis=1).tolist() == [False, True, False]


def test_flux_in_another_unit_has_no_magnitude() -> None:
    flux = library_stars(0, 3)["flux"]
    assert np.isfinite(synthetic_magnitudes(flux)).all()
    assert np.isnan(synthetic_magnitudes(flux / flux.mean(axis=1)[:, None])).all()
    assert np.isnan(synthetic_magnitudes(-flux)).all()
    assert np.isnan(synthetic_magnitudes(np.zeros((1, 343)))).all()
    assert synthetic_magnitudes(np.empty((0, 343))).shape == (0, 3)
