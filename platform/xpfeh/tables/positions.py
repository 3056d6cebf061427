"""Positions as in tables of the literature: decimal degrees or sexagesimal."""

from __future__ import annotations

import warnings
from pathlib import Path

import polars as pl
from astropy.coordinates import Angle
from astropy.utils.exceptions import AstropyWarning

from xpfeh.errors import UserError
from xpfeh.tables.checks import POSITION_RANGES, check_range, numbers

_SEXAGESIMAL_UNITS = {"ra": "hourangle", "dec": "deg"}


def degrees(cells: pl.Series, kind: str, path: str | Path) -> pl.Series:
    """Return right ascensions or declinations in degrees, null where there is none.

    Parameters
    ----------
    cells : polars.Series
        Numbers are degrees, also as text. Other text is sexagesimal, with right ascension in hours.
    kind : {"ra", "dec"}
    path : str or Path
        Name of the table in messages.

    Raises
    ------
    UserError
        If a cell is neither, or out of range.

    Examples
    --------
    >>> degrees(pl.Series("RAJ2000", ["15.5", "01 02 00", None]), "ra", "stars.csv").to_list()
    [15.5, 15.5, None]
    """
    if cells.dtype != pl.String:
        values = numbers(cells.to_frame(), cells.name, path)
    else:
        values = cells.cast(pl.Float64, strict=False).fill_nan(None)
        sexagesimal = (cells.is_not_null() & values.is_null()).arg_true()
        values = values.scatter(sexagesimal, [_parse(cells, row, kind, path) for row in sexagesimal])
    check_range(values, *POSITION_RANGES[kind], path)
    return values


def _parse(cells: pl.Series, row: int, kind: str, path: str | Path) -> float:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # 60 seconds count as the next minute
            return float(Angle(cells[row], unit=_SEXAGESIMAL_UNITS[kind]).degree)
    except (ValueError, TypeError):
        raise UserError(
            f"{path}: {cells.name} of row {row} is {cells[row]!r}, neither degrees nor sexagesimal; "
            "correct it, or leave it empty"
        ) from None
