"""Turns whatever a user gives as stars into one source of spectra: the only entry of the Python interface."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Row
from numpy.typing import NDArray

from xpfeh.column_names import find_columns
from xpfeh.errors import InputError
from xpfeh.tables.checks import DESIGNATION
from xpfeh.tables.in_memory import is_pandas, is_table

_ACCEPTED = "give identifiers, names of files, or a table (astropy, pandas, polars, Arrow, or a mapping of arrays)"


def source_of(stars: Any, release: str = "dr3") -> Any:
    """Return stars in a form that `xpfeh.sources.reader.find_spectra` takes.

    Parameters
    ----------
    stars
        An identifier, an integer or its digits, or a list, array, column or series of them: their spectra come from
        Gaia's archive. A path, or a list of paths. A table, or one of its rows.
    release : {"dr3", "dr4"}
        Data release of identifiers.

    Raises
    ------
    InputError
        If it is anything else, or identifiers are floats.

    Examples
    --------
    >>> source_of(Path("star.csv")), source_of(("a.csv", "b.csv"))
    (['star.csv'], ['a.csv', 'b.csv'])
    """
    found = ids_or_source(stars)
    if not isinstance(found, np.ndarray):
        return found
    from xpfeh.archive.cache import bring  # pyvo and requests, which a file does not need

    return bring(found, release)


def ids_or_source(stars: Any) -> Any:
    """Return identifiers (N,) int64 if the stars are given by identifiers; otherwise as `source_of`.

    Examples
    --------
    >>> ids_or_source(["17", "Gaia DR3 18"])
    array([17, 18])
    >>> ids_or_source(5.9e18)
    Traceback (most recent call last):
    xpfeh.errors.InputError: identifiers are float64, which loses digits; give integers or text
    """
    if isinstance(stars, Row):
        return stars.table[stars.index : stars.index + 1]
    if is_pandas(stars, "Series") and find_columns([*map(str, stars.index)], ["source_id"]):
        return _one_row(stars.to_dict())
    if is_table(stars):
        return _one_row(stars) if isinstance(stars, Mapping) and _is_one_row(stars) else stars
    not_in_a_row = InputError(f"not a list of identifiers or files: {type(stars).__name__}; {_ACCEPTED}")
    try:
        values = np.atleast_1d(np.ma.asarray(stars))
    except (TypeError, ValueError):  # lists of rows, or of lists of several lengths
        raise not_in_a_row from None
    if not values.size:
        raise InputError(f"there are no stars; {_ACCEPTED}")
    if values.dtype.kind == "f":
        raise InputError(f"identifiers are {values.dtype}, which loses digits; give integers or text")
    if values.ndim != 1 or values.dtype.names or np.ma.is_masked(values):
        raise not_in_a_row
    return _ids_or_files(np.ma.getdata(values), stars)


def _ids_or_files(values: NDArray, stars: Any) -> Any:
    kinds = {type(each) for each in values} if values.dtype.kind == "O" else set()
    if values.dtype.kind in "iu" or (kinds and all(issubclass(kind, int | np.integer) for kind in kinds)):
        return _int64(values)
    if values.dtype.kind in "US" or (kinds and all(issubclass(kind, str | bytes) for kind in kinds)):
        text = np.char.strip([each.decode() if isinstance(each, bytes) else each for each in values.tolist()])
        text = np.array([re.sub(DESIGNATION, "", each) for each in text.tolist()])
        digits = np.char.isdecimal(text)
        if digits.all():
            return _int64(text)
        if digits.any():
            raise InputError(
                f"{str(text[~digits][0])!r} is not an identifier, but others are; give only identifiers or only files"
            )
        return [str(each) for each in values.tolist()]
    if kinds and all(issubclass(kind, str | Path) for kind in kinds):
        return [str(each) for each in values]
    raise InputError(f"no stars in {type(stars).__name__}; {_ACCEPTED}")


def _int64(values: NDArray) -> NDArray[np.int64]:
    refused = InputError("an identifier is negative, or has more than 63 bits; Gaia's have at most 19 digits")
    try:
        ids = values.astype(np.int64)
    except (OverflowError, ValueError):
        raise refused from None
    if (ids < 0).any():  # unsigned 64-bit integers can become negative, too
        raise refused
    return ids


def _is_one_row(columns: Mapping[str, Any]) -> bool:
    names = find_columns([*map(str, columns)], ["source_id"]).get("source_id", [])
    return bool(names) and np.ndim(columns[names[0]]) == 0


def _one_row(row: Mapping[str, Any]) -> dict[str, list[Any]]:
    name = find_columns([*map(str, row)], ["source_id"])["source_id"][0]
    if isinstance(row[name], float):
        raise InputError(
            "the row's source_id is a float, which loses digits; give a table of one row, as stars.iloc[[0]]"
        )
    return {each: [value] for each, value in row.items()}
