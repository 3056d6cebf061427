"""Colours, magnitudes and the paper's cuts (section 2.3), as functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xpfeh.typing import Array

# Gaia EDR3 Vega zero points (Riello et al. 2021, DOI 10.1051/0004-6361/202039587).
_ZERO_POINT = {"g": 25.6873668671, "bp": 25.3385422158, "rp": 24.7478955012}


def excess_factor(g_mag: Array, bp_mag: Array, rp_mag: Array) -> Array:
    """Return ``phot_bp_rp_excess_factor`` = (F_BP + F_RP) / F_G from the three (N,) Vega magnitudes.

    Examples
    --------
    >>> excess_factor(np.array([11.5]), np.array([12.0]), np.array([10.8])).round(3).tolist()
    [1.26]
    """
    g = _flux(g_mag, "g")
    return (_flux(bp_mag, "bp") + _flux(rp_mag, "rp")) / g


def absolute_magnitude(g_mag: Array, a_g: Array, distance_pc: Array) -> Array:
    """Return (N,) M_G = G - A_G - 5 log10(distance / pc) + 5, NaN where the distance is unknown or not positive.

    Examples
    --------
    >>> absolute_magnitude(np.array([10.0, 10.0]), np.array([0.5, 0.5]), np.array([1000.0, np.nan])).tolist()
    [-0.5, nan]
    """
    distance = np.where(distance_pc > 0, distance_pc, np.nan)
    return g_mag - a_g - 5 * np.log10(distance) + 5


def height_pc(distance_pc: Array, b_deg: Array, sun_height_pc: float) -> Array:
    """Return the (N,) height over the Galactic plane, Z = distance sin b plus the Sun's height, pc.

    Examples
    --------
    >>> height_pc(np.array([1000.0]), np.array([-90.0]), sun_height_pc=20.8).tolist()
    [-979.2]
    """
    return distance_pc * np.sin(np.radians(b_deg)) + sun_height_pc


def passes_excess_factor(excess: Array, bp_rp0: Array) -> NDArray[np.bool_]:
    """Return which of N stars pass cut 1: ``phot_bp_rp_excess_factor < 1.15 + 0.19 (BP-RP)0^2``.

    Examples
    --------
    >>> passes_excess_factor(np.array([1.33, 1.35]), np.array([1.0, 1.0])).tolist()
    [True, False]
    """
    return excess < 1.15 + 0.19 * bp_rp0**2


def passes_colour(bp_rp0: Array) -> NDArray[np.bool_]:
    """Return which of N stars pass the first half of cut 2, colour: ``0.7 < (BP-RP)0 < 1.9``.

    Examples
    --------
    >>> passes_colour(np.array([0.7, 1.0])).tolist()
    [False, True]
    """
    return (bp_rp0 > 0.7) & (bp_rp0 < 1.9)


def passes_giant(m_g: Array, bp_rp0: Array) -> NDArray[np.bool_]:
    """Return which of N stars pass the second half of cut 2, luminosity: ``M_G < -(BP-RP)0^2 + 6.5 (BP-RP)0 - 1.8``.

    Examples
    --------
    >>> passes_giant(np.array([0.5, 4.5]), np.array([1.0, 1.0])).tolist()
    [True, False]
    """
    return m_g < -(bp_rp0**2) + 6.5 * bp_rp0 - 1.8


def passes_height(z_pc: Array) -> NDArray[np.bool_]:
    """Return which of N stars pass cut 3: ``|Z| > 0.2 kpc``.

    Examples
    --------
    >>> passes_height(np.array([-250.0, 150.0])).tolist()
    [True, False]
    """
    return np.abs(z_pc) > 200.0


def _flux(mag: Array, band: str) -> Array:
    return 10 ** (-0.4 * (mag - _ZERO_POINT[band]))
