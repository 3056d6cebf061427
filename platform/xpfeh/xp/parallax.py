"""Parallaxes: their zero point, and the distance from a good one.

Gaia's parallaxes are too small by about 0.02 to 0.04 mas. The zero point of DR3 is that of Lindegren et al. (2021, DOI
10.1051/0004-6361/202039653), from the package gaiadr3-zeropoint; DR4 is expected to have one for each star (ESA's draft
data model, 26 June 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike
from zero_point import zpt

from xpfeh.typing import Array

PARALLAX_INPUTS = (
    "parallax", "parallax_error", "parallax_over_error", "nu_eff_used_in_astrometry", "pseudocolour", "ecl_lat",
    "astrometric_params_solved", "tentative_parallax_bias",
)  # fmt: skip
"""The columns of gaia_source that `corrected_parallax` uses in addition to G, where known."""
PARALLAX = ("parallax", "parallax_over_error")
"""The columns that it returns."""

LEAST_PARALLAX_OVER_ERROR = 5.0
"""1/parallax is used as a distance only above this.

Its bias and its error grow with the relative error of the parallax, and beyond 20 % a prior decides (Bailer-Jones 2015,
DOI 10.1086/683116).
"""
_FIVE_PARAMETERS, _SIX_PARAMETERS = 31, 95  # values of astrometric_params_solved: without, and with, a pseudocolour


def zero_point(star: Mapping[str, ArrayLike]) -> Array:
    """Return the parallax zero point of N stars, mas, to be subtracted from the parallax.

    It is ``tentative_parallax_bias`` (DR4) where known; otherwise Lindegren's, within its range: 6 < G < 21,
    five or six parameters, 1.1 < nu_eff < 1.9 or 1.24 < pseudocolour < 1.72; otherwise 0.

    Parameters
    ----------
    star : mapping of (N,) arrays
        ``parallax`` and, where known, ``phot_g_mean_mag`` (mag) and the other `PARALLAX_INPUTS`, named as in
        gaia_source (mas, 1/micrometre, deg); unknown values are NaN.

    Examples
    --------
    >>> star = {"parallax": [1.0], "phot_g_mean_mag": [12.0], "nu_eff_used_in_astrometry": [1.5]}
    >>> star |= {"ecl_lat": [30.0], "astrometric_params_solved": [31]}
    >>> zero_point(star).tolist(), zero_point({**star, "tentative_parallax_bias": [-0.03]}).tolist()
    ([-0.029195], [-0.03])
    """
    bias = _column(star, "tentative_parallax_bias")
    bias = np.where(np.isfinite(bias), bias, _lindegren(star))
    return np.where(np.isfinite(bias), bias, 0.0)


def corrected_parallax(star: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Return the columns of `PARALLAX` of N stars: ``parallax`` minus its zero point, and ``parallax_over_error``.

    The latter is the archive's, or computed here if only ``parallax_error`` is known; both are for the parallax as
    measured, so that a cut on it selects the same stars as a query of the archive.

    Parameters
    ----------
    star : mapping of (N,) arrays
        As for `zero_point`.

    Examples
    --------
    >>> star = {"parallax": [0.97, 0.2], "parallax_error": [0.02, 0.1], "tentative_parallax_bias": [-0.03, np.nan]}
    >>> {name: values.round(6).tolist() for name, values in corrected_parallax(star).items()}
    {'parallax': [1.0, 0.2], 'parallax_over_error': [48.5, 2.0]}
    """
    measured, error, over_error = (_column(star, name) for name in PARALLAX_INPUTS[:3])
    # A file may hold any number; one that overflows is not a parallax, and has no distance.
    with np.errstate(over="ignore", invalid="ignore"):
        computed = measured / np.where(error > 0, error, np.nan)
        parallax = measured - zero_point(star)
    return {"parallax": parallax, "parallax_over_error": np.where(np.isnan(over_error), computed, over_error)}


def distance_pc(parallax_mas: Array, parallax_over_error: Array) -> Array:
    """Return (N,) distances 1/parallax, pc; NaN unless the parallax is positive and `parallax_over_error` > 5.

    Examples
    --------
    >>> distance_pc(np.array([2.0, 2.0, -2.0]), np.array([50.0, 5.0, 50.0])).tolist()
    [500.0, nan, nan]
    """
    with np.errstate(divide="ignore", over="ignore"):
        distance = 1000 / parallax_mas
    good = (parallax_over_error > LEAST_PARALLAX_OVER_ERROR) & (distance > 0) & (distance < np.inf)
    return np.where(good, distance, np.nan)


def _lindegren(star: Mapping[str, ArrayLike]) -> Array:
    """Return the zero point (N,) of Lindegren et al. (2021), mas; NaN where it is undefined."""
    parameters, ecl_lat = _column(star, "astrometric_params_solved"), _column(star, "ecl_lat")
    nu_eff, pseudocolour = _column(star, "nu_eff_used_in_astrometry"), _column(star, "pseudocolour")
    g_mag, colour = _column(star, "phot_g_mean_mag"), np.where(parameters == _FIVE_PARAMETERS, nu_eff, pseudocolour)
    known = np.isin(parameters, (_FIVE_PARAMETERS, _SIX_PARAMETERS))
    known &= np.isfinite(g_mag) & np.isfinite(colour) & np.isfinite(ecl_lat)
    # Each star twice: NumPy sums the terms of a single star in a different order from those of several.
    rows = np.flatnonzero(known).repeat(2)
    bias = np.full(len(known), np.nan)
    if not len(rows):
        return bias
    with np.errstate(over="ignore", invalid="ignore"):  # from colours far out of range, which become NaN
        bias[rows] = _tables().get_zpt(
            g_mag[rows], colour[rows], colour[rows], ecl_lat[rows], parameters[rows], _warnings=False
        )
    return bias


@cache
def _tables() -> ModuleType:
    """Return the authors' module, with its coefficients loaded once per process."""
    zpt.load_tables()
    return zpt


def _column(star: Mapping[str, ArrayLike], name: str) -> Array:
    """Return a column as float64, NaN where the table lacks it."""
    return np.asarray(star[name], dtype=np.float64) if name in star else np.full(np.shape(star["parallax"]), np.nan)
