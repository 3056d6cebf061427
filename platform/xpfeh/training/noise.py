"""Realistic XP noise: correlated between neighbouring pixels, because a spectrum is a sum of smooth functions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xpfeh.xp import pixels
from xpfeh.xp.bases import load_bands
from xpfeh.xp.usual_noise import usual_relative_error

_TILT = 0.5  # e-folds from the middle to either end of the spectrum, see `fainter_factors`


@lru_cache(maxsize=4)
def _mixing(n_pixels: int) -> NDArray[np.float64]:
    """Return (coefficients, pixels) weights that turn white noise of coefficients into noise in pixel errors."""
    samples = []
    for band in load_bands("dr3").values():
        n = len(band.basis)
        weighted = np.zeros((n, band.samples.size))
        # Errors fall to a tenth from the first to the last coefficient, see `pixel_noise`.
        weighted[:, band.samples] = np.linspace(1.0, 0.1, n)[:, None] * band.basis * band.weight
        samples.append(weighted)
    stacked = np.concatenate(samples)
    error = np.sqrt(np.square(stacked).sum(axis=0))[None]
    cuts = pixels.edges(n_pixels)
    means = np.add.reduceat(stacked, cuts[:-1], axis=1) / np.diff(cuts)
    return means / pixels.error_pixels(error, n_pixels)


def pixel_noise(n_rows: int, n_pixels: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw noise in units of the pixel errors (the rms of a pixel's sample errors, paper section 2.1).

    The bases are DR3's; the coefficients' errors are assumed to be independent and to decrease with their order, as in
    real stars. The noise of a pixel is then 0.3 to 0.9 of its error, and neighbours are anticorrelated by about 0.5:
    the same follows from the covariances of real stars, both bright ones with full correlations and those at G = 17.

    Returns
    -------
    (n_rows, n_pixels) float32
    """
    mixing = _mixing(n_pixels)
    white = rng.standard_normal((n_rows, len(mixing)), dtype=np.float32)
    return white @ mixing.astype(np.float32)


def fainter_factors(n_rows: int, n_pixels: int, largest: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw factors, 1 to `largest`, by which errors grow when a star is farther away.

    Some faint stars' errors grow more in the red, others' in the blue, so each row is slightly tilted.

    Returns
    -------
    (n_rows, n_pixels) float32
    """
    tilt = rng.uniform(-_TILT, _TILT, (n_rows, 1)) * np.linspace(-1, 1, n_pixels)
    factors = largest ** rng.uniform(0, 1, (n_rows, 1)) * np.exp(tilt)
    return np.maximum(factors, 1).astype(np.float32)


def fainter(
    flux: NDArray[np.float32], flux_error: NDArray[np.float32], target: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make spectra noisier until their errors are `target`; a pixel that is already noisier is unchanged.

    Parameters
    ----------
    flux, flux_error, target : (N, pixels) float32
        Features, and the errors of fainter stars on the same scale.

    Returns
    -------
    flux, flux_error : (N, pixels) float32
    """
    added = np.sqrt(np.maximum(np.square(target) - np.square(flux_error), 0))
    noisy = flux + added * pixel_noise(len(flux), flux.shape[1], rng)
    return noisy.astype(np.float32), np.maximum(target, flux_error)


def as_if_at(
    g_mag: float, stars: Mapping[str, NDArray], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return flux and error of `stars` as if each had this G: errors grow as in real stars, with noise to match.

    Parameters
    ----------
    g_mag : float
    stars : mapping of arrays
        ``flux``, ``flux_error`` (N, pixels) and ``phot_g_mean_mag`` (N,).
    """
    growth = usual_relative_error(g_mag) / usual_relative_error(stars["phot_g_mean_mag"])
    target = stars["flux_error"] * np.maximum(growth, 1)[:, None].astype(np.float32)
    return fainter(stars["flux"], stars["flux_error"], target, rng)
