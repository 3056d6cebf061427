"""Lists of numbers in the cells of any table: Arrow lists, arrays of any width, or text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
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


def parse_lists(cells: Iterable[bytes | None]) -> pa.Array:
    """Return the lists of float64 in cells of text.

    What is not a number becomes null; a missing cell, ``null`` and ``[]`` become an empty list.

    >>> parse_lists([b"(1, 2.5)", b"[3,twelve]", None]).to_pylist()
    [[1.0, 2.5], [3.0, None], []]
    """
    parse = simdjson.Parser().parse  # one for each call, since threads cannot share it
    texts = [(cell or b"").strip(b'[]() \r\n"') for cell in cells]
    lists: list[Any] = [_json_numbers(text, parse) for text in texts]
    others = [i for i, numbers in enumerate(lists) if numbers is None]
    for i, numbers in zip(others, _any_numbers([texts[i] for i in others]), strict=True):
        lists[i] = numbers
    offsets = np.cumsum([0, *map(len, lists)], dtype=np.int32)
    return pa.ListArray.from_arrays(to_arrow(offsets), pa.concat_arrays([_NO_NUMBERS, *lists]))


def _json_numbers(text: bytes, parse: Callable[[bytes], Any]) -> pa.Array | None:
    """Return the numbers of one list, None if they are not JSON: NaN, words, integers of more than 64 bits."""
    if text in (b"", b"null"):
        return _NO_NUMBERS
    if b"[" in text:  # simdjson would join lists in a list
        return None
    try:
        numbers = pa.py_buffer(parse(b"[" + text + b"]").as_buffer(of_type="d"))
    except (RuntimeError, TypeError, ValueError):
        return None
    return pa.Array.from_buffers(pa.float64(), numbers.size // 8, [None, numbers])


def _any_numbers(texts: list[bytes]) -> Iterator[pa.Array]:
    """Yield the numbers of each list, null for any other word; all at once, since each call of polars costs 0.1 ms."""
    words = pl.Series([text.decode("utf-8", "replace") for text in texts], dtype=pl.String).str.split(",")
    numbers = words.explode().str.strip_chars().cast(pl.Float64, strict=False).rechunk().to_arrow()
    start = 0
    for length in words.list.len().to_list():
        yield numbers.slice(start, length)
        start += length


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
