"""One table as one file for a user: Parquet, FITS or CSV by its suffix, whole or not there."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from astropy.io import fits

from xpfeh.errors import UserError

FORMATS = (".parquet", ".fits", ".csv")
_FITS_CODES = {"int64": "K", "uint32": "J", "float": "E", "double": "D"}


def check_format(path: str | Path) -> None:
    """Raise a `UserError` if a file of this suffix cannot be written."""
    if Path(path).suffix not in FORMATS:
        raise UserError(f"{path}: cannot write this kind of file; choose {', '.join(FORMATS)}")


def write_table(path: str | Path, tables: Iterable[pa.Table]) -> int:
    """Write tables of one schema as one file and return the number of rows.

    Parquet is written table by table; FITS and CSV are gathered in memory. Units and descriptions of the schema's
    fields go to Parquet's metadata and to FITS headers; CSV takes no list columns.

    Raises
    ------
    UserError
        If the format is not known, or there is nothing to write.
    """
    path = Path(path)
    check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        rows = _write_parquet(temporary, tables) if path.suffix == ".parquet" else _write_whole(path, temporary, tables)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def _write_parquet(path: Path, tables: Iterable[pa.Table]) -> int:
    writer, rows = None, 0
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            rows += table.num_rows
    finally:
        if writer:
            writer.close()
    if not writer:
        raise UserError(f"{path}: there is nothing to write")
    return rows


def _write_whole(path: Path, temporary: Path, tables: Iterable[pa.Table]) -> int:
    table = pa.concat_tables(tables)
    if path.suffix == ".csv":
        if lists := [field.name for field in table.schema if pa.types.is_fixed_size_list(field.type)]:
            raise UserError(f"{path}: CSV cannot hold the columns {', '.join(lists)}; write .parquet or .fits")
        pa_csv.write_csv(table, temporary)
    else:
        fits.BinTableHDU.from_columns([_fits_column(f, table[f.name]) for f in table.schema]).writeto(temporary)
    return table.num_rows


def _fits_column(field: pa.Field, column: pa.ChunkedArray) -> fits.Column:
    # The FITS standard knows no dex, so the unit stands as the field gives it only where FITS does.
    unit = (field.metadata or {}).get(b"unit", b"").decode()
    known = {"unit": unit} if unit not in ("", "dex") else {}
    if pa.types.is_string(field.type):
        text = np.asarray(column.to_pylist(), dtype=str)
        return fits.Column(field.name, f"{max(1, text.dtype.itemsize // 4)}A", array=text, **known)
    if pa.types.is_fixed_size_list(field.type):
        width = field.type.list_size
        flat = pa.concat_arrays([chunk.flatten() for chunk in column.chunks]).to_numpy(zero_copy_only=False)
        code = f"{width}{_FITS_CODES[str(field.type.value_type)]}"
        return fits.Column(field.name, code, array=flat.reshape(-1, width), **known)
    offset = {"bzero": 2**31} if pa.types.is_uint32(field.type) else {}
    return fits.Column(field.name, _FITS_CODES[str(field.type)], array=column.to_numpy(), **known, **offset)
