import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.settings import PreprocessSettings
from xpfeh.xp import pixels
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.preprocess import ERROR_BITS, FLUX_BITS, correct_spectra, preprocess


@given(n_pixels=st.integers(2, 343))
def test_ranges_cover_every_sample_once_and_evenly(n_pixels: int) -> None:
    widths = np.diff(pixels.edges(n_pixels))
    assert widths.sum() == 343
    assert widths.max() - widths.min() <= 1


@pytest.mark.parametrize("n_pixels", [7, 60, 343])
def test_equals_a_slow_loop(n_pixels: int) -> None:
    rng = np.random.default_rng(0)
    flux, error = rng.normal(size=(5, 343)), rng.uniform(0.1, 2, size=(5, 343))
    cuts = pixels.edges(n_pixels)
    for i in range(5):
        for p in range(n_pixels):
            inside = slice(cuts[p], cuts[p + 1])
            assert pixels.flux_pixels(flux, n_pixels)[i, p] == np.median(flux[i, inside])
            rms = np.sqrt(np.mean(error[i, inside] ** 2))
            np.testing.assert_allclose(pixels.error_pixels(error, n_pixels)[i, p], rms)


def test_a_pixels_centre_is_its_mean_wavelength() -> None:
    assert pixels.centres_nm(343).tolist() == WAVELENGTH_NM.tolist()
    assert pixels.centres_nm(60)[0] == np.mean(WAVELENGTH_NM[: pixels.edges(60)[1]])


def test_normalisation_takes_both_ends() -> None:
    flux = np.where((WAVELENGTH_NM >= 540) & (WAVELENGTH_NM <= 560), 3.0, 100.0)[None]
    assert pixels.normalisation(flux, (540.0, 560.0)).tolist() == [3.0]


@pytest.mark.parametrize("n_pixels", [7, 60, 120])
def test_pixels_of_features_equal_those_of_the_spectrum(spectra: dict[str, np.ndarray], n_pixels: int) -> None:
    """The former way: medians and rms first, then the normalisation."""
    absolute = correct_spectra(spectra, PreprocessSettings())
    level = pixels.normalisation(absolute["flux"], (540.0, 560.0))[:, None]
    before = pixels.flux_pixels(absolute["flux"], n_pixels) / level
    error_before = pixels.error_pixels(absolute["flux_error"], n_pixels) / level
    samples = ((absolute[name] / level).astype(np.float32) for name in ("flux", "flux_error"))
    flux, error = pixels.rebin(*samples, n_pixels)
    assert flux.dtype == error.dtype == np.float32
    np.testing.assert_allclose(flux, before, rtol=2e-7)
    np.testing.assert_allclose(error, error_before, rtol=2e-7)
    features = preprocess(spectra, PreprocessSettings())
    flux, error = pixels.rebin(features["flux"], features["flux_error"], n_pixels)
    np.testing.assert_allclose(flux, before, rtol=2.0**-FLUX_BITS)
    np.testing.assert_allclose(error, error_before, rtol=2.0**-ERROR_BITS)


def test_343_pixels_are_the_samples_themselves() -> None:
    flux, error = np.ones((2, 343), np.float32), np.ones((2, 343), np.float32)
    same, same_error = pixels.rebin(flux, error, 343)
    assert same is flux
    assert same_error is error


def test_a_spectrum_of_nan_stays_nan() -> None:
    nothing = np.full((1, 343), np.nan, np.float32)
    for values in pixels.rebin(nothing, nothing, 60):
        assert np.isnan(values).all()
