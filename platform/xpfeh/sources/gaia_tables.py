"""Gaia's XP spectra in Parquet, FITS and VOTable, converted to one form: ``source_id`` and lists of float64.

These files store lists as lists, as arrays of fixed width, as the text ``(a, b, ...)`` of DataLink's CSV, or, in the
wide layout, as one column per coefficient (``bp_coeff_0`` to ``e_rp_coeff_54``, without correlations).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from numpy.typing import NDArray

from xpfeh.errors import InputError
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.sources.samples import list_columns
from xpfeh.tables.checks import bare, check_identifiers
from xpfeh.tables.fits_reader import open_fits
from xpfeh.tables.formats import to_series
from xpfeh.tables.lists import NUMBERS, arrow_lists, number_lists
from xpfeh.tables.votable import open_votable
from xpfeh.xp.bases import BANDS
from xpfeh.xp.product import PRODUCT_ROWS

_PARQUET_ROWS = 4 * PRODUCT_ROWS  # 24 MB of lists per batch; a multiple of calibration's chunk, so that chunks are full
_RANGE_ROWS = 100_000  # stars per part of features: a killed run repeats one part, about 10 s of one core
_WIDE_NAME = re.compile(r"(?:e_)?(bp|rp)_coeff_(\d+)")


# --- Parquet ----------------------------------------------------------------------------------------------------


def parquet_ranges(file: pa.NativeFile) -> list[tuple[int, int | None]]:
    """Return ranges (first row, rows) of whole row groups, each of at least 100,000 rows except the last."""
    ranges: list[tuple[int, int | None]] = []
    first = rows = 0
    for count in _group_rows(pq.ParquetFile(file).metadata):
        rows += count
        if rows >= _RANGE_ROWS:
            ranges.append((first, rows))
            first, rows = first + rows, 0
    return [*ranges, (first, rows)] if rows or not ranges else ranges


def read_parquet(file: pa.NativeFile, path: str, spectra: bool, start: int, rows: int | None) -> Iterator[pa.Table]:
    """Yield tables of ``source_id`` and the spectra's lists: a range of `parquet_ranges`, or all if `rows` is None.

    Raises
    ------
    UserError
        If a column is missing, or is not a list of numbers.
    """
    parquet = pq.ParquetFile(file)
    found = list_columns(parquet.schema_arrow.names, path)
    lists = found if spectra else ()
    counts = _group_rows(parquet.metadata)
    firsts = np.cumsum([0, *counts])[:-1]
    groups = [g for g, first in enumerate(firsts) if rows is None or start <= first < start + rows]
    for batch in _batches(parquet.iter_batches(_PARQUET_ROWS, row_groups=groups, columns=["source_id", *lists]), path):
        table = pa.table({name: _decode(batch[name]) for name in batch.schema.names})
        columns = {"source_id": identifiers(pl.Series(table["source_id"]), path)}
        for name in lists:
            there = name in table.column_names
            columns[name] = arrow_lists(table[name], name, path) if there else pa.nulls(len(batch), NUMBERS)
        yield pa.table(columns)


def _batches(batches: Iterator[pa.RecordBatch], path: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except pa.ArrowInvalid as error:
        if "Expected all lists to be of size" not in str(error):
            raise
        # pyarrow 25 can only read arrays of fixed width if none is null.
        message = f"{path}: an array of a fixed width is null, which cannot be read; write the columns as lists"
        raise InputError(message) from None


def _group_rows(metadata: pq.FileMetaData) -> list[int]:
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def _decode(column: pa.Array) -> pa.Array:
    """Return a column without dictionary encoding, with which pandas writes categories."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


# --- FITS and VOTable -------------------------------------------------------------------------------------------


def read_fits(content: bytes, path: str, spectra: bool) -> pa.Table:
    """Return the first table of a FITS file: ``source_id`` and lists, from list columns or the wide layout.

    Raises
    ------
    UserError
        If it is not FITS, has no table, or lacks a column.
    """
    with open_fits(io.BytesIO(content), path) as unit:
        # NaN need not be masked, but a column's TNULL (an integer that means "missing") must be.
        return _astropy_lists(Table.read(unit, mask_invalid=False, unit_parse_strict="silent"), path, spectra)


def read_votable(content: bytes, path: str, spectra: bool) -> pa.Table:
    """Return the first table of a VOTable: ``source_id`` and lists.

    Raises
    ------
    UserError
        If it is not a VOTable, or lacks a column.
    """
    with open_votable(content, path) as table:
        return _astropy_lists(table, path, spectra)


def _astropy_lists(table: Table, path: str, spectra: bool) -> pa.Table:
    wide = is_wide(table.colnames)
    if wide and "source_id" not in table.colnames:
        raise InputError(f"{path}: not a file of XP continuous spectra, it lacks source_id")
    found = LIST_COLUMNS if wide else list_columns(table.colnames, path)
    lists = found if spectra else ()
    columns = {"source_id": identifiers(to_series(table["source_id"]), path)}
    if wide:
        given = wide_columns(table.colnames, lambda name: _masked_to_nan(table[name]), path)
    else:
        given = {name: table[name] for name in lists if name in table.colnames}
    for name in lists:
        columns[name] = number_lists(given[name]) if name in given else pa.nulls(len(table), NUMBERS)
    return pa.table(columns)


def _masked_to_nan(column: Any) -> NDArray[np.float64]:
    return np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan)


def is_wide(names: Sequence[str]) -> bool:
    """Return whether a table with these columns has one column per coefficient, and no lists.

    >>> is_wide(["source_id", "bp_coeff_0"])
    True
    """
    return not set(names) & {f"{band}_coefficients" for band in BANDS} and any(map(_WIDE_NAME.fullmatch, names))


def wide_columns(
    names: Sequence[str], column: Callable[[str], NDArray[np.float64]], path: str
) -> dict[str, NDArray[np.float64]]:
    """Gather ``bp_coeff_0 ... e_rp_coeff_54`` of N stars into (N, n) coefficients and errors per band.

    Parameters
    ----------
    names : sequence of str
        The table's columns.
    column : callable
        Returns a column, (N,), NaN where there is no value.
    path : str
        Name of the table in messages.

    Raises
    ------
    InputError
        If one is missing.
    """
    numbers: dict[str, set[int]] = {band: {0} for band in BANDS}
    for match in filter(None, map(_WIDE_NAME.fullmatch, names)):
        numbers[match[1]].add(int(match[2]))
    needed = {
        f"{band}_{kind}": [f"{prefix}{band}_coeff_{i}" for i in range(max(numbers[band]) + 1)]
        for band in BANDS
        for kind, prefix in (("coefficients", ""), ("coefficient_errors", "e_"))
    }
    there = set(names)
    if missing := [name for several in needed.values() for name in several if name not in there]:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(f"{path}: a table with one column per coefficient, but without {', '.join(missing[:3])}{more}")
    return {kind: np.stack([column(name) for name in several], axis=1) for kind, several in needed.items()}


def identifiers(ids: pl.Series, path: str) -> pa.Array:
    """Return identifiers as int64, null where one is not an integer; refuse a type that has lost digits."""
    check_identifiers(ids.dtype, path)
    return bare(ids).cast(pl.Int64, strict=False).to_arrow()
