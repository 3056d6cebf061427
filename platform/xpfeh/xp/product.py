"""A matrix product whose rows do not depend on the number or order of the other rows, to the last bit.

BLAS sums a row in a different order at the edge of its blocks, and where it splits work between threads. Here every
product has the same shape and one thread; whether a row's result then depends on its place is checked once per shape,
and if it does (no such machine is known) NumPy's own slow loop is used.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache

import numpy as np
from threadpoolctl import ThreadpoolController

from xpfeh.typing import Array

PRODUCT_ROWS = 240
"""Rows per product: a multiple of the block heights of the BLAS kernels in use (4, 6, 8, 12, 16, 24)."""


def product(rows: Array, matrix: Array) -> Array:
    """Return ``rows @ matrix`` for at most `PRODUCT_ROWS` rows (M, K) and a matrix (K, S).

    Examples
    --------
    >>> product(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    padded = np.zeros((PRODUCT_ROWS, rows.shape[1]))
    padded[: len(rows)] = rows  # (M, K) -> (PRODUCT_ROWS, K)
    multiply = _blas if _rows_are_alike(matrix.shape) else _loop
    return multiply(padded, matrix)[: len(rows)]


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS and LAPACK have one thread, so that results do not depend on their number.

    Examples
    --------
    >>> with one_thread():
    ...     np.linalg.solve(np.array([[2.0]]), np.array([3.0])).tolist()
    [1.5]
    """
    return _threads().limit(limits=1, user_api="blas")


@lru_cache(maxsize=64)
def _rows_are_alike(shape: tuple[int, int]) -> bool:
    """Return whether BLAS returns equal results for `PRODUCT_ROWS` equal rows times a matrix of this shape."""
    rng = np.random.default_rng(0)
    result = _blas(np.tile(rng.standard_normal(shape[0]), (PRODUCT_ROWS, 1)), rng.standard_normal(shape))
    return bool((result == result[0]).all())


def _blas(rows: Array, matrix: Array) -> Array:
    with one_thread():
        return rows @ matrix


def _loop(rows: Array, matrix: Array) -> Array:
    return np.einsum("ik,ks->is", rows, matrix, optimize=False)


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    return ThreadpoolController()  # finding the BLAS libraries takes longer than a product
