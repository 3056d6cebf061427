"""A FITS binary table of any length: astropy makes the header, the rows follow table by table.

Sections are those of the FITS standard 4.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.io import fits
from numpy.typing import NDArray

from xpfeh.columns import describe_for_fits, to_arrays

_BLOCK = 2880  # bytes of a FITS record (section 3.1)
_CODES = {"bool": "L", "int64": "K", "uint32": "J", "float": "E", "double": "D"}  # TFORM of Arrow's (section 7.3.1)
_BYTES = {"L": "S1", "K": ">i8", "J": ">i4", "E": ">f4", "D": ">f8"}  # FITS is big-endian
_UINT32_ZERO = 2**31  # FITS has no unsigned integers: they are stored minus this, which TZERO records (section 5.2.5)


def write_fits(
    path: Path,
    schema: pa.Schema,
    rows: int,
    text_bytes: Mapping[str, int],
    tables: Iterable[pa.Table],
    made_by: Mapping[str, str | list[float]],
    history: str = "",
) -> None:
    """Write tables of `schema` as the one table of a FITS file; memory holds one of them at a time.

    Null numbers become NaN. Units, UCDs (TUCDn) and descriptions (TCOMMn) of the fields go to the header.

    Parameters
    ----------
    path : Path
    schema : Schema
        Columns of bool without null, int64, uint32, float, double, ASCII text, and fixed-size lists of numbers.
    rows : int
        The total number of rows.
    text_bytes : mapping
        The width of each text column.
    tables : iterable of Table
    made_by : mapping
        Further keywords, at most 8 letters long; one with a list is repeated for each of its numbers.
    history : str
        What the table is.

    Raises
    ------
    ValueError
        If the tables do not have `rows` rows in all.
    """
    dtype = row_dtype(schema, text_bytes)
    written = 0
    with open(path, "wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode("ascii"))
        file.write(_header(schema, rows, text_bytes, made_by, history).tostring().encode("ascii"))
        for table in tables:
            file.write(_to_rows(table.select(schema.names), dtype).tobytes())
            written += table.num_rows
        file.write(b"\0" * (-written * dtype.itemsize % _BLOCK))  # pads the last record
    if written != rows:
        raise ValueError(f"{path}: {written} rows were delivered, not {rows}")


def row_dtype(schema: pa.Schema, text_bytes: Mapping[str, int]) -> np.dtype:
    """Return the layout of a row's bytes in the file.

    Examples
    --------
    >>> schema = pa.schema([("source_id", pa.int64()), ("model", pa.string())])
    >>> row_dtype(schema, {"model": 12})
    dtype([('source_id', '>i8'), ('model', 'S12')])
    """
    fields = []
    for field in schema:
        form = fits_format(field, text_bytes)
        count, code = form[:-1], form[-1]  # NumPy's formats begin with a count, too: 60>f4
        fields.append((field.name, f"S{count}" if code == "A" else f"{count}{_BYTES[code]}"))
    return np.dtype(fields)


def fits_format(field: pa.Field, text_bytes: Mapping[str, int]) -> str:
    """Return the TFORM code of a column.

    Examples
    --------
    >>> fits_format(pa.field("flux", pa.list_(pa.float32(), 60)), {})
    '60E'
    """
    if pa.types.is_string(field.type):
        return f"{text_bytes[field.name]}A"
    if pa.types.is_fixed_size_list(field.type):
        return f"{field.type.list_size}{_CODES[str(field.type.value_type)]}"
    return _CODES[str(field.type)]


def _header(
    schema: pa.Schema,
    rows: int,
    text_bytes: Mapping[str, int],
    made_by: Mapping[str, str | list[float]],
    history: str,
) -> fits.Header:
    columns, explanations = [], fits.Header()
    for number, field in enumerate(schema, start=1):
        text, unit, ucd = describe_for_fits(field)
        offset = {"bzero": _UINT32_ZERO} if pa.types.is_uint32(field.type) else {}
        columns.append(fits.Column(field.name, fits_format(field, text_bytes), unit=unit or None, **offset))
        if ucd:
            explanations[f"TUCD{number}"] = ucd
        if text:
            explanations[f"TCOMM{number}"] = text
    header = fits.BinTableHDU.from_columns(columns, nrows=0, name="XPFEH").header
    header["NAXIS2"] = rows
    header.update(explanations)
    for name, value in made_by.items():
        header.extend((name.upper(), each) for each in ([value] if isinstance(value, str) else value))
    if history:
        header.add_history(history)
    return header


def _to_rows(table: pa.Table, dtype: np.dtype) -> NDArray:
    rows = np.empty(table.num_rows, dtype=dtype)
    for name, values in to_arrays(table).items():
        kind = table.schema.field(name).type
        if pa.types.is_uint32(kind):
            values = values.astype(np.int64) - _UINT32_ZERO
        elif pa.types.is_boolean(kind):
            values = np.where(values, b"T", b"F")
        rows[name] = values
    return rows
