"""Lists of numbers in the cells of any table: Arrow lists, arrays of any width, or text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import simdjson

from xpfeh.columns import to_arrow
from xpfeh.errors import InputError

_NO_NUMBERS = to_arrow(np.empty(0))
NUMBERS = pa.list_(pa.float64())
"""The type of a column of lists of numbers."""


class ListColumn:
    """A column of lists of float64, from cells of text appended one by one.

    What is not a number becomes null; a missing cell, ``null`` and ``[]`` become an empty list.

    Examples
    --------
    >>> column = ListColumn()
    >>> for cell in (b"(1, 2.5)", b"[3,twelve]", None):
    ...     column.append(cell)
    >>> column.to_arrow().to_pylist()
    [[1.0, 2.5], [3.0, None], []]
    """

    def __init__(self) -> None:
        self._parse: Callable[[bytes], Any] = simdjson.Parser().parse  # threads cannot share one
        self._lists: list[Any] = []
        self._not_json: dict[int, str] = {}

    def append(self, cell: bytes | None) -> None:
        """Add the cell of one row."""
        text = (cell or b"").strip(b'[]() \r\n"')
        if text in (b"", b"null"):
            numbers = _NO_NUMBERS
        elif (numbers := self._json_numbers(text)) is None:
            self._not_json[len(self._lists)] = text.decode("utf-8", "replace")
        self._lists.append(numbers)

    def _json_numbers(self, text: bytes) -> pa.Array | None:
        """Return a list's numbers, None if they are not JSON: NaN, words, integers of more than 64 bits."""
        if b"[" in text:  # simdjson would join lists in a list
            return None
        try:
            numbers = pa.py_buffer(self._parse(b"[" + text + b"]").as_buffer(of_type="d"))
        except (RuntimeError, TypeError, ValueError):
            return None
        return pa.Array.from_buffers(pa.float64(), numbers.size // 8, [None, numbers])

    def to_arrow(self) -> pa.Array:
        """Return all lists."""
        # What is not JSON is parsed at once, since each call of polars costs 0.1 ms.
        words = pl.Series(list(self._not_json.values()), dtype=pl.String).str.split(",")
        numbers = words.explode().str.strip_chars().cast(pl.Float64, strict=False).rechunk().to_arrow()
        start = 0
        for row, length in zip(self._not_json, words.list.len().to_list(), strict=True):
            self._lists[row] = numbers.slice(start, length)
            start += length
        offsets = np.cumsum([0, *map(len, self._lists)], dtype=np.int32)
        return pa.ListArray.from_arrays(to_arrow(offsets), pa.concat_arrays([_NO_NUMBERS, *self._lists]))


def parse_lists(cells: Iterable[bytes | None]) -> pa.Array:
    """Return the lists of float64 in cells of text, see `ListColumn`."""
    column = ListColumn()
    for cell in cells:
        column.append(cell)
    return column.to_arrow()


def arrow_lists(column: pa.ChunkedArray, name: str, path: str) -> pa.ChunkedArray | pa.Array:
    """Return a column of lists, or of text like ``(1.0, 2.0)``, as lists of float64; a `UserError` if it is neither."""
    kind = column.type
    if _is_text(kind):
        return parse_lists(column.cast(pa.large_binary()).to_pylist())
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
        return parse_lists(cell if isinstance(cell, bytes) else cell.encode() for cell in values)
    else:
        cells = [np.ma.filled(np.ma.asarray(cell, dtype=np.float64), np.nan).ravel() for cell in values]
        cells = [np.empty(0) if np.isnan(cell).all() else cell for cell in cells]
        lengths = np.array([cell.size for cell in cells], dtype=np.int64)
        flat = np.concatenate([np.empty(0), *cells])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(flat))
