"""G, BP and RP of a star from its spectrum, for stars without Gaia's photometry: one matrix for all spectra.

GaiaXPy's generator goes from coefficients to magnitudes (Gaia Collaboration, Montegriffo et al. 2023,
DOI 10.1051/0004-6361/202243709). Here spectra may only exist as samples, so the matrix converts samples to fluxes; it
is derived from the generator's. Its agreement with the generator and with Gaia's magnitudes is in docs/ingest.md,
Magnitudes from the spectrum.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from xpfeh.files import package_file
from xpfeh.typing import Array
from xpfeh.xp.bases import BANDS, GAIAXPY, load_bands, numbers
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.product import PRODUCT_ROWS, one_thread, product

MAGNITUDES = ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")
"""Columns of gaia_source, in the order of the matrix."""

_GENERATOR = "config/filters/XpFilter_GaiaDr3Vega_v375wiv142r.xml"  # of DR3's models (xpfeh/releases.py)

_BRIGHTEST, _FAINTEST = 0.0, 25.0
"""Gaia's spectra have G of 2 to 21: a magnitude outside this range means that the flux is not in W m-2 nm-1."""

_DECLINE = 2.0
"""The median size of a star's coefficient k (2,000 sources) falls about as (1 + k)^-2: the weight of equation k."""
_SMOOTHNESS = 0.1
"""Weight of second differences. With 0.03 the RP weights swing by half their peak; with 1, BP is worse by a fifth."""


class Passbands(NamedTuple):
    """Converts samples into magnitudes: ``-2.5 log10(flux @ weights) + zero_point``.

    Attributes
    ----------
    weights : (343, 3) float64
        For G, BP and RP, with flux in W m-2 nm-1.
    zero_point : (3,) float64
        Vega system, mag.
    """

    weights: Array
    zero_point: Array


def synthetic_magnitudes(flux: Array) -> Array:
    """Return the Vega magnitudes G, BP and RP of N spectra; each star's depend only on that star, to the last bit.

    Parameters
    ----------
    flux : (N, 343) float64
        On `xpfeh.xp.grid`, W m-2 nm-1, not dereddened.

    Returns
    -------
    (N, 3) float64
        NaN where a flux is not finite, the flux in the band is not positive, or the magnitude is outside 0 to 25.

    Examples
    --------
    A flux that is the same at all wavelengths, and a flux ten times as large:

    >>> synthetic_magnitudes(np.array([[1e-16], [1e-15]]) * np.ones(343)).round(2).tolist()
    [[13.51, 14.03, 12.78], [11.01, 11.53, 10.28]]
    """
    bands = passbands()
    in_bands = np.empty((len(flux), len(MAGNITUDES)))
    for start in range(0, len(flux), PRODUCT_ROWS):
        rows = slice(start, start + PRODUCT_ROWS)
        in_bands[rows] = product(flux[rows], bands.weights)  # (M, 343) -> (M, 3)
    good = np.isfinite(flux).all(axis=1, keepdims=True) & (in_bands > 0)  # (N, 1) and (N, 3)
    magnitudes = -2.5 * np.log10(np.where(good, in_bands, np.nan)) + bands.zero_point
    return np.where((magnitudes > _BRIGHTEST) & (magnitudes < _FAINTEST), magnitudes, np.nan)


@lru_cache(maxsize=1)
def passbands() -> Passbands:
    """Return Gaia DR3's passbands for the samples, derived from GaiaXPy's rows of coefficients.

    They are the weights w that minimise ``sum_k a_k^2 (D w - t)_k^2 + s^2 |second differences of w|^2``: D (110, 343)
    samples the basis functions, t is the generator's row, and a_k is the size that coefficients have in stars. Without
    the second term w would not be unique, and would oscillate. Flux beyond 1020 nm, a part of G and RP, is not sampled;
    it is inferred from shorter wavelengths, as in stars' spectra.

    Raises
    ------
    UserError
        If GaiaXPy is not installed.

    Examples
    --------
    The mean wavelengths of the three, nm:

    >>> weights = passbands().weights
    >>> (WAVELENGTH_NM @ weights / weights.sum(axis=0)).round().tolist()
    [672.0, 532.0, 794.0]
    """
    targets, zero_point = _generator()
    sampled = [_basis_on_grid(band) for band in BANDS]
    sizes = np.concatenate([(1.0 + np.arange(len(rows))) ** -_DECLINE for rows in sampled])[:, None]
    design = sizes * np.concatenate(sampled)  # (110, 343)
    scale = np.abs(design).max()
    bends = _SMOOTHNESS * np.diff(np.eye(WAVELENGTH_NM.size), 2, axis=0)  # (341, 343)
    equations = np.concatenate([design / scale, bends])
    wanted = np.concatenate([sizes * targets / scale, np.zeros((len(bends), len(MAGNITUDES)))])
    with one_thread():
        weights = np.linalg.lstsq(equations, wanted)[0]
    return Passbands(weights, zero_point)


def _basis_on_grid(band: str) -> Array:
    """Return a band's basis functions on all samples, with the weight that they have in a merged spectrum."""
    there = load_bands("dr3", GAIAXPY, None)[band]  # as `calibrate` calls it: one entry of the cache, not two
    rows = np.zeros((len(there.basis), WAVELENGTH_NM.size))
    rows[:, there.samples] = there.weight * there.basis
    return rows


def _generator() -> tuple[Array, Array]:
    """Return the (110, 3) rows with which GaiaXPy converts coefficients to fluxes, BP's first, and the zero points."""
    root = ElementTree.parse(package_file(GAIAXPY, _GENERATOR)).getroot()
    rows = [numbers(root, f"XpSampling/{band}SampledBases/*").reshape(len(MAGNITUDES), -1).T for band in BANDS]
    return np.concatenate(rows), numbers(root, "zeropoints/*")
