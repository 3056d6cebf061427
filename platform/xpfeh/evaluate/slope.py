"""Does [Fe/H] depend on another abundance? The slope of the residual, which no measure of spread reveals."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from xpfeh.evaluate.cells import by_cell, estimates
from xpfeh.evaluate.metrics import CATASTROPHIC
from xpfeh.typing import Array, Columns

_MIN_STARS = 30  # for a slope: the minimum for a gate, too


def residual_slope(stars: Columns, along: str) -> dict[str, float]:
    """Return the slope of predicted minus true [Fe/H] against [alpha/M] or [C/Fe], by least squares.

    Residuals beyond 0.5 dex are left out: they come from wrong labels and bad spectra, and a few of them at either end
    of the abundance would dominate a least-squares line. They are counted elsewhere.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``source_id``, ``feh`` (true, dex), ``FEH`` and the abundance (dex, NaN where unknown).
    along : {"alpha_m", "c_fe"}

    Returns
    -------
    dict
        ``n``, the number of stars; ``slope``, dex per dex, and ``slope_se``, its standard error by resampling cells of
        the sky; NaN for fewer than 30 stars.

    Examples
    --------
    >>> alpha = np.tile([0.0, 0.1, 0.2, 0.3], 100)
    >>> noise = np.repeat([-0.05, 0.05], 200)
    >>> stars = {"source_id": np.arange(400) * 2**49, "feh": np.zeros(400), "FEH": 0.15 * alpha + noise}
    >>> found = residual_slope({**stars, "alpha_m": alpha}, "alpha_m")
    >>> {name: round(number, 2) for name, number in found.items()}
    {'n': 400, 'slope': 0.15, 'slope_se': 0.02}
    """
    abundance = np.asarray(stars[along], dtype=np.float64)
    residual = np.asarray(stars["FEH"], dtype=np.float64) - stars["feh"]
    used = np.isfinite(abundance) & (np.abs(residual) <= CATASTROPHIC)  # NaN is false
    n = int(used.sum())
    if n < _MIN_STARS or not np.ptp(abundance[used]):
        return {"n": n, "slope": math.nan, "slope_se": math.nan}
    slopes = partial(_slopes, abundance[used], residual[used])
    return {"n": n} | estimates(by_cell(stars["source_id"][used]), ["slope"], slopes)


def _slopes(x: Array, y: Array, weight: Array) -> Array:
    """Return the slopes of the lines through (N,) points in B resamples, (1, B)."""
    products = np.stack([x, y, x * y, x * x], axis=1)  # (N, 4)
    mean_x, mean_y, mean_xy, mean_xx = (weight @ products / weight.sum(axis=1, keepdims=True)).T
    return ((mean_xy - mean_x * mean_y) / (mean_xx - np.square(mean_x)))[None]
