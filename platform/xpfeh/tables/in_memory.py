"""A table in memory, of astropy, pandas, polars or Arrow, or a mapping of arrays, as an Arrow table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from astropy import units as u
from astropy.table import Table

from xpfeh.column_names import find_columns
from xpfeh.errors import InputError
from xpfeh.files import first_line
from xpfeh.tables.lists import number_lists

_UNITS = {
    **dict.fromkeys(("flux", "flux_error"), u.Unit("W m-2 nm-1")),
    **dict.fromkeys(("ra", "dec"), u.deg),
    **dict.fromkeys(("ebv", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag"), u.mag),
    "rgeo": u.pc,
    **dict.fromkeys(("parallax", "parallax_error", "tentative_parallax_bias"), u.mas),
    **dict.fromkeys(("nu_eff_used_in_astrometry", "pseudocolour"), u.um**-1),
    "ecl_lat": u.deg,
}
"""The units to which columns that have a unit are converted."""


def is_pandas(given: object, kind: str) -> bool:
    """Return whether something is pandas' class of this name, without loading pandas, which takes half a second.

    >>> is_pandas([1], "Series")
    False
    """
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(given, getattr(pandas, kind))


def is_table(given: object) -> bool:
    """Return whether something is a table of a supported kind.

    >>> is_table({"source_id": [1]}), is_table("stars.csv")
    (True, False)
    """
    return isinstance(given, Table | pl.DataFrame | pa.Table | Mapping) or is_pandas(given, "DataFrame")


def arrow_table(table: Any, name: str) -> pa.Table:
    """Return a table of any supported kind as Arrow's; two-dimensional arrays become lists.

    Parameters
    ----------
    table : astropy Table, pandas or polars DataFrame, pyarrow Table, or mapping of arrays
    name : str
        Name of the table in messages.

    Raises
    ------
    InputError
        If it is not a table, its columns do not match, or one is in a unit that cannot be converted.

    Examples
    --------
    >>> arrow_table(Table({"source_id": [1], "rgeo": [1.5] * u.kpc}), "the table").to_pylist()
    [{'source_id': 1, 'rgeo': 1500.0}]
    """
    if isinstance(table, pa.Table):
        return table
    if isinstance(table, pl.DataFrame):
        return table.to_arrow()
    if not is_table(table):
        raise InputError(
            f"no table in {type(table).__name__}; give a file's name, or a table of astropy, pandas, polars or Arrow"
        )
    try:
        if is_pandas(table, "DataFrame"):
            return pa.Table.from_pandas(table, preserve_index=False)
        return _of_columns(table, name)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise InputError(f"{name}: its columns are not of numbers, one row per star ({first_line(error)})") from None


def _of_columns(table: Table | Mapping[Any, Any], name: str) -> pa.Table:
    names = [*(table.colnames if isinstance(table, Table) else table)]
    found = find_columns([*map(str, names)], _UNITS)
    ours = {column: our_name for our_name, several in found.items() for column in several}
    return pa.table({each: _arrow_column(table[each], ours.get(each, each), name) for each in names})


def _arrow_column(column: Any, our_name: str, name: str) -> pa.Array:
    if isinstance(column, list | tuple):  # NumPy cannot hold lists where one is None
        return pa.array(column)
    values = np.ma.asarray(_in_our_unit(column, our_name, name))
    if values.ndim > 1 or (values.dtype.kind == "O" and any(np.ndim(cell) for cell in values)):
        return number_lists(values)
    if values.dtype.kind == "O":  # single values, some of them None
        return pa.array(values.tolist())
    kept = np.ma.getdata(values)
    native = kept.astype(kept.dtype.newbyteorder("=")) if kept.dtype.kind in "iuf" else kept.astype(str)
    return pa.array(native, mask=np.ma.getmaskarray(values))


def _in_our_unit(column: Any, our_name: str, name: str) -> Any:
    """Return a column's values in our unit; a column without a unit is returned unchanged."""
    unit = getattr(column, "unit", None)
    if unit is None or our_name not in _UNITS:
        return column
    try:
        factor = u.Unit(unit).to(_UNITS[our_name])
    except (u.UnitConversionError, ValueError):
        raise InputError(f"{name}: {our_name} is in {unit}; give it in {_UNITS[our_name]}") from None
    return np.ma.asarray(column) * factor if factor != 1 else column
