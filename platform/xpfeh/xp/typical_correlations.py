"""Typical correlations of a band's coefficients, for spectra that come without their own.

The variance of a flux needs the correlations: from the errors of coefficients alone it is too large in the blue and too
small where BP meets RP. Correlations depend on the kind of noise, hence on brightness: a band has four matrices, at G
of about 6, 12.5, 15 and 17.3, and a star gets the mixture for the brightness of its coefficients.

The matrices are means over the 14 stars (15 in RP) with -0.2 < BP-RP < 3 among the 18 DR3 stars with correlations in
public repositories (GaiaXPy's test files, GaiaXPcorrection, PEST, astroquery), each weighted by a Gaussian of one
magnitude around the matrix's magnitude. `tests/xp/making_typical_correlations.py` makes them.

With each star left out in turn, the ratio of a sample's error to that with the star's own correlations is, as median
and 16 to 84 % over samples and stars, and as root mean square of its logarithm:

============  =====  ==================  =====  ==================  =====
G             stars  typical             rms    correlations of 0   rms
============  =====  ==================  =====  ==================  =====
5 to 6        2      1.00 (0.87 - 1.17)  0.184  1.04 (0.83 - 1.36)  0.241
11.8 to 13.9  8      1.00 (0.95 - 1.06)  0.058  1.00 (0.86 - 1.14)  0.168
14.9          1      1.00 (0.94 - 1.05)  0.064  0.95 (0.87 - 1.08)  0.144
16.9 to 17.7  3      1.02 (0.95 - 1.10)  0.081  1.04 (0.96 - 1.16)  0.104
all           14     1.00 (0.94 - 1.07)  0.092  1.01 (0.88 - 1.16)  0.168
============  =====  ==================  =====  ==================  =====

One matrix for all magnitudes has an rms of 0.14 beyond G = 16, worse than none. Means of Fisher's z, medians, shrunk
matrices, and the covariance of photon noise in the star's spectrum were tried and are not better. Of the three excluded
stars two are hot and one is very red: there typical correlations are no better than 0.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from xpfeh.typing import Array
from xpfeh.xp.product import product

DATA = Path(__file__).parent / "data" / "typical_correlations.npz"
"""By release and band, as in ``dr3_bp``: (K, n (n - 1) / 2) float32, strict lower triangles; ``magnitudes``: (K,)."""


def typical_correlations(release: str, band: str, coefficients: Array) -> Array:
    """Return typical correlations for the brightness of N stars.

    A star's correlations depend only on that star, and form a positive definite matrix.

    Parameters
    ----------
    release : {"dr3", "dr4"}
    band : {"bp", "rp"}
    coefficients : (N, n) float64
        At most `xpfeh.xp.product.PRODUCT_ROWS` stars.

    Returns
    -------
    (N, n (n - 1) / 2) float64
        Strict lower triangles, row by row. Zeros for a release without a known matrix: its coefficients belong to
        other functions.

    Examples
    --------
    >>> bright, faint = typical_correlations("dr3", "rp", np.full((2, 55), [[1e5], [10.0]]))
    >>> bool(bright.std() > faint.std() > 0)
    True
    >>> bool(typical_correlations("dr4", "bp", np.ones((1, 51))).any())
    False
    """
    magnitudes, matrices = _load()
    known = matrices.get(f"{release}_{band}")
    if known is None:
        n_stars, n = coefficients.shape
        return np.zeros((n_stars, n * (n - 1) // 2))
    place = np.interp(band_magnitude(coefficients), magnitudes, np.arange(len(magnitudes)))
    below = np.minimum(place.astype(int), len(magnitudes) - 2)
    share = (place - below)[:, None]
    # A mixture of positive definite matrices is positive definite: no variance can be negative.
    return (1 - share) * known[below] + share * known[below + 1]  # (N, 1), (K, C) -> (N, C)


def band_magnitude(coefficients: Array) -> Array:
    """Return the (N,) brightness of a band, -2.5 log of the length of its coefficients (N, n): G - 22.7, roughly.

    >>> band_magnitude(np.array([[100.0, 0.0], [0.0, 10.0]])).tolist()
    [-5.0, -2.5]
    """
    squares = product(np.square(coefficients), np.ones((coefficients.shape[1], 1)))[:, 0]
    return -1.25 * np.log10(np.maximum(squares, np.finfo(np.float64).tiny))


@lru_cache(maxsize=1)
def _load() -> tuple[Array, dict[str, Array]]:
    """Return the magnitudes of the matrices, and the matrices by release and band."""
    with np.load(DATA) as file:
        arrays = {name: file[name].astype(np.float64) for name in file.files}
    return arrays.pop("magnitudes"), arrays
