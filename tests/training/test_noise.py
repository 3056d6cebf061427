"""Noise compared with the covariances of genuine stars, and spectra made fainter."""

from itertools import pairwise

import numpy as np
from xpfeh.sources import reader
from xpfeh.training.noise import fainter, fainter_factors, pixel_noise
from xpfeh.xp import pixels
from xpfeh.xp.bases import BANDS, load_bands

from tests.genuine import shared


def genuine_pixel_noise(columns: dict[str, np.ndarray], star: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's noise over its rms sample error, and the pixels' correlations, by brute force."""
    covariance = np.zeros((343, 343))
    for band in BANDS:
        error = columns[f"{band}_coefficient_errors"][star]
        correlation = np.eye(55)
        correlation[np.tril_indices(55, -1)] = columns[f"{band}_coefficient_correlations"][star]
        correlation = np.tril(correlation) + np.tril(correlation, -1).T
        basis = np.zeros((55, 343))
        part = load_bands("dr3")[band]
        basis[:, part.samples] = part.basis * part.weight
        covariance += basis.T @ (correlation * np.outer(error, error)) @ basis
    cuts = pixels.edges(60)
    means = np.stack([np.isin(np.arange(343), np.arange(a, b)) / (b - a) for a, b in pairwise(cuts)])
    rms = pixels.error_pixels(np.sqrt(np.diag(covariance))[None], 60)[0]
    of_means = means @ covariance @ means.T
    deviation = np.sqrt(np.diag(of_means))
    return deviation / rms, of_means / np.outer(deviation, deviation)


def test_simulated_noise_resembles_that_of_genuine_stars_with_full_correlations() -> None:
    file = reader.open_spectra(str(shared("gaia_continuous/ten_bright_stars.csv")))
    (batch,) = reader.read(file, *file.ranges()[0], reader.NO_COMPANIONS)
    genuine = [genuine_pixel_noise(batch.columns, star) for star in range(10)]
    made = pixel_noise(20_000, 60, np.random.default_rng(0))
    share, correlation = (np.mean([g[i] for g in genuine], axis=0) for i in range(2))
    assert np.abs(made.std(axis=0) - share).max() < 0.2
    neighbours = np.arange(59), np.arange(1, 60)
    assert np.median(np.abs(np.corrcoef(made.T)[neighbours] - correlation[neighbours])) < 0.15


def test_fainter_spectra_have_the_target_errors_and_matching_noise() -> None:
    rng = np.random.default_rng(0)
    flux, error = np.ones((4000, 60), np.float32), np.full((4000, 60), 0.01, np.float32)
    target = error * fainter_factors(4000, 60, 12.0, rng)
    assert target.min() >= 0.01
    noisy, noisy_error = fainter(flux, error, target, rng)
    np.testing.assert_array_equal(noisy_error, target)
    added = (noisy - flux) / np.sqrt(np.maximum(target**2 - error**2, 1e-12))
    unit = pixel_noise(20_000, 60, rng).std(axis=0)
    large = target > 0.02
    np.testing.assert_allclose([added[large[:, i], i].std() / unit[i] for i in range(60)], 1, atol=0.1)
    same, kept = fainter(flux, error, error / 2, rng)
    np.testing.assert_array_equal(same, flux)
    np.testing.assert_array_equal(kept, error)
