"""How good predictions are: one summary of residuals and errors, over all stars and over slices."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MAD_TO_SIGMA = 1.4826
_G_EDGES = (0.0, 11.0, 12.0, 13.0, 14.0, 15.0, 21.0)
_NORMAL_95 = 1.959964

Array = NDArray[np.floating]


def robust_sigma(values: Array) -> float:
    """Return 1.4826 times the median absolute deviation from the median."""
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def summary(residual: Array, error: Array) -> dict[str, float]:
    """Return the numbers of N stars.

    Parameters
    ----------
    residual : (N,) float
        Predicted minus true [Fe/H], dex.
    error : (N,) float
        Predicted error, dex.

    Returns
    -------
    dict
        ``n``; ``bias`` (mean), ``median``, ``robust_sigma``, ``std``, ``mae`` in dex; ``coverage_68`` and
        ``coverage_95``, the share of stars within 1 and 1.96 errors; ``z_robust_std`` of residual / error;
        ``nll``, the mean negative log-likelihood. Of no stars, ``n`` alone.
    """
    if not len(residual):
        return {"n": 0}
    residual, error = np.asarray(residual, dtype=np.float64), np.asarray(error, dtype=np.float64)
    z = residual / error
    return {
        "n": len(residual),
        "bias": float(residual.mean()),
        "median": float(np.median(residual)),
        "robust_sigma": robust_sigma(residual),
        "std": float(residual.std()),
        "mae": float(np.abs(residual).mean()),
        "coverage_68": float((np.abs(z) <= 1).mean()),
        "coverage_95": float((np.abs(z) <= _NORMAL_95).mean()),
        "z_robust_std": robust_sigma(z),
        "nll": float((0.5 * z**2 + np.log(error) + 0.5 * np.log(2 * np.pi)).mean()),
    }


def sliced_summary(stars: Mapping[str, NDArray]) -> dict[str, dict[str, float]]:
    """Return `summary` overall, below [Fe/H] -1 and -2, and by G.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``feh`` (true), ``FEH``, ``FEH_err`` (predicted) and ``phot_g_mean_mag``.
    """
    residual = stars["FEH"] - stars["feh"]
    g_mag = stars["phot_g_mean_mag"]
    slices = {
        "all": np.ones(len(residual), dtype=bool),
        "feh<-1": stars["feh"] < -1,
        "feh<-2": stars["feh"] < -2,
    }
    slices |= {f"{low:g}<=G<{high:g}": (g_mag >= low) & (g_mag < high) for low, high in pairwise(_G_EDGES)}
    return {name: summary(residual[inside], stars["FEH_err"][inside]) for name, inside in slices.items()}
