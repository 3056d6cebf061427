"""Gaia's files of XP continuous spectra: bulk ECSV, DataLink CSV, ECSV, FITS, VOTable, and Parquet.

Text is read in blocks, so that memory stays flat on a file of any length.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from functools import cached_property
from glob import glob
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from isal import igzip

from xpfeh.errors import UserError
from xpfeh.files import absolute, digest, exists, filesystem
from xpfeh.sources.coefficients import KINDS, LIST_COLUMNS, RawBatch, checked
from xpfeh.sources.text_rows import parse_rows
from xpfeh.xp.bases import BANDS, release_of
from xpfeh.xp.product import CHUNK

_TEXT = (".csv", ".ecsv", ".csv.gz", ".ecsv.gz")
_TABLE = (".fits", ".xml", ".vot")
_PARQUET = (".parquet",)
SUFFIXES = _TEXT + _TABLE + _PARQUET

_BLOCK_BYTES = 9 << 20  # just below xpfeh.xp.product.CHUNK stars
_PARQUET_ROWS = 4 * CHUNK
_PIECE_ROWS = 100_000
_CHECKSUMS = "_MD5SUM.txt"


class GaiaFile:
    """A file of XP continuous mean spectra, as Gaia's archive gives them."""

    def __init__(self, path: str) -> None:
        self.path = absolute(path)

    def location(self) -> str:
        """Return the path or URI of the file."""
        return self.path

    @cached_property
    def release(self) -> str:
        """The data release, told by the numbers of coefficients."""
        return read_release(self.path)

    def fingerprint(self) -> str:
        """Return the MD5 that an `_MD5SUM.txt` beside the file lists, or else the SHA-256 of its bytes."""
        return fingerprint(self.path)

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return whole row groups of a large Parquet file, (0, None) of any other."""
        return cut(self.path)

    def read(self, start: int, rows: int | None) -> Iterator[RawBatch]:
        """Yield the rows of a range in batches."""
        yield from read_batches(self.path, self.release, start, rows)

    def source_ids(self, start: int, rows: int | None) -> Iterator[pa.Array]:
        """Yield the identifiers of a range."""
        yield from read_ids(self.path, start, rows)


def find_files(source: str) -> list[str]:
    """Return the files of a source: a file, a folder, a glob, or a URI of a file or folder; sorted.

    Raises
    ------
    UserError
        If there is none of a known kind.
    """
    if any(mark in source for mark in "*?[") and "://" not in source:
        found = sorted(map(absolute, glob(source)))
    else:
        fs, path = filesystem(source)
        info = fs.get_file_info(path)
        if info.type == pafs.FileType.Directory:
            found = sorted(item.path for item in fs.get_file_info(pafs.FileSelector(path)))
        elif info.type == pafs.FileType.File:
            found = [path]
        else:
            raise UserError(f"{source}: no such file or folder")
        prefix = source.partition("://")[0] + "://" if "://" in source and not source.startswith("file://") else ""
        found = [prefix + item for item in found]
    known = [item for item in found if item.lower().endswith(SUFFIXES)]
    if not known:
        raise UserError(f"{source}: no file here of a kind that can be read: {', '.join(SUFFIXES)}")
    return known


def fingerprint(path: str) -> str:
    """Return the MD5 that an `_MD5SUM.txt` beside the file lists, or else the SHA-256 of the file's bytes.

    It has the form of `xpfeh.files.digest`; a listed file is not read here.
    """
    fs, inside = filesystem(path)
    folder, _, name = inside.rpartition("/")
    listing = f"{folder}/{_CHECKSUMS}"
    if exists(fs, listing):
        with fs.open_input_stream(listing) as stream:
            line = re.search(rf"^([0-9a-f]{{32}})\s+{re.escape(name)}\s*$", stream.read().decode(), re.MULTILINE)
        if line:
            return f"md5:{line[1]}"
    return digest(fs, inside)


def read_release(path: str) -> str:
    """Return the data release of a file, told by its numbers of coefficients.

    Raises
    ------
    UserError
        If the file is empty or unreadable, or no release has such numbers.
    """
    widths: dict[str, int] = {}
    for table in _tables(path):
        for band in BANDS:
            lengths = table[f"{band}_coefficients"].combine_chunks().value_lengths().drop_null().to_numpy()
            lengths = lengths[lengths > 0]
            if lengths.size and band not in widths:
                values, counts = np.unique(lengths, return_counts=True)
                widths[band] = int(values[counts.argmax()])
        if len(widths) == len(BANDS):
            return release_of(widths["bp"], widths["rp"])
    raise UserError(f"{path}: holds no star with both bands, so its data release cannot be told")


def cut(path: str) -> list[tuple[int, int | None]]:
    """Return ranges (first row, number of rows) that can be read apart: whole row groups of a large Parquet file.

    Any other file is one range, (0, None): only reading it tells its rows.
    """
    if not path.lower().endswith(_PARQUET):
        return [(0, None)]
    fs, inside = filesystem(path)
    metadata = pq.read_metadata(inside, filesystem=fs)
    ranges: list[tuple[int, int | None]] = []
    first = rows = 0
    for group in range(metadata.num_row_groups):
        rows += metadata.row_group(group).num_rows
        if rows >= _PIECE_ROWS:
            ranges.append((first, rows))
            first, rows = first + rows, 0
    return [*ranges, (first, rows)] if rows or not ranges else ranges


def read_batches(path: str, release: str, start: int = 0, rows: int | None = None) -> Iterator[RawBatch]:
    """Yield the rows of a file, or of a range of `cut`, in batches: each row once, accepted or rejected with a reason.

    Raises
    ------
    UserError
        If the file cannot be read to its end.
    """
    row, seen = start, set[int]()
    for table in _tables(path, LIST_COLUMNS, start, rows):
        yield checked(table, release, row, seen)
        row += table.num_rows


def read_ids(path: str, start: int = 0, rows: int | None = None) -> Iterator[pa.Array]:
    """Yield the identifiers of all rows of a file, or of a range of `cut`; null where one cannot be read."""
    for table in _tables(path, (), start, rows):
        yield table["source_id"].combine_chunks()


def _tables(
    path: str, lists: tuple[str, ...] = LIST_COLUMNS, start: int = 0, rows: int | None = None
) -> Iterator[pa.Table]:
    """Yield tables of ``source_id`` and list columns, whatever the file's kind."""
    lower = path.lower()
    fs, inside = filesystem(path)
    try:
        if lower.endswith(_TEXT):
            yield from _text_tables(path, fs, inside, lists)
        elif lower.endswith(_PARQUET):
            with fs.open_input_file(inside) as file:
                parquet = pq.ParquetFile(file)
                _demand(parquet.schema_arrow.names, path)
                groups = _groups(parquet.metadata, start, rows)
                for batch in parquet.iter_batches(_PARQUET_ROWS, row_groups=groups, columns=["source_id", *lists]):
                    yield _as_lists(pa.Table.from_batches([batch]), lists, path)
        else:
            with fs.open_input_file(inside) as file:
                yield _astropy_table(io.BytesIO(file.read()), path)
    except (OSError, EOFError, zlib.error, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path}: cannot be read to its end ({str(error).splitlines()[0]}); download it again"
        ) from None


