import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.xp import pixels
from xpfeh.xp.grid import WAVELENGTH_NM


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
