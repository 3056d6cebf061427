"""Standard errors by resampling whole cells of the sky.

Stars in one cell share dust, cluster and Gaia's scans: they are not independent, and a bootstrap of single stars would
underestimate the errors. The cells are those of the split into training and held-out stars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from xpfeh.tables.checks import IDS_PER_PIXEL
from xpfeh.typing import Array

FEW_CELLS = 10
"""With fewer cells an error is NaN: its relative uncertainty, 1 / sqrt(2 cells), would be above 0.23."""
RESAMPLES = 1000
"""A standard error is then accurate to 2 per cent, 1 / sqrt(2 resamples)."""

_IDS_PER_CELL = IDS_PER_PIXEL * 4 ** (12 - 5)  # HEALPix level 5, as in `xpfeh.labels.sample.split_by_sky`
_NUMBERS_AT_ONCE = 2_000_000  # in memory: 16 MB for each array of (resamples, stars)

Statistic = Callable[[Array], Array]
"""Takes (B, N) weights, how often each star is in each of B resamples, and returns K numbers for each, (K, B)."""


def by_cell(source_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the (N,) HEALPix pixel of level 5 (1.8 deg), nested, of each star.

    Examples
    --------
    >>> by_cell(np.array([4295806720, 34361129088, 2**49])).tolist()
    [0, 0, 1]
    """
    return np.asarray(source_id, dtype=np.int64) // _IDS_PER_CELL


def resample(cell: NDArray[np.int64], statistic: Statistic, resamples: int = RESAMPLES) -> Array:
    """Return a statistic's K numbers in resamples of whole cells, (K, resamples), identical in every call.

    Examples
    --------
    >>> cell, values = np.array([0, 0, 1, 2]), np.array([1.0, 1.0, 2.0, 3.0])
    >>> (means,) = resample(cell, lambda weight: (weight @ values / weight.sum(axis=1))[None])
    >>> means.shape, float(means.min()), float(means.max())
    ((1000,), 1.0, 3.0)
    """
    cells, of_star = np.unique(cell, return_inverse=True)
    rng, n_cells = np.random.default_rng(0), len(cells)
    at_once = max(1, _NUMBERS_AT_ONCE // len(cell))
    found = []
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        drawn = rng.integers(n_cells, size=(size, n_cells)) + n_cells * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n_cells).reshape(size, n_cells).astype(np.float64)
        found.append(statistic(times[:, of_star]))  # (B, cells) -> (B, N)
    return np.concatenate(found, axis=1)


def standard_errors(cell: NDArray[np.int64], names: Sequence[str], statistic: Statistic) -> dict[str, float]:
    """Return the standard error of each of a statistic's K numbers as ``NAME_se``; NaN for fewer than `FEW_CELLS`."""
    keys = [f"{name}_se" for name in names]
    if len(np.unique(cell)) < FEW_CELLS:
        return dict.fromkeys(keys, math.nan)
    return dict(zip(keys, resample(cell, statistic).std(axis=1).tolist(), strict=True))


def estimates(cell: NDArray[np.int64], names: Sequence[str], statistic: Statistic) -> dict[str, float]:
    """Return a statistic's K numbers for N stars by name, and their `standard_errors`; all NaN without stars.

    Examples
    --------
    >>> numbers = estimates(np.arange(100), ["mean"], lambda weight: (weight @ np.arange(100) / 100)[None])
    >>> numbers["mean"], round(numbers["mean_se"], 1)
    (49.5, 2.9)
    """
    if not len(cell):
        return dict.fromkeys([*names, *(f"{name}_se" for name in names)], math.nan)
    once = statistic(np.ones((1, len(cell))))[:, 0].tolist()
    return dict(zip(names, once, strict=True)) | standard_errors(cell, names, statistic)


def ratios(part: Array, whole: Array, weight: Array) -> Array:
    """Return the K ratios of sums of (N, K) columns in B resamples, (K, B).

    Examples
    --------
    >>> part, whole = np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]])
    >>> ratios(part, whole, np.array([[1.0, 1.0], [3.0, 1.0]])).tolist()
    [[0.5, 0.75]]
    """
    # A resample of few cells may contain none of the stars: weights are whole numbers, and 0 / 1 is harmless.
    return ((weight @ part) / np.maximum(weight @ whole, 1)).T


def weighted_median(values: Array, weight: Array) -> Array:
    """Return the median of each row of (B, N) values, each counted as often as its integer weight, (B,).

    Examples
    --------
    >>> weighted_median(np.array([[3.0, 1.0, 2.0]]), np.array([[2.0, 1.0, 1.0]])).tolist()  # of 1, 2, 3, 3
    [2.5]
    """
    order = np.argsort(values, axis=1, kind="stable")
    upto = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    # The two middle ones, counted from 0; if the number is odd they are the same.
    ranks = (upto[:, -1:] + [-1, 0]) // 2  # (B, 2)
    middle = np.stack([np.searchsorted(row, rank, side="right") for row, rank in zip(upto, ranks, strict=True)])
    return np.take_along_axis(values, np.take_along_axis(order, middle, axis=1), axis=1).mean(axis=1)