def _groups(metadata: pq.FileMetaData, start: int, rows: int | None) -> list[int]:
    """The row groups of a range; of the whole file if `rows` is None."""
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    firsts = np.cumsum([0, *counts])[:-1]
    return [g for g, first in enumerate(firsts) if rows is None or start <= first < start + rows]


def _demand(names: list[str], path: str) -> None:
    needed = [name for name in ("source_id", *LIST_COLUMNS) if "correlations" not in name]
    if missing := [name for name in needed if name not in names]:
        raise UserError(f"{path}: not a file of XP continuous spectra, it lacks {', '.join(missing)}")


# --- text -----------------------------------------------------------------------------------------------------


def _text_tables(path: str, fs: pafs.FileSystem, inside: str, lists: tuple[str, ...]) -> Iterator[pa.Table]:
    with fs.open_input_stream(inside, compression=None) as raw:
        stream: Any = igzip.GzipFile(fileobj=raw) if path.lower().endswith(".gz") else raw
        names, separator, rest = _read_header(stream, path)
        for block in _whole_lines(stream, rest):
            yield parse_rows(block, separator, names, "source_id", lists)


def _read_header(stream: IO[bytes], path: str) -> tuple[list[str], str, bytes]:
    """Return the names of the fields, the delimiter, and what was read beyond them."""
    text, separator = b"", ","
    while True:
        block = stream.read(1 << 16)
        text += block
        lines = text.split(b"\n")
        names = next((i for i, line in enumerate(lines[:-1]) if not line.startswith(b"#")), None)
        if names is not None:
            break
        if not block:
            raise UserError(f"{path}: is empty, or holds nothing but comments")
    if lines[0].startswith(b"# %ECSV"):
        told = re.search(rb"delimiter: '(.)'", b"\n".join(lines[:names]))
        separator = told[1].decode() if told else " "
    found = lines[names].decode().strip().replace('"', "").split(separator)
    _demand(found, path)
    return found, separator, b"\n".join(lines[names + 1 :])


