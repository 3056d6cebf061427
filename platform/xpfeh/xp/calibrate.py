"""From XP coefficients to absolute flux: equal to `gaiaxpy.calibrate`, without unpacking a matrix.

GaiaXPy has no errors for spectra without correlations: it refuses files that lack them, and NaN gives NaN. Here missing
correlations are replaced by typical ones.

The variance of a sample, ``(D^T C D)_kk``, is linear in the packed covariances, so that a batch of stars is one
matrix product (De Angeli et al. 2023, DOI 10.1051/0004-6361/202243680).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xpfeh.typing import Array, Columns
from xpfeh.xp.bases import BANDS, GAIAXPY, Band, load_bands
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.product import PRODUCT_ROWS, product
from xpfeh.xp.typical_correlations import typical_correlations


def calibrate(
    columns: Columns,
    release: str,
    wavelength_nm: Array | None = None,
    bases: str = GAIAXPY,
) -> tuple[Array, Array]:
    """Return absolute flux and error of N stars.

    Parameters
    ----------
    columns : mapping of arrays
        For each band b in "bp", "rp" with n coefficients: ``b_coefficients``, ``b_coefficient_errors`` (N, n) and
        ``b_coefficient_correlations`` (N, n (n - 1) / 2), the strict lower triangle row by row. NaN coefficients:
        the band is missing; NaN correlations: unknown, replaced by `xpfeh.xp.typical_correlations`.
    release : {"dr3", "dr4"}
    wavelength_nm : (S,) float64, optional
        The user's own grid; default: the 343 samples of `xpfeh.xp.grid`.
    bases : str
        As for `xpfeh.xp.bases.load_bands`.

    Returns
    -------
    flux, flux_error : (N, S) float64
        W m-2 nm-1. With a band missing, NaN outside the range of the other one, as in GaiaXPy.

    Raises
    ------
    UserError
        If there are no bases for that release.

    Examples
    --------
    A star in which only the first basis function of RP is not zero:

    >>> rp = np.zeros((1, 55))
    >>> rp[0, 0] = 1000.0
    >>> star = {
    ...     "bp_coefficients": np.zeros((1, 55)), "rp_coefficients": rp,
    ...     "bp_coefficient_errors": np.ones((1, 55)), "rp_coefficient_errors": np.ones((1, 55)),
    ...     "bp_coefficient_correlations": np.zeros((1, 1485)), "rp_coefficient_correlations": np.zeros((1, 1485)),
    ... }
    >>> flux, flux_error = calibrate(star, "dr3")
    >>> flux.shape, bool(flux[0, 0] == 0), bool(flux[0, 250] > 0)
    ((1, 343), True, True)
    """
    own_grid = None if wavelength_nm is None else tuple(np.asarray(wavelength_nm, dtype=np.float64).tolist())
    bands = load_bands(release, bases, own_grid)
    n_stars = len(columns["bp_coefficients"])
    shape = (n_stars, WAVELENGTH_NM.size if own_grid is None else len(own_grid))
    flux, variance = np.empty(shape), np.empty(shape)
    for start in range(0, n_stars, PRODUCT_ROWS):
        rows = slice(start, min(start + PRODUCT_ROWS, n_stars))
        flux[rows], variance[rows] = _calibrate_chunk(columns, rows, bands, release)
    return flux, np.sqrt(variance)


def pack_covariance(error: Array, correlation: Array) -> Array:
    """Return the packed covariances of N stars, lower triangle row by row with its diagonal.

    Parameters
    ----------
    error : (N, n) float64
    correlation : (N, n (n - 1) / 2) float64
        Strict lower triangle, row by row.

    Returns
    -------
    (N, n (n + 1) / 2) float64

    Examples
    --------
    >>> pack_covariance(np.array([[2.0, 3.0]]), np.array([[0.5]])).tolist()
    [[4.0, 3.0, 9.0]]
    """
    n_stars, n = error.shape
    packed = np.empty((n_stars, n * (n + 1) // 2))
    for row in range(n):
        # Row r of a triangle begins after 1 + 2 + ... numbers: r (r - 1) / 2 without, r (r + 1) / 2 with the diagonal.
        strict, whole = row * (row - 1) // 2, row * (row + 1) // 2
        target = packed[:, whole : whole + row]
        np.multiply(correlation[:, strict : strict + row], error[:, :row], out=target)
        target *= error[:, row : row + 1]
        np.square(error[:, row], out=packed[:, whole + row])
    return packed


def _calibrate_chunk(columns: Columns, rows: slice, bands: Mapping[str, Band], release: str) -> tuple[Array, Array]:
    """Return flux and variance of at most `PRODUCT_ROWS` stars."""
    n_stars = rows.stop - rows.start
    present = {band: np.isfinite(columns[f"{band}_coefficients"][rows]).all(axis=1) for band in BANDS}
    both = present["bp"] & present["rp"]
    n_samples = bands["bp"].samples.size
    flux, variance = np.zeros((2, n_stars, n_samples))
    for name, band in bands.items():
        band_flux, band_variance = _band_flux(columns, name, rows, band, release)  # (M, n) -> (M, P)
        # Where the bands overlap they are averaged; a single band has full weight.
        weight = np.where(both[:, None], band.weight, 1.0)
        used = present[name][:, None]
        flux[:, band.samples] += np.where(used, weight * band_flux, 0.0)  # (M, P) -> (M, 343)
        variance[:, band.samples] += np.where(used, weight**2 * band_variance, 0.0)
        alone = present[name] & ~both
        uncovered = alone[:, None] & ~band.alone
        flux[uncovered] = variance[uncovered] = np.nan
    neither = ~(present["bp"] | present["rp"])
    flux[neither] = variance[neither] = np.nan
    return flux, variance


def _band_flux(columns: Columns, name: str, rows: slice, band: Band, release: str) -> tuple[Array, Array]:
    coefficients = _zero_for_nan(columns[f"{name}_coefficients"][rows])
    error = _zero_for_nan(columns[f"{name}_coefficient_errors"][rows])
    correlation = columns[f"{name}_coefficient_correlations"][rows]
    unknown = ~np.isfinite(correlation).all(axis=1)
    if unknown.any():  # correlations are 12 kB per star: copied only if some must be replaced
        correlation = correlation.copy()
        correlation[unknown] = typical_correlations(release, name, coefficients[unknown])
    return product(coefficients, band.basis), product(pack_covariance(error, correlation), band.pairs)


def _zero_for_nan(values: NDArray) -> Array:
    return np.where(np.isfinite(values), values, 0.0)
