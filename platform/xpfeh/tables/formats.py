"""Readers of table files, one per format: each returns the columns that hold one value per row."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Column, Table
from numpy.typing import NDArray

from xpfeh.errors import InputError
from xpfeh.tables.fits_reader import open_fits
from xpfeh.tables.guards import one_line
from xpfeh.tables.text import read_text
from xpfeh.tables.votable import open_votable

ColumnNames = Collection[str] | None
"""The columns to read, of those that the table has; None for all."""
_LARGEST_RATIO = 1032
"""The maximum of DEFLATE, HDF5's usual compression (zlib's technical details)."""


def read_parquet(opened: pa.NativeFile, path: str, columns: ColumnNames = None) -> pl.DataFrame:
    """Read Parquet; columns of lists and the like, as in Gaia's spectra, are left out.

    With pyarrow: on a damaged file polars can panic, and a panic is not an `Exception`.
    """
    file = pq.ParquetFile(opened)
    flat = [field.name for field in file.schema_arrow if not pa.types.is_nested(field.type)]
    return pl.DataFrame(file.read([name for name in flat if columns is None or name in columns]))


def read_fits(opened: pa.NativeFile, path: str, columns: ColumnNames = None) -> pl.DataFrame:
    """Read the first table of a FITS file."""
    with open_fits(io.BytesIO(opened.read()), path) as unit:
        return _from_astropy(Table.read(unit, unit_parse_strict="silent"), columns)


def read_ecsv(opened: pa.NativeFile, path: str, columns: ColumnNames = None) -> pl.DataFrame:
    """Read ECSV, astropy's text with types."""
    with one_line(path, "an ECSV file"):
        return _from_astropy(Table.read(io.BytesIO(opened.read()), format="ascii.ecsv"), columns)


def read_votable(opened: pa.NativeFile, path: str, columns: ColumnNames = None) -> pl.DataFrame:
    """Read the first table of a VOTable."""
    with open_votable(opened.read(), path) as table:
        return _from_astropy(table, columns)


def read_hdf5(opened: pa.NativeFile, path: str, columns: ColumnNames = None) -> pl.DataFrame:
    """Read datasets of one value per row, and columns of wider ones, requested as ``name_0``, ``name_1``.

    Only the requested ones: the file can be larger than the memory.

    Examples
    --------
    >>> import h5py
    >>> with h5py.File(file := io.BytesIO(), "w") as written:
    ...     written["Teff"], written["p"] = [4800.0], [[1.0, 2.0]]
    >>> read_hdf5(pa.BufferReader(file.getvalue()), "stars.h5", ["Teff", "p_1"]).to_dicts()
    [{'Teff': 4800.0, 'p_1': 2.0}]
    """
    import h5py  # takes a quarter of a second, and few tables are HDF5

    series = {}
    with one_line(path, "an HDF5 file"), h5py.File(opened) as file:
        sets = {name: each for name, each in file.items() if isinstance(each, h5py.Dataset)}
        if sum(each.nbytes for each in sets.values()) > _LARGEST_RATIO * opened.size():
            raise InputError(f"{path}: its datasets are larger than the file can hold")
        for name, values in sets.items():
            if values.ndim == 1 and (columns is None or name in columns):
                text = h5py.check_string_dtype(values.dtype)
                series[name] = pl.Series(_native((values.asstr() if text else values)[:]))
            elif values.ndim == 2 and columns is not None:
                several = {f"{name}_{i}": i for i in range(values.shape[1]) if f"{name}_{i}" in columns}
                series |= {column: pl.Series(_native(values[:, i])) for column, i in several.items()}
        return pl.DataFrame(series)


def _from_astropy(table: Table, columns: ColumnNames) -> pl.DataFrame:
    """Return the columns of one value per row; masked values become null."""
    return pl.DataFrame(
        {
            name: to_series(column)
            for name, column in table.columns.items()
            if (columns is None or name in columns) and _is_flat(column)
        }
    )


def to_series(column: Column) -> pl.Series:
    """Return astropy's column (N,) of numbers or text; masked values become null."""
    values = np.ma.asarray(column)
    return pl.Series(_native(values.data)).set(pl.Series(np.ma.getmaskarray(values)), None)


def _is_flat(column: Column) -> bool:
    """Return whether a column holds one value per row: not arrays, nor astropy's coordinates or times."""
    if not isinstance(column, Column) or column.ndim > 1:
        return False
    return column.dtype.kind != "O" or all(isinstance(value, str) for value in np.ma.getdata(column))


def _native(values: NDArray) -> NDArray:
    """Convert FITS's big-endian numbers and text in bytes, neither of which polars accepts."""
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", errors="replace")
    return values.astype(str if values.dtype.kind in "OU" else values.dtype.newbyteorder("="))


READERS: dict[str, Callable[[pa.NativeFile, str, ColumnNames], pl.DataFrame]] = {
    ".parquet": read_parquet,
    **dict.fromkeys((".csv", ".tsv", ".txt", ".tab", ".dat"), read_text),
    ".ecsv": read_ecsv,
    **dict.fromkeys((".fits", ".fit"), read_fits),
    **dict.fromkeys((".vot", ".votable", ".xml"), read_votable),
    **dict.fromkeys((".h5", ".hdf5"), read_hdf5),
}
"""The reader for each suffix: it takes the opened file, the file's name in messages, and the columns to read."""