def _whole_lines(stream: io.BufferedIOBase, rest: bytes) -> Iterator[memoryview]:
    """Yield blocks of whole lines, each valid until the next is asked for: one buffer serves the whole file."""
    buffer = bytearray(rest) + bytearray(_BLOCK_BYTES)
    kept = len(rest)
    while read := stream.readinto(memoryview(buffer)[kept:]):
        filled = kept + read
        cut = buffer.rfind(b"\n", 0, filled) + 1
        if cut:
            yield memoryview(buffer)[:cut]
        elif filled == len(buffer):
            buffer = buffer + bytearray(_BLOCK_BYTES)
        kept = filled - cut
        buffer[:kept] = buffer[cut:filled]
    if bytes(buffer[:kept]).strip():
        yield memoryview(buffer)[:kept]


# --- tables -----------------------------------------------------------------------------------------------------


def _astropy_table(file: io.BytesIO, path: str) -> pa.Table:
    """Read FITS or VOTable: lists as Gaia delivers them, or the wide layout with a column a coefficient."""
    try:
        if path.lower().endswith(".fits"):
            with fits.open(file) as units:
                table = Table(units[1].data)
        else:
            table = parse_single_table(file, verify="ignore").to_table()
    except (IndexError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not a table of XP spectra ({str(error).splitlines()[0]})") from None
    if "bp_coeff_0" in table.colnames:
        return _wide_table(table)
    _demand(table.colnames, path)
    ids = table["source_id"]
    if not np.issubdtype(ids.dtype, np.integer):
        raise UserError(f"{path}: source_id is {ids.dtype}, which loses digits; use int64")
    columns = {"source_id": pa.array(np.asarray(ids, dtype=np.int64))}
    for name in LIST_COLUMNS:
        cells = table[name] if name in table.colnames else [()] * len(table)
        lists = [np.ma.filled(np.ma.asarray(cell, dtype=np.float64), np.nan).ravel() for cell in cells]
        # A fixed-width FITS array marks a missing band by NaN alone.
        columns[name] = pa.array([[] if np.isnan(x).all() else x for x in lists], pa.list_(pa.float64()))
    return pa.table(columns)


def _wide_table(table: Table) -> pa.Table:
    """The layout ``bp_coeff_0 ... e_rp_coeff_54``: coefficients and errors, no correlations."""
    columns = {"source_id": pa.array(np.asarray(table["source_id"], dtype=np.int64))}
    empty = pa.ListArray.from_arrays(np.zeros(len(table) + 1, dtype=np.int32), pa.array([], pa.float64()))
    for band in BANDS:
        n = sum(name.startswith(f"{band}_coeff_") for name in table.colnames)
        for kind, prefix in zip(KINDS, (f"{band}_coeff_", f"e_{band}_coeff_", ""), strict=True):
            values = (
                np.stack([np.asarray(table[f"{prefix}{i}"], np.float64) for i in range(n)], axis=1) if prefix else None
            )
            offsets = np.arange(0, n * len(table) + 1, n, dtype=np.int32)
            lists = empty if values is None else pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))
            columns[f"{band}_{kind}"] = lists
    return pa.table(columns)


def _as_lists(table: pa.Table, lists: tuple[str, ...], path: str) -> pa.Table:
    if not pa.types.is_integer(table.schema.field("source_id").type):
        raise UserError(f"{path}: source_id is {table.schema.field('source_id').type}, which loses digits; use int64")
    for name in lists:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.list_(pa.float64())))
    types = {"source_id": pa.int64()} | dict.fromkeys(lists, pa.list_(pa.float64()))
    return pa.table({name: table[name].cast(kind) for name, kind in types.items()})
