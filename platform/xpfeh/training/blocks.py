"""Stars in blocks, so that what is computed from all of them needs memory for one block only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.typing import Array, Columns

BLOCK = 32_768
"""Stars: 90 MB of spectra and errors. The packaged labels fit in one block, so block borders never change its model."""

Passes = Callable[[], Iterable[NDArray]]
"""Returns the blocks of an (N, ...) array each time it is called."""


def blocks(rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield row numbers, a block at a time.

    Examples
    --------
    >>> [len(block) for block in blocks(np.arange(40_000))]
    [32768, 7232]
    """
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK]


def thinned(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return at most `most` of the rows, evenly spaced.

    Examples
    --------
    >>> thinned(np.arange(5), 3)
    array([0, 2, 4])
    """
    return rows[:: -(-len(rows) // most) or 1]


@dataclass(frozen=True)
class Blocks:
    """Some rows of an (N, ...) array, a block at a time, as often as needed."""

    values: NDArray
    rows: NDArray[np.intp]

    def __iter__(self) -> Iterator[NDArray]:
        return (self.values[block] for block in blocks(self.rows))


def mean_and_deviation(passes: Passes) -> tuple[NDArray, NDArray]:
    """Return the (P,) means and standard deviations of an (N, P) array, in its own precision."""
    mean, count = _mean(passes())
    return mean, np.sqrt(sum(np.square(block - mean).sum(axis=0) for block in passes()) / count)


def covariance(passes: Passes) -> Array:
    """Return the (P, P) covariance of an (N, P) array."""
    mean, count = _mean(block.astype(np.float64) for block in passes())
    centred = (block.astype(np.float64) - mean for block in passes())
    return sum(block.T @ block for block in centred) * (1 / (count - 1))


def _mean(each: Iterable[NDArray]) -> tuple[NDArray, int]:
    """Return the (P,) means of an (N, P) array, and N."""
    total: NDArray = np.zeros((), np.float32)
    count = 0
    for block in each:
        total, count = total + block.sum(axis=0), count + len(block)
    return total / count, count


def numbers_of(stars: Columns, rows: NDArray) -> dict[str, NDArray]:
    """Return some rows of all columns with one value per star: of all but the spectra."""
    return rows_of({name: values for name, values in stars.items() if values.ndim == 1}, rows)


def joined(parts: Iterable[Columns]) -> dict[str, NDArray]:
    """Return the rows of all parts, in their order."""
    first, *others = parts
    return {name: np.concatenate([values, *(each[name] for each in others)]) for name, values in first.items()}
