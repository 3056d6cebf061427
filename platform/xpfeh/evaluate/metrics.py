"""How good predictions are: one summary of residuals and intervals, over all stars and over slices."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

MAD_TO_SIGMA = 1.4826
"""Standard deviation over median absolute deviation of a Gaussian: 1 / norm.ppf(3 / 4)."""
CATASTROPHIC = 0.5
"""Residual (dex) from which a prediction is worse than none."""

_FREEDOM = 4  # of Student's t: its tails are those of the calibrated 95 % intervals, LOG 2026-11-23
_G_EDGES = (0.0, 11.0, 12.0, 13.0, 14.0, 15.0, 21.0)  # of the slices; labelled stars end near 15, all of Gaia at 21
_WORST = 0.99  # quantile of the domain score beyond which a star counts as caught

Array = NDArray[np.floating]


def robust_sigma(values: Array) -> float:
    """Return 1.4826 times the median absolute deviation of (N,) values from their median.

    Examples
    --------
    >>> round(robust_sigma(np.array([-0.1, 0.0, 0.1, 50.0])), 4)
    0.1483
    """
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def summary(stars: Mapping[str, NDArray]) -> dict[str, float]:
    """Return the numbers of N stars.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``feh`` (true, dex) and what `xpfeh.inference.predictor.Predictor.predict` gives.

    Returns
    -------
    dict
        ``n``; ``bias`` (mean), ``median``, ``robust_sigma``, ``std``, ``mae`` of the residuals, dex;
        ``coverage_68`` and ``coverage_95``, the share of stars within their intervals; ``z_robust_std`` of residual /
        ``FEH_err``; ``nll``, the mean negative log-likelihood of a Gaussian with ``FEH_err``; ``nll_t``, that of
        Student's t with 4 degrees of freedom and the same 68 % interval, whose tails are those of the calibrated 95 %
        intervals, and which a single wrong label does not decide; ``catastrophic``, how
        many residuals are beyond 0.5 dex, and ``caught``, how many of those are among the 1 % with the largest
        domain scores, where there are such. Of no stars, ``n`` alone.

    Examples
    --------
    >>> truth, predicted = np.array([-1.0, -0.5, 0.0]), np.array([-0.9, -0.5, 0.7])
    >>> stars = {"feh": truth, "FEH": predicted, "FEH_err": np.full(3, 0.1)}
    >>> stars |= {"FEH_lo68": predicted - 0.1, "FEH_hi68": predicted + 0.1}
    >>> stars |= {"FEH_lo95": predicted - 0.2, "FEH_hi95": predicted + 0.2}
    >>> numbers = summary(stars)
    >>> {name: round(numbers[name], 3) for name in ("n", "bias", "mae", "coverage_95", "catastrophic")}
    {'n': 3, 'bias': 0.267, 'mae': 0.267, 'coverage_95': 0.667, 'catastrophic': 1}
    """
    if not len(stars["feh"]):
        return {"n": 0}
    truth, error = (np.asarray(stars[name], dtype=np.float64) for name in ("feh", "FEH_err"))
    residual = stars["FEH"] - truth
    z = residual / error
    catastrophic = np.abs(residual) > CATASTROPHIC
    # The t distribution's scale at which 68 % of it lie within the error.
    scale = error / student_t.ppf(0.84, _FREEDOM)
    numbers = {
        "n": len(residual),
        "bias": float(residual.mean()),
        "median": float(np.median(residual)),
        "robust_sigma": robust_sigma(residual),
        "std": float(residual.std()),
        "mae": float(np.abs(residual).mean()),
        "coverage_68": float(((truth >= stars["FEH_lo68"]) & (truth <= stars["FEH_hi68"])).mean()),
        "coverage_95": float(((truth >= stars["FEH_lo95"]) & (truth <= stars["FEH_hi95"])).mean()),
        "z_robust_std": robust_sigma(z),
        "nll": float((0.5 * z**2 + np.log(error) + 0.5 * np.log(2 * np.pi)).mean()),
        "nll_t": float(-student_t.logpdf(residual, _FREEDOM, scale=scale).mean()),
        "catastrophic": int(catastrophic.sum()),
    }
    if "domain_score" in stars:
        worst = stars["domain_score"] >= np.quantile(stars["domain_score"], _WORST)
        numbers["caught"] = int((catastrophic & worst).sum())
    return numbers


def sliced_summary(stars: Mapping[str, NDArray]) -> dict[str, dict[str, float]]:
    """Return `summary` overall, below [Fe/H] -1 and -2, and by G.

    Parameters
    ----------
    stars : mapping of (N, ...) arrays
        As for `summary`, and ``phot_g_mean_mag``.

    Examples
    --------
    >>> names = ("feh", "FEH", "FEH_err", "FEH_lo68", "FEH_hi68", "FEH_lo95", "FEH_hi95", "phot_g_mean_mag")
    >>> metrics = sliced_summary(dict.fromkeys(names, np.array([])))
    >>> list(metrics)[:5], metrics["all"]
    (['all', 'feh<-1', 'feh<-2', '0<=G<11', '11<=G<12'], {'n': 0})
    """
    g_mag = stars["phot_g_mean_mag"]
    slices = {
        "all": np.ones(len(g_mag), dtype=bool),
        "feh<-1": stars["feh"] < -1,
        "feh<-2": stars["feh"] < -2,
    }
    slices |= {f"{low:g}<=G<{high:g}": (g_mag >= low) & (g_mag < high) for low, high in pairwise(_G_EDGES)}
    return {
        name: summary({column: values[inside] for column, values in stars.items()}) for name, inside in slices.items()
    }
