"""Colours, magnitudes and the paper's cuts (section 2.3), each a function of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Gaia EDR3 Vega zero points (Riello et al. 2021, DOI 10.1051/0004-6361/202039587).
_ZERO_POINT = {"g": 25.6873668671, "bp": 25.3385422158, "rp": 24.7478955012}


def excess_factor(g_mag: Array, bp_mag: Array, rp_mag: Array) -> Array:
    """Return ``phot_bp_rp_excess_factor`` = (F_BP + F_RP) / F_G from the three (N,) Vega magnitudes."""
    bp, g, rp = (
        10 ** (-0.4 * (mag - _ZERO_POINT[band])) for band, mag in (("bp", bp_mag), ("g", g_mag), ("rp", rp_mag))
    )
    return (bp + rp) / g


def absolute_magnitude(g_mag: Array, a_g: Array, rgeo_pc: Array) -> Array:
    """Return M_G = G - A_G - 5 log10(rgeo / pc) + 5, NaN where the distance is unknown or not positive."""
    distance = np.where(rgeo_pc > 0, rgeo_pc, np.nan)
    return g_mag - a_g - 5 * np.log10(distance) + 5


def height_pc(rgeo_pc: Array, b_deg: Array, sun_height_pc: float) -> Array:
    """Return the height over the Galactic plane, Z = rgeo sin b plus the Sun's own height, pc."""
    return rgeo_pc * np.sin(np.radians(b_deg)) + sun_height_pc


def passes_excess_factor(excess: Array, bp_rp0: Array) -> NDArray[np.bool_]:
    """Cut 1: ``phot_bp_rp_excess_factor < 1.15 + 0.19 (BP-RP)0^2``."""
    return excess < 1.15 + 0.19 * bp_rp0**2


def passes_colour(bp_rp0: Array) -> NDArray[np.bool_]:
    """Cut 2, colour: ``0.7 < (BP-RP)0 < 1.9``."""
    return (bp_rp0 > 0.7) & (bp_rp0 < 1.9)


def passes_giant(m_g: Array, bp_rp0: Array) -> NDArray[np.bool_]:
    """Cut 2, luminosity: ``M_G < -(BP-RP)0^2 + 6.5 (BP-RP)0 - 1.8``."""
    return m_g < -(bp_rp0**2) + 6.5 * bp_rp0 - 1.8


def passes_height(z_pc: Array) -> NDArray[np.bool_]:
    """Cut 3: ``|Z| > 0.2 kpc``."""
    return np.abs(z_pc) > 200.0
