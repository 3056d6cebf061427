"""The compiled scanner of Gaia's text: where fields begin and end, and the numbers in lists.

A decimal number of at most 2^53 without its point, times or over a power of ten up to 10^22, is one exact
operation (Clinger 1990, DOI 10.1145/93548.93557). That is every correlation and error that Gaia delivers; a column
with any other cell is left to polars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

_POWERS = 10.0 ** np.arange(23)  # 10^22 is the last power of ten that a double holds exactly
_LARGEST = 2**53  # the last integer up to which a double holds every one
_QUOTE, _COMMA, _SPACE, _POINT, _MINUS, _PLUS, _NEWLINE, _RETURN = b'", .-+\n\r'
_OPEN, _CLOSE, _EXPONENT = tuple(b"[("), tuple(b"])"), tuple(b"eE")
_NULL = np.frombuffer(b"null", dtype=np.uint8)
NOT_PLAIN = -1
"""In place of a count: a list that holds more than plain numbers."""

Text = NDArray[np.uint8]
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


def _compile(function: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
    """Compile a function once a machine; where nothing can be kept, once a process."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no place for it: the installation is read-only, and there is no home
        return numba.njit(nogil=True)(function)


@_compile
def scan(
    text: Text, separator: int, columns: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return where the wanted fields begin and end, how many plain numbers each holds, and the number of rows."""
    n_lines = 1
    for i in range(text.size):
        n_lines += text[i] == _NEWLINE
    bounds = np.zeros((n_lines, values.shape[0], 2), dtype=np.int64)
    counts = np.zeros((n_lines, values.shape[0]), dtype=np.int64)
    filled = np.zeros(values.shape[0], dtype=np.int64)
    row, i = 0, 0
    while i < text.size:
        if text[i] == _NEWLINE or text[i] == _RETURN:
            i += 1
            continue
        field = 0
        while True:
            quoted = i < text.size and text[i] == _QUOTE
            i += quoted
            start = i
            column = columns[field] if field < columns.size else -1
            if column > 0:
                count, i = _plain_numbers(text, i, values[column], filled[column])
                ended = i < text.size and (text[i] == _QUOTE if quoted else text[i] == separator or text[i] == _NEWLINE)
                counts[row, column] = count if ended or i == text.size else NOT_PLAIN
                filled[column] += max(count, 0)
            i = _end_of_field(text, i, separator, quoted)
            if column >= 0:
                bounds[row, column, 0], bounds[row, column, 1] = start, i
            if quoted and i < text.size and text[i] == _QUOTE:
                i += 1
            if i >= text.size or text[i] != separator:
                break
            i += 1
            field += 1
        while i < text.size and text[i] != _NEWLINE:
            i += 1
        row += 1
    return bounds, counts, row


@_compile
def _end_of_field(text: Text, i: int, separator: int, quoted: bool) -> int:
    while i < text.size and text[i] != _NEWLINE:
        if quoted and text[i] == _QUOTE:
            if i + 1 < text.size and text[i + 1] == _QUOTE:
                i += 1
            else:
                break
        elif not quoted and text[i] == separator:
            break
        i += 1
    return i


@_compile
def _plain_numbers(text: Text, i: int, values: NDArray[np.float64], first: int) -> tuple[int, int]:
    """Read a list into `values` from `first` on; return its length, or NOT_PLAIN, and where reading ended."""
    if i + 4 <= text.size and (text[i : i + 4] == _NULL).all():
        return 0, i + 4
    if i >= text.size or (text[i] != _OPEN[0] and text[i] != _OPEN[1]):
        return NOT_PLAIN, i
    i += 1
    count = 0
    while i < text.size:
        while i < text.size and text[i] == _SPACE:
            i += 1
        if count == 0 and i < text.size and (text[i] == _CLOSE[0] or text[i] == _CLOSE[1]):
            return 0, i + 1
        negative = i < text.size and text[i] == _MINUS
        i += negative
        begun = i
        mantissa, i = _digits(text, i, 0)
        digits, scale = i - begun, 0
        if i < text.size and text[i] == _POINT:
            begun = i + 1
            mantissa, i = _digits(text, begun, mantissa)
            scale = begun - i
            digits -= scale
        if i < text.size and (text[i] == _EXPONENT[0] or text[i] == _EXPONENT[1]):
            i += 1
            shrinks = i < text.size and text[i] == _MINUS
            i += shrinks or (i < text.size and text[i] == _PLUS)
            begun = i
            power, i = _digits(text, i, 0)
            if i == begun or i - begun > 4:
                return NOT_PLAIN, i
            scale += -power if shrinks else power
        if digits == 0 or digits > 18 or mantissa > _LARGEST or abs(scale) >= _POWERS.size or i >= text.size:
            return NOT_PLAIN, i
        number = mantissa / _POWERS[-scale] if scale < 0 else mantissa * _POWERS[scale]
        values[first + count] = -number if negative else number
        count += 1
        if text[i] == _CLOSE[0] or text[i] == _CLOSE[1]:
            return count, i + 1
        if text[i] != _COMMA:
            return NOT_PLAIN, i
        i += 1
    return NOT_PLAIN, i


@_compile
def _digits(text: Text, i: int, value: Any) -> tuple[Any, int]:
    """Append the digits from `i` on to `value` (int64), return both; beyond 18 digits the value is meaningless."""
    while i < text.size:
        digit = np.uint8(text[i] - 48)
        if digit > 9:
            break
        value = value * 10 + np.int64(digit)
        i += 1
    return value, i
