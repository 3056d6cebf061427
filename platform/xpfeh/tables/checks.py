"""The columns of a table of stars: found under any of their names, and their values checked.

Rows are counted from 0 in messages, which name the table by its `path`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.column_names import find_columns, one_each
from xpfeh.errors import InputError, UserError

IDS_PER_PIXEL = 2**35
"""A source_id divided by this is its HEALPix pixel of level 12, nested (Gaia DR3 documentation, section 20.1.1)."""
DESIGNATION = r"^(?i:Gaia +(E?DR3|DR4)) +"
"""What precedes the identifier in a designation. DR2's identifiers are others."""
TRUE, FALSE = ("true", "t", "1", "1.0"), ("false", "f", "0", "0.0")
"""How archives, databases and spreadsheets write true and false; 1.0 and 0.0 come from integer columns with gaps."""
POSITION_RANGES = {"ra": (0.0, 360.0), "dec": (-90.0, 90.0)}
"""Degrees."""
RANGES = {
    **POSITION_RANGES,
    "ebv": (0.0, 100.0),
    **dict.fromkeys(("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag"), (-5.0, 30.0)),
    "rgeo": (0.1, 1e7),
}
"""The ranges of some columns of Gaia stars: -1, -99, 99 or -9999 are what tables write for unknown. E(B-V), mag: the
map of SFD98 at nside 64 goes from 0.004 to 57. Distances, pc: no star is nearer than 1.3, M31 is at 8e5."""


def with_source_id(frame: pl.DataFrame, path: str | Path) -> pl.DataFrame:
    """Return the table with its identifiers as the column ``source_id``, int64 without gaps.

    Raises
    ------
    UserError
        If there is no such column, or a value is not an integer; it names `path`.

    Examples
    --------
    >>> with_source_id(pl.DataFrame({"SOURCE_ID": ["4295806720"]}), "stars.csv").to_dicts()
    [{'source_id': 4295806720}]
    """
    name = columns_of(frame, path, ["source_id"])["source_id"]
    ids = frame[name]
    check_identifiers(ids.dtype, path)
    integers = bare(ids).cast(pl.Int64, strict=False)
    if integers.null_count():
        row = int(integers.is_null().arg_true()[0])
        found = "missing" if ids[row] is None else f"{ids[row]!r}"
        raise InputError(f"{path}: source_id of row {row} is {found}; write 64-bit integers, a float loses digits")
    return frame.drop(name).insert_column(0, integers.alias("source_id"))


def bare(ids: pl.Series) -> pl.Series:
    """Return identifiers without blanks, and without ``Gaia DR3`` and the like, which the archive's designations have.

    Examples
    --------
    >>> bare(pl.Series(["Gaia DR3 4295806720", " 17"])).to_list()
    ['4295806720', '17']
    """
    return ids.str.strip_chars().str.replace(DESIGNATION, "") if ids.dtype == pl.String else ids


def check_identifiers(dtype: pl.DataType, path: str | Path) -> None:
    """Raise an `InputError` that names `path` if a column of this type cannot hold identifiers."""
    # A float64 holds 53 bits: of a source_id's 63 the last ten would be wrong, and with them the star.
    if not (dtype.is_integer() or dtype == pl.String):
        raise InputError(f"{path}: source_id is {dtype}; write 64-bit integers, a float loses digits")


def check_unique(source_id: NDArray[np.int64], path: str) -> None:
    """Raise a `UserError` that names `path` if a star is in a dataset more than once."""
    ids, times = np.unique(source_id, return_counts=True)
    if len(ids) < len(source_id):
        raise UserError(
            f"{path}: source_id {ids[times > 1][0]} is there {times.max()} times; `xpfeh verify` counts such stars; "
            "ingest again without the repeated files"
        )


