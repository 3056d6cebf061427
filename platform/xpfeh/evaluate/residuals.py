"""Centre and width of residuals: by moments, by the median and by a Gaussian fit, each with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from xpfeh.evaluate.cells import by_cell, estimates, weighted_median
from xpfeh.typing import Array, Columns

SPREADS = ("bias", "median", "robust_sigma", "std", "mae")
"""The numbers of `spreads`."""
CLIP = 3.0
"""The Gaussian fit excludes residuals beyond this many sigma, as the paper does (section 4.2.3)."""
FEW = 10
"""Stars: with fewer, no width is computed."""
NAMES = ("gauss_mean", "gauss_sigma", *SPREADS)
"""The numbers of `residual_numbers`; each has a standard error, ``mae_se`` and so on."""

_MAD_TO_SIGMA = 1.4826  # standard deviation over median absolute deviation of a Gaussian: 1 / norm.ppf(3 / 4)

_ROUNDS = 10  # by then the fit of a Gaussian core moves by less than 1e-4 of its sigma
# A Gaussian cut at 3 sigma is narrower by this factor: the deviation of a truncated normal.
_LEFT = float(np.sqrt(1 - 2 * CLIP * norm.pdf(CLIP) / (2 * norm.cdf(CLIP) - 1)))


def spreads(residual: Array, weight: Array, names: Sequence[str] = SPREADS) -> Array:
    """Return K of the `SPREADS` of (N,) residuals in B resamples, (K, B).

    Examples
    --------
    >>> spreads(np.array([-0.1, 0.0, 0.1, 50.0]), np.array([[1.0, 1, 1, 0]])).round(4).ravel().tolist()
    [0.0, 0.0, 0.1483, 0.0816, 0.0667]
    """
    # In ascending order the residuals and their distances from a median form runs, which a stable sort merges fast.
    order = np.argsort(residual)
    residual, weight = residual[order], weight[:, order]
    moments = np.stack([residual, np.square(residual), np.abs(residual)], axis=1)  # (N, 3)
    mean, square, mae = (weight @ moments / weight.sum(axis=1, keepdims=True)).T
    found = {"bias": mean, "std": np.sqrt(np.maximum(square - np.square(mean), 0)), "mae": mae}
    if not {*names} <= found.keys():  # the medians take most of the time
        median = weighted_median(np.broadcast_to(residual, weight.shape), weight)
        deviation = weighted_median(np.abs(residual - median[:, None]), weight)
        found |= {"median": median, "robust_sigma": _MAD_TO_SIGMA * deviation}
    return np.stack([found[name] for name in names])


def robust_sigma(values: NDArray) -> float:
    """Return 1.4826 times the median absolute deviation of (N,) values from their median.

    Examples
    --------
    >>> round(robust_sigma(np.array([-0.1, 0.0, 0.1, 50.0])), 4)
    0.1483
    """
    return float(_MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def gaussian_fit(residual: Array, weight: Array) -> Array:
    """Return mean and sigma of the Gaussian core of (N,) residuals in B resamples, (2, B).

    Mean and deviation of the residuals within 3 sigma, iterated; the deviation is corrected for what the cut removes
    from a Gaussian. There are no bins, and wrong labels do not widen it.

    Parameters
    ----------
    residual : (N,) float64
    weight : (B, N) float64
        How often each star is in each resample.

    Examples
    --------
    >>> core = norm.ppf((np.arange(10_000) + 0.5) / 10_000)  # a perfect Gaussian of sigma 1
    >>> stars = np.r_[0.1 + 0.05 * core, np.full(100, 2.0)]  # and 1 % of wrong labels
    >>> gaussian_fit(stars, np.ones((1, 10_100))).round(3).ravel().tolist()
    [0.1, 0.05]
    """
    # All resamples start from the median of all stars, since wrong labels pull mean and deviation away.
    mean = np.full(len(weight), np.median(residual))
    sigma = np.full(len(weight), max(robust_sigma(residual), 1e-9))
    moments = np.stack([np.ones_like(residual), residual, np.square(residual)], axis=1)  # (N, 3)
    for _ in range(_ROUNDS):
        inside = weight * (np.abs(residual - mean[:, None]) <= CLIP * sigma[:, None])  # (B, N)
        n, total, squares = (inside @ moments).T
        n = np.maximum(n, 1)
        mean = total / n
        sigma = np.sqrt(np.maximum(squares / n - np.square(mean), 1e-18)) / _LEFT
    return np.stack([mean, sigma])


def residual_numbers(stars: Columns) -> dict[str, float]:
    """Return ``n`` and `NAMES` of predicted minus true [Fe/H], with standard errors by resampling cells of the sky.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``source_id``, ``feh`` (true) and ``FEH``, dex; stars with NaN in either are left out.

    Returns
    -------
    dict
        NaN for fewer than `FEW` stars; errors also for fewer than `xpfeh.evaluate.cells.FEW_CELLS` cells.

    Examples
    --------
    >>> residual = 0.1 * norm.ppf((np.arange(1000) + 0.5) / 1000)
    >>> stars = {"source_id": np.arange(1000) * 2**49, "feh": np.zeros(1000), "FEH": residual}
    >>> numbers = residual_numbers(stars)
    >>> [round(numbers[name], 3) for name in ("n", "gauss_sigma", "gauss_sigma_se", "robust_sigma", "std")]
    [1000, 0.1, 0.002, 0.1, 0.1]
    """
    known = np.isfinite(stars["FEH"]) & np.isfinite(stars["feh"])
    n = int(known.sum())
    if n < FEW:
        known &= False
    residual = np.asarray(stars["FEH"], np.float64)[known] - stars["feh"][known]
    return {"n": n} | estimates(by_cell(stars["source_id"][known]), NAMES, partial(_all_numbers, residual))


@dataclass(frozen=True)
class Running:
    """Mean and scatter of residuals along a quantity, in B bins of equal width.

    Attributes
    ----------
    centre, n, mean, mean_se, sigma, sigma_se : (B,) float64
        Of the Gaussian fit; only bins with `FEW` stars or more.
    """

    centre: Array
    n: Array
    mean: Array
    mean_se: Array
    sigma: Array
    sigma_se: Array


def running(x: NDArray, stars: Columns, bins: int = 10) -> Running:
    """Return mean and scatter of the residuals along (N,) values of a quantity.

    The bins span its 0.5th to 99.5th percentile: the outermost stars would make them too wide.

    Examples
    --------
    >>> x = np.linspace(0, 1, 1001)
    >>> stars = {"source_id": np.arange(1001) * 2**49, "feh": np.zeros(1001), "FEH": 0.2 * x}
    >>> running(x, stars, bins=4).mean.round(3).tolist()
    [0.026, 0.075, 0.125, 0.174]
    """
    residual = np.asarray(stars["FEH"], np.float64) - stars["feh"]
    known = np.isfinite(x) & np.isfinite(residual)
    rows = []
    if known.any():
        first, last = np.percentile(x[known], [0.5, 99.5]).tolist()
        edges = np.linspace(first, last, bins + 1)
        of_star = np.searchsorted(edges, x, side="right") - 1
        of_star[x == edges[-1]] = bins - 1
        for number in range(bins):
            chosen = known & (of_star == number)
            if chosen.sum() >= FEW:
                fit = partial(gaussian_fit, residual[chosen])
                found = estimates(by_cell(stars["source_id"][chosen]), ["mean", "sigma"], fit)
                centre = (edges[number] + edges[number + 1]) / 2
                rows.append([centre, chosen.sum(), *(found[key] for key in ("mean", "mean_se", "sigma", "sigma_se"))])
    return Running(*np.array(rows, dtype=np.float64).reshape(-1, 6).T)


def _all_numbers(residual: Array, weight: Array) -> Array:
    return np.concatenate([gaussian_fit(residual, weight), spreads(residual, weight)])
