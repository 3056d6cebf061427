"""Lists of numbers in the cells of any table: Arrow lists, arrays of any width, or text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from xpfeh.columns import to_arrow
from xpfeh.errors import InputError

NUMBERS = pa.list_(pa.float64())
"""The type of a column of lists of numbers."""


def parse_lists(cells: pl.Series) -> pa.Array:
    """Return the lists of float64 in cells of any text; slower than `xpfeh.sources.text_rows`.

    What is not a number becomes null; a missing cell, ``null`` and ``[]`` become an empty list.

    >>> parse_lists(pl.Series(["(1, 2.5)", "[3,twelve]", None])).to_pylist()
    [[1.0, 2.5], [3.0, None], []]
    """
    series = cells.fill_null("").str.strip_chars('[]() \r"').replace("null", "")
    parts = series.str.replace_all(" ", "", literal=True).str.split(",")
    lengths = np.where(series.str.len_bytes().to_numpy() == 0, 0, parts.list.len().to_numpy())
    numbers = parts.filter(lengths > 0).explode().cast(pl.Float64, strict=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(to_arrow(offsets), numbers.rechunk().to_arrow())


def arrow_lists(column: pa.ChunkedArray, name: str, path: str) -> pa.ChunkedArray | pa.Array:
    """Return a column of lists, or of text like ``(1.0, 2.0)``, as lists of float64; a `UserError` if it is neither."""
    kind = column.type
    if _is_text(kind):
        return parse_lists(pl.Series(column.cast(pa.large_string())))
    if pa.types.is_null(kind):
        return column.cast(NUMBERS)
    if _is_list(kind):
        inner = kind.value_type
        if _is_text(inner):
            words = pl.Series(column).list.eval(pl.element().str.strip_chars().cast(pl.Float64, strict=False))
            return words.to_arrow().cast(NUMBERS)
        if pa.types.is_floating(inner) or pa.types.is_integer(inner) or pa.types.is_decimal(inner):
            return column.cast(NUMBERS)
    raise InputError(f"{path}: {name} is {kind}; a list of numbers per star is needed")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def number_lists(column: Any) -> pa.Array:
    """Return the lists of float64 in N cells; masked numbers are NaN, and a cell with only NaN is a missing list.

    In an array of fixed width a missing band can only be marked by NaN.
    """
    values = np.ma.asarray(column)
    if values.dtype.kind in "iuf":
        # (N, K): all cells have the same width.
        numbers = np.ma.filled(values.astype(np.float64), np.nan).reshape(len(values), math.prod(values.shape[1:]))
        present = ~np.isnan(numbers).all(axis=1)
        lengths = present * numbers.shape[1]
        flat = numbers[present].ravel()
    elif all(isinstance(cell, bytes | str) for cell in values):
        texts = [cell.decode("ascii", "replace") if isinstance(cell, bytes) else cell for cell in values]
        return parse_lists(pl.Series(texts, dtype=pl.String))
    else:
        cells = [np.ma.filled(np.ma.asarray(cell, dtype=np.float64), np.nan).ravel() for cell in values]
        cells = [np.empty(0) if np.isnan(cell).all() else cell for cell in cells]
        lengths = np.array([cell.size for cell in cells], dtype=np.int64)
        flat = np.concatenate([np.empty(0), *cells])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(flat))
