"""The usual noise, and the flag of spectra that have much more of it, on all real stars of the library."""

import gaiaxpy
import numpy as np
import pandas as pd
import pytest
from xpfeh.flags import Flag
from xpfeh.labels.cuts import training_cuts
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.library import NAME, library_path, read_apogee_labels
from xpfeh.xp.bases import BANDS
from xpfeh.xp.calibrate import calibrate
from xpfeh.xp.preprocess import ODD_SN, RELEASED_MAG, preprocess
from xpfeh.xp.usual_noise import usual_relative_error

from tests.conftest import library_stars
from tests.genuine import shared
from tests.sources.reading import read_whole

Columns = dict[str, np.ndarray]

ODD = [
    4663467076158870656, 2504951851900737536, 5190922109878846464, 4686338086250442624, 4687201890086026880,
    2957940854319681536, 1219216356342287232, 4648441768732369792,
]  # fmt: skip
"""Giants of G = 11 to 14 that pass the paper's cuts."""


@pytest.fixture(scope="module")
def library() -> Columns:
    """Features of the whole library."""
    return preprocess(library_stars(0, 40_000), PreprocessSettings())


@pytest.fixture(scope="module")
def uncorrelated() -> Columns:
    """Signal-to-noise, G and BP-RP (from the spectra) of 2,000 stars that came without correlations."""
    columns = read_whole(shared("xp_chunk0/xp_continuous_combined_chunk0.fits")).columns
    flux, flux_error = calibrate(columns, "dr3")
    g_mag, bp_mag, rp_mag = synthetic_magnitudes(columns).T
    return {"sn": np.median(flux / flux_error, axis=1), "g": g_mag, "bp_rp": bp_mag - rp_mag}


def synthetic_magnitudes(columns: Columns) -> np.ndarray:
    """GaiaXPy's G, BP and RP (N, 3); it wants correlations, on which fluxes do not depend."""
    stars: dict[str, object] = {"source_id": columns["source_id"], "solution_id": 1}
    for band in BANDS:
        n = columns[f"{band}_coefficients"].shape[1]
        stars |= {f"{band}_n_parameters": n, f"{band}_standard_deviation": 1.0}
        stars |= {f"{band}_n_relevant_bases": n, f"{band}_relative_shrinking": 1.0}
        for kind in ("coefficients", "coefficient_errors", "coefficient_correlations"):
            stars[f"{band}_{kind}"] = list(np.nan_to_num(columns[f"{band}_{kind}"]))
    made = gaiaxpy.generate(
        pd.DataFrame(stars), photometric_system=gaiaxpy.PhotometricSystem.Gaia_DR3_Vega, save_file=False
    )
    return made[[f"GaiaDr3Vega_mag_{band}" for band in ("G", "BP", "RP")]].to_numpy()


def signal_to_noise(features: Columns) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.median(features["flux"] / features["flux_error"], axis=1)


@pytest.mark.parametrize("g_mag", range(9, 15))
def test_the_table_is_that_of_the_librarys_samples(library: Columns, g_mag: float) -> None:
    bp_rp, apart = library["bp_rp"], np.abs(library["phot_g_mean_mag"] - g_mag)
    here = (bp_rp > 0.8) & (bp_rp < 2) & (apart < 0.25)
    median = np.median(1 / signal_to_noise(library)[here])
    np.testing.assert_allclose(usual_relative_error(g_mag), median, rtol=0.025)


@pytest.mark.parametrize("g_mag", [13, 13.5, 14, 14.5, 15, 15.5, 16, 16.5, 17, 17.5])
def test_it_continues_as_the_errors_of_stars_without_correlations_do(uncorrelated: Columns, g_mag: float) -> None:
    bp_rp, g = uncorrelated["bp_rp"], uncorrelated["g"]
    here = (bp_rp > 0.8) & (bp_rp < 2) & (np.abs(g - g_mag) < 0.25)
    ratio = 0.75 / uncorrelated["sn"][here] / usual_relative_error(g[here])
    np.testing.assert_allclose(np.median(ratio), 1, atol=0.035)


def test_the_factor_is_that_of_their_field_and_not_of_the_correlations(library: Columns) -> None:
    """Stars of the library, whose errors have their correlations, are as noisy there."""
    ra, dec, bp_rp = library["ra"], library["dec"], library["bp_rp"]
    near = np.hypot((ra - 45.1) * np.cos(np.radians(dec)), dec - 1.3) < 8
    here = near & (bp_rp > 0.8) & (bp_rp < 2) & (np.abs(library["phot_g_mean_mag"] - 11.875) < 2.875)
    ratio = 1 / signal_to_noise(library)[here] / usual_relative_error(library["phot_g_mean_mag"][here])
    assert here.sum() == 25
    np.testing.assert_allclose(np.median(ratio), 1.48, atol=0.01)


def test_few_of_the_stars_without_correlations_are_odd(uncorrelated: Columns) -> None:
    g_mag = uncorrelated["g"]
    odd = (uncorrelated["sn"] < ODD_SN / usual_relative_error(g_mag)) & (g_mag < RELEASED_MAG)
    assert odd.sum() == 49


def test_stars_that_are_noisier_than_their_magnitude_allows_are_flagged(library: Columns) -> None:
    odd = np.isin(library["source_id"], ODD)
    assert odd.sum() == len(ODD)
    assert (library["flags"][odd] & np.uint32(Flag.ODD_SN)).all()
    found, usual = signal_to_noise(library)[odd], 1 / usual_relative_error(library["phot_g_mean_mag"][odd])
    assert (4.5 < found.min(), found.max() < 28) == (True, True)
    assert (usual > 80).all()


def test_a_few_of_the_giants_are_flagged(library: Columns) -> None:
    labels = read_apogee_labels(library_path(NAME))
    logg = np.full(len(library["source_id"]), np.nan)
    order = np.argsort(library["source_id"])
    logg[order[np.searchsorted(library["source_id"], labels["source_id"], sorter=order)]] = labels["logg"]
    giants = np.logical_and.reduce(list(training_cuts(library, logg).values()))
    share = ((library["flags"][giants] & np.uint32(Flag.ODD_SN)) > 0).mean()
    np.testing.assert_allclose(share, 0.037, atol=0.001)


def test_where_no_noise_is_usual_nothing_is_odd(spectra: Columns) -> None:
    stars = {name: values[:3].copy() for name, values in spectra.items()}
    stars["flux_error"] *= 100
    stars["phot_g_mean_mag"][:] = [12.0, np.nan, 18.0]
    stars["flux"][1] *= 1e-3  # its own G, without Gaia's: beyond 17.65 too
    stars["flux_error"][1] *= 1e-3
    flags = preprocess(stars, PreprocessSettings())["flags"] & np.uint32(Flag.ODD_SN)
    assert (flags > 0).tolist() == [True, False, False]
