"""Does [Fe/H] depend on another abundance? The slope of the residual, which no measure of spread reveals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from xpfeh.evaluate.cells import by_cell, estimates
from xpfeh.evaluate.metrics import CATASTROPHIC
from xpfeh.typing import Array, Columns

_MIN_STARS = 30  # for a slope: the minimum for a gate, too


@dataclass(frozen=True)
class Slope:
    """How the residual changes with an abundance.

    Attributes
    ----------
    n : int
        Number of stars.
    slope, slope_se : float
        Dex per dex, and its standard error by resampling cells; NaN for fewer than 30 stars.
    """

    n: int
    slope: float
    slope_se: float


def residual_slope(stars: Columns, along: str) -> Slope:
    """Return the slope of predicted minus true [Fe/H] against [alpha/M] or [C/Fe], by least squares.

    Residuals beyond 0.5 dex are left out: they come from wrong labels and bad spectra, and a few of them at either end
    of the abundance would dominate a least-squares line. They are counted elsewhere.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``source_id``, ``feh`` (true, dex), ``FEH`` and the abundance (dex, NaN where unknown).
    along : {"alpha_m", "c_fe"}

    Examples
    --------
    >>> alpha = np.tile([0.0, 0.1, 0.2, 0.3], 100)
    >>> noise = np.repeat([-0.05, 0.05], 200)
    >>> stars = {"source_id": np.arange(400) * 2**49, "feh": np.zeros(400), "FEH": 0.15 * alpha + noise}
    >>> found = residual_slope({**stars, "alpha_m": alpha}, "alpha_m")
    >>> found.n, round(found.slope, 3), round(found.slope_se, 2)
    (400, 0.15, 0.02)
    """
    abundance = np.asarray(stars[along], dtype=np.float64)
    residual = np.asarray(stars["FEH"], dtype=np.float64) - stars["feh"]
    used = np.isfinite(abundance) & (np.abs(residual) <= CATASTROPHIC)  # NaN is false
    n = int(used.sum())
    if n < _MIN_STARS or not np.ptp(abundance[used]):
        return Slope(n, math.nan, math.nan)
    slopes = partial(_slopes, abundance[used], residual[used])
    return Slope(n, **estimates(by_cell(stars["source_id"][used]), ["slope"], slopes))


def _slopes(x: Array, y: Array, weight: Array) -> Array:
    """Return the slopes of the lines through (N,) points in B resamples, (1, B)."""
    products = np.stack([x, y, x * y, x * x], axis=1)  # (N, 4)
    mean_x, mean_y, mean_xy, mean_xx = (weight @ products / weight.sum(axis=1, keepdims=True)).T
    return ((mean_xy - mean_x * mean_y) / (mean_xx - np.square(mean_x)))[None]