def columns_of(
    frame: pl.DataFrame,
    path: str | Path,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    j2000_first: bool = False,
) -> dict[str, str]:
    """Return a table's own names for our columns, see `xpfeh.column_names.find_columns`.

    Raises
    ------
    UserError
        If a needed one is missing, or two whose names differ only in case hold different values; it names `path`.

    Examples
    --------
    >>> columns_of(pl.DataFrame({"Source": [7], "Gmag": [12.5]}), "stars.csv", ["source_id"], ["phot_g_mean_mag", "ra"])
    {'source_id': 'Source', 'phot_g_mean_mag': 'Gmag'}
    """
    found = find_columns(frame.columns, (*needed, *optional), j2000_first)
    if missing := [name for name in needed if name not in found]:
        raise _missing(missing, frame, path)
    return one_each(found, lambda one, other: frame[one].cast(pl.String).equals(frame[other].cast(pl.String)), path)


def numbers(frame: pl.DataFrame, name: str, path: str | Path) -> pl.Series:
    """Return a column as float64, null where there is no value.

    Raises
    ------
    UserError
        If a value is not a number; it names `path`.

    Examples
    --------
    >>> numbers(pl.DataFrame({"feh": ["-2.5", None]}), "feh", "labels.csv").to_list()
    [-2.5, None]
    """
    column = frame[name]
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Null)):
        raise InputError(f"{path}: {name} is {column.dtype}; write numbers")
    values = column.cast(pl.Float64, strict=False)
    if len(wrong := (column.is_not_null() & values.is_null()).arg_true()):
        raise InputError(
            f"{path}: {name} of row {wrong[0]} is {column[wrong[0]]!r}, not a number; correct it, or leave it empty"
        )
    return values.fill_nan(None)


def truths(frame: pl.DataFrame, name: str, path: str | Path) -> pl.Series:
    """Return a column of booleans, however they are written, null where there is no value.

    Raises
    ------
    UserError
        If a value is neither true nor false; it names `path`.

    Examples
    --------
    >>> truths(pl.DataFrame({"probable_match": ["t", "FALSE", "1", None]}), "probable_match", "pairs.csv").to_list()
    [True, False, True, None]
    """
    text = frame[name].cast(pl.String).str.to_lowercase()
    if len(wrong := (text.is_not_null() & ~text.is_in([*TRUE, *FALSE])).arg_true()):
        found = frame[name][wrong[0]]
        raise InputError(f"{path}: {name} of row {wrong[0]} is {found!r}; write true, false or nothing")
    return text.is_in(TRUE).alias(name)


def check_range(values: pl.Series, low: float, high: float, path: str | Path) -> None:
    """Raise a `UserError` that names `path` if a number is outside a range; nulls are ignored.

    Examples
    --------
    >>> check_range(pl.Series("dec", [-5.0, 95.0]), -90, 90, "stars.csv")
    Traceback (most recent call last):
    xpfeh.errors.InputError: stars.csv: dec of row 1 is 95, outside -90 to 90; correct it, or leave the row out
    """
    if len(wrong := (~values.is_between(low, high)).fill_null(False).arg_true()):
        raise InputError(
            f"{path}: {values.name} of row {wrong[0]} is {values[wrong[0]]:.10g}, outside {low:g} to {high:g}; "
            "correct it, or leave the row out"
        )


def require(frame: pl.DataFrame, names: Sequence[str], path: str | Path) -> None:
    """Raise a `UserError` that names `path` if one of the columns is missing.

    Examples
    --------
    >>> require(pl.DataFrame({"FEH": [0.1]}), ["feh"], "labels.csv")
    Traceback (most recent call last):
    xpfeh.errors.InputError: labels.csv: no column feh; there are: FEH
    """
    if missing := [name for name in names if name not in frame.columns]:
        raise _missing(missing, frame, path)


def _missing(names: Sequence[str], frame: pl.DataFrame, path: str | Path) -> UserError:
    more = ", ..." if frame.width > 20 else ""
    there = f"{', '.join(frame.columns[:20]) or 'none'}{more}"
    return InputError(f"{path}: no column {' and '.join(names)}; there are: {there}")
