"""A FITS binary table of any length: astropy makes the header, the rows follow partition by partition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.io import fits
from numpy.typing import NDArray

_BLOCK = 2880
_CODES = {"int64": "K", "uint32": "J", "float": "E", "double": "D"}
_BYTES = {"K": ">i8", "J": ">i4", "E": ">f4", "D": ">f8"}
_UINT32_ZERO = 2**31
_UNKNOWN_UNITS = ("dex",)


def write_fits(
    path: Path, schema: pa.Schema, rows: int, text_bytes: Mapping[str, int], tables: Iterable[pa.Table], history: str
) -> None:
    """Write tables of `schema` as the one table of a FITS file; memory holds one of them at a time.

    Null numbers become NaN. Units, UCDs (TUCDn) and descriptions (TCOMMn) of the fields go to the header.

    Parameters
    ----------
    path : Path
    schema : Schema
        Columns of int64, uint32, float, double and ASCII text.
    rows : int
        The number of rows of all tables.
    text_bytes : mapping
        The width of each text column.
    tables : iterable of Table
    history : str
        What made the table.

    Raises
    ------
    ValueError
        If the tables have another number of rows.
    """
    dtype = row_dtype(schema, text_bytes)
    written = 0
    with open(path, "wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode("ascii"))
        file.write(_header(schema, rows, text_bytes, history).tostring().encode("ascii"))
        for table in tables:
            file.write(_to_rows(table.select(schema.names), dtype).tobytes())
            written += table.num_rows
        file.write(b"\0" * (-written * dtype.itemsize % _BLOCK))
    if written != rows:
        raise ValueError(f"{path}: {written} rows came of {rows}")


def row_dtype(schema: pa.Schema, text_bytes: Mapping[str, int]) -> np.dtype:
    """Return the bytes of a row as they stand in the file."""
    codes = [(field.name, fits_format(field, text_bytes)) for field in schema]
    return np.dtype([(name, _BYTES.get(code) or f"S{code[:-1]}") for name, code in codes])


def fits_format(field: pa.Field, text_bytes: Mapping[str, int]) -> str:
    """Return the TFORM code of a column."""
    return f"{text_bytes[field.name]}A" if pa.types.is_string(field.type) else _CODES[str(field.type)]


def _header(schema: pa.Schema, rows: int, text_bytes: Mapping[str, int], history: str) -> fits.Header:
    columns, told = [], fits.Header()
    for number, field in enumerate(schema, start=1):
        metadata = field.metadata or {}
        unit, ucd, description = (metadata.get(key, b"").decode() for key in (b"unit", b"ucd", b"description"))
        if unit in _UNKNOWN_UNITS:  # The FITS standard has no such unit: it stands in words.
            unit, description = "", f"{description} [{unit}]"
        offset = {"bzero": _UINT32_ZERO} if pa.types.is_uint32(field.type) else {}
        columns.append(fits.Column(field.name, fits_format(field, text_bytes), unit=unit or None, **offset))
        told.update({f"{key}{number}": value for key, value in (("TUCD", ucd), ("TCOMM", description)) if value})
    header = fits.BinTableHDU.from_columns(columns, nrows=0, name="XPFEH").header
    header["NAXIS2"] = rows
    header.update(told)
    header.add_history(history)
    return header


def _to_rows(table: pa.Table, dtype: np.dtype) -> NDArray:
    rows = np.empty(table.num_rows, dtype=dtype)
    for field in table.schema:
        values = table[field.name].to_numpy()
        rows[field.name] = values.astype(np.int64) - _UINT32_ZERO if pa.types.is_uint32(field.type) else values
    return rows
