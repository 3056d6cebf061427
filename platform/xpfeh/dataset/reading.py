"""Read the rows of parts: all of them, or those of some stars without reading the rest into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xpfeh.columns import lists_to_array
from xpfeh.errors import UserError
from xpfeh.files import digest, first_line
from xpfeh.tables.checks import check_unique
from xpfeh.tables.row_groups import id_ranges

_THREADS = 4  # parts read at once; each holds one row group
_PARTS = 20  # parts sampled to represent all; more would take longer to open from a bucket


def read_parts(
    fs: pafs.FileSystem,
    parts: Sequence[tuple[str, str]],
    columns: list[str] | None,
    source_ids: NDArray[np.int64] | None,
) -> pa.Table:
    """Return the rows of Parquet parts that have a ``source_id``, in the order of the parts.

    Parameters
    ----------
    parts : sequence of (path, fingerprint)
    columns : list of str or None
        All if None.
    source_ids : (K,) int64 or None
        The stars to read, all if None.

    Raises
    ------
    UserError
        If a part cannot be read, or its bytes have another fingerprint.
    """
    wanted = None if source_ids is None else np.unique(source_ids)
    with ThreadPoolExecutor(_THREADS) as threads:
        tables = list(threads.map(partial(_read_part, fs, columns, wanted), parts))
    pa.default_memory_pool().release_unused()  # of decoded row groups; it would be kept
    return pa.concat_tables(tables)


def read_some(fs: pafs.FileSystem, paths: Sequence[str], rows: int) -> pa.Table:
    """Return about `rows` rows from all over the Parquet files, or all if there are fewer.

    Raises
    ------
    UserError
        If a file cannot be read.
    """
    chosen = [paths[i] for i in _evenly(len(paths), _PARTS)]
    with ThreadPoolExecutor(_THREADS) as threads:
        return pa.concat_tables(threads.map(partial(_some_of, fs, -(-rows // len(chosen))), chosen))


def read_lists(
    fs: pafs.FileSystem, paths: Sequence[str], source_ids: NDArray[np.int64], into: Mapping[str, NDArray]
) -> None:
    """Copy fixed-size lists of K stars from Parquet parts into arrays, a row group at a time.

    Parameters
    ----------
    fs : FileSystem
    paths : sequence of str
        Parts that were compared with their records.
    source_ids : (K,) int64
    into : mapping of (K, width) arrays
        By the column's name.

    Raises
    ------
    UserError
        If a part cannot be read, or a star is in none, or requested twice.
    """
    check_unique(source_ids, str(Path(paths[0]).parent))
    order = np.argsort(source_ids)
    wanted = source_ids[order]

    def copy(path: str) -> int:
        copied = 0
        with _open_part(fs, path) as parquet:
            for group in _groups_with(parquet, wanted):
                table = _rows_of(parquet, group, ["source_id", *into], wanted)
                if table is not None:
                    places = order[np.searchsorted(wanted, table["source_id"].to_numpy())]
                    for name, array in into.items():
                        array[places] = lists_to_array(table[name])
                    copied += len(places)
        return copied

    with ThreadPoolExecutor(_THREADS) as threads:
        copied = sum(threads.map(copy, paths))
    pa.default_memory_pool().release_unused()
    if copied != len(wanted):
        raise UserError(f"{copied} of {len(wanted)} stars were found when reading their spectra; was a part changed?")


def _some_of(fs: pafs.FileSystem, rows: int, path: str) -> pa.Table:
    try:
        with fs.open_input_file(path) as file:
            parquet = pq.ParquetFile(file)
            in_a_group = max(1, parquet.metadata.num_rows // max(1, parquet.num_row_groups))
            table = parquet.read_row_groups(_evenly(parquet.num_row_groups, -(-rows // in_a_group)))
            return table.take(pa.array(_evenly(table.num_rows, rows), pa.int64()))
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)})") from None


def _evenly(n: int, most: int) -> list[int]:
    """Return at most `most` of 0 ... n - 1, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.intp)).tolist()


def check_part(fs: pafs.FileSystem, path: str, fingerprint: str) -> None:
    """Read a part and raise a `UserError` if it was changed after it was recorded."""
    if digest(fs, path) != fingerprint:
        raise UserError(f"{path}: was changed after it was recorded; delete it, and rerun the command that made it")


def _read_part(
    fs: pafs.FileSystem, columns: list[str] | None, wanted: NDArray[np.int64] | None, part: tuple[str, str]
) -> pa.Table:
    path, fingerprint = part
    with _open_part(fs, path, fingerprint) as parquet:
        if wanted is None:
            return parquet.read(columns)
        groups = [_rows_of(parquet, group, columns, wanted) for group in _groups_with(parquet, wanted)]
        present = parquet.schema_arrow.names
        names = present if columns is None else [name for name in columns if name in present]
        nothing = parquet.schema_arrow.empty_table().select(names)
        return pa.concat_tables([nothing, *(group for group in groups if group is not None)])


@contextmanager
def _open_part(fs: pafs.FileSystem, path: str, fingerprint: str | None = None) -> Iterator[pq.ParquetFile]:
    """Open a part, after comparing its bytes with a fingerprint if one is given; what fails then is a `UserError`."""
    try:
        if fingerprint is not None:
            check_part(fs, path, fingerprint)
        with fs.open_input_file(path) as file:
            yield pq.ParquetFile(file)
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        message = f"{path}: cannot be read ({first_line(error)}); delete it, and rerun the command that made it"
        raise UserError(message) from None


def _groups_with(parquet: pq.ParquetFile, wanted: NDArray[np.int64]) -> list[int]:
    """Return the row groups that may contain some of the wanted stars, which are in order."""
    ranges = id_ranges(parquet.metadata)
    may_have = np.searchsorted(wanted, ranges[:, 0]) < np.searchsorted(wanted, ranges[:, 1], side="right")
    return np.flatnonzero(may_have).tolist()


def _rows_of(
    parquet: pq.ParquetFile, group: int, columns: list[str] | None, wanted: NDArray[np.int64]
) -> pa.Table | None:
    """Return the rows of the wanted stars in a row group; wide columns are read only if there are any such stars."""
    ids = parquet.read_row_group(group, columns=["source_id"])["source_id"].to_numpy()
    # `np.isin` would sort all wanted stars for each group.
    place = np.minimum(np.searchsorted(wanted, ids), len(wanted) - 1)
    rows = np.flatnonzero(wanted[place] == ids)
    if not rows.size:
        return None
    return parquet.read_row_group(group, columns=columns).take(rows)
