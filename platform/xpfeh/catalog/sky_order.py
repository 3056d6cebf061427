"""Stars in HEALPix order: a catalog of any size, sorted with memory for one partition.

A first pass counts the stars in each pixel, which determines the partitions; a second one appends each star to its
partition's file, the spill. Each partition is then read, sorted and written, once for each format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from hats.pixel_math.spatial_index import SPATIAL_INDEX_COLUMN, SPATIAL_INDEX_ORDER, compute_spatial_index
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.catalog.samples import SAMPLE_COLUMNS
from xpfeh.catalog.spilled_tables import SpilledTables
from xpfeh.dataset.repeated_ids import RepeatedIds
from xpfeh.errors import UserError

MAX_ROWS = 1_000_000
"""Maximum number of stars in a partition, unless it is a pixel of `COUNT_ORDER`."""
COUNT_ORDER = 8
"""The finest partitions, 0.05 square degrees: Gaia has fewer than `MAX_ROWS` spectra in the densest of them."""

_BATCH_ROWS = 131_072  # read at a time
_BUFFER_ROWS = 1_000_000  # about 200 MB: with fewer, each partition's file gets many small pieces

_INDEX = f"HEALPix pixel (nested) of order {SPATIAL_INDEX_ORDER} at ra, dec"

Select = Callable[[pa.RecordBatch], NDArray[np.bool_]]
"""Returns which rows of a batch are to be published."""


class Partition(NamedTuple):
    """A HEALPix pixel (nested) and the number of stars in it."""

    order: int
    pixel: int
    rows: int


@dataclass(frozen=True)
class SkyOrder:
    """Stars spilled by partition; iterating yields each partition's sorted table, in HEALPix order.

    Attributes
    ----------
    schema : Schema
        The HEALPix pixel ``_healpix_29``, then the catalog's columns.
    counts : (12 * 4**COUNT_ORDER,) int64
        Stars in each pixel of `COUNT_ORDER`.
    partitions : sequence of Partition
    text_bytes : dict
        The length of the longest value in each text column, bytes.
    spilled : SpilledTables
        The stars of each partition, by its index in `partitions`.
    """

    schema: pa.Schema
    counts: NDArray[np.int64]
    partitions: Sequence[Partition]
    text_bytes: dict[str, int]
    spilled: SpilledTables

    @property
    def rows(self) -> int:
        """The number of stars."""
        return int(self.counts.sum())

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the stars of each partition, sorted by ``_healpix_29`` (the first column) and ``source_id``.

        Raises
        ------
        ValueError
            If stars were lost.
        """
        for number, partition in enumerate(self.partitions):
            table = self.spilled.read(number)
            if table.num_rows != partition.rows:
                raise ValueError(f"{partition}: {table.num_rows} stars were spilled")
            yield along_the_sky(table)


def along_the_sky(table: pa.Table) -> pa.Table:
    """Return stars sorted by ``_healpix_29``, and by ``source_id`` within a pixel.

    So the result does not depend on how the catalog was divided into parts.
    """
    # lexsort sorts by its last key first.
    order = np.lexsort([table["source_id"].to_numpy(), table[SPATIAL_INDEX_COLUMN].to_numpy()])
    return table.take(order).combine_chunks()


def count_stars(fs: pafs.FileSystem, paths: Sequence[str], select: Select) -> NDArray[np.int64]:
    """Return the number of selected stars in each HEALPix pixel of `COUNT_ORDER`, from their positions.

    Parameters
    ----------
    fs : FileSystem
    paths : sequence of str
        The catalog's parts.
    select : callable
        Takes a batch with `xpfeh.catalog.samples.SAMPLE_COLUMNS`, and returns a mask (rows,).

    Returns
    -------
    (12 * 4**COUNT_ORDER,) int64
    """
    counts = np.zeros(12 * 4**COUNT_ORDER, dtype=np.int64)
    for path in track(paths, "counting stars"):
        for batch in _batches(fs, path, ["ra", "dec", *SAMPLE_COLUMNS]):
            pixels, n = np.unique(_coarse(_healpix_29(batch)[select(batch)]), return_counts=True)
            counts[pixels] += n
    return counts


def divide(counts: NDArray[np.int64], max_rows: int) -> list[Partition]:
    """Divide the sky into the largest pixels of at most `max_rows` stars, in HEALPix order.

    A pixel of `COUNT_ORDER` is not divided, and a pixel without stars does not become a partition.

    Parameters
    ----------
    counts : (12 * 4**COUNT_ORDER,) int64
        Stars in each pixel.
    max_rows : int

    Examples
    --------
    >>> counts = np.zeros(12 * 4**COUNT_ORDER, dtype=np.int64)
    >>> counts[[0, -1]] = [40, 70]
    >>> divide(counts, 100)
    [Partition(order=0, pixel=0, rows=40), Partition(order=0, pixel=11, rows=70)]
    """
    found = []
    undecided = np.ones(12, dtype=bool)  # the pixels of this order that are in no larger partition
    for order in range(COUNT_ORDER + 1):
        stars = counts.reshape(12 * 4**order, -1).sum(axis=1)  # nested: a pixel's children are consecutive
        small = (stars <= max_rows) | (order == COUNT_ORDER)
        chosen = np.flatnonzero(undecided & small & (stars > 0))
        found += [Partition(order, int(pixel), int(stars[pixel])) for pixel in chosen]
        undecided = np.repeat(undecided & ~small, 4)
    return sorted(found, key=_first_pixel)


def spill(
    fs: pafs.FileSystem,
    paths: Sequence[str],
    select: Select,
    counts: NDArray[np.int64],
    schema: pa.Schema,
    folder: Path,
) -> SkyOrder:
    """Sort the selected stars of a catalog into one file per partition.

    Memory holds `_BUFFER_ROWS` stars; a file is open only while it is appended to.

    Parameters
    ----------
    fs, paths, select
        As for `count_stars`, but `select` sees all columns.
    counts : (12 * 4**COUNT_ORDER,) int64
        The result of `count_stars`.
    schema : Schema
        The catalog's columns, described.
    folder : Path
        An empty folder for the files.

    Raises
    ------
    UserError
        If a star is in the catalog twice.
    """
    partitions = divide(counts, MAX_ROWS)
    spilled = schema.insert(0, pa.field(SPATIAL_INDEX_COLUMN, pa.int64(), False, {"description": _INDEX}))
    text_bytes = {field.name: 1 for field in schema if pa.types.is_string(field.type)}
    firsts = np.array([_first_pixel(partition) for partition in partitions])
    ids = RepeatedIds(folder / "source_id.int64")
    tables = SpilledTables(folder)
    buffer: list[pa.RecordBatch] = []
    for path in track(paths, "ordering stars"):
        for batch in _batches(fs, path, schema.names):
            columns = [pa.array(_healpix_29(batch)), *(batch[name] for name in schema.names)]
            chosen = pa.RecordBatch.from_arrays(columns, schema=spilled).filter(pa.array(select(batch)))
            for name in text_bytes:
                longest = pc.max(pc.binary_length(chosen[name])).as_py() or 0
                text_bytes[name] = max(text_bytes[name], longest)
            ids.add(chosen["source_id"].to_numpy())
            buffer.append(chosen)
            if sum(len(held) for held in buffer) >= _BUFFER_ROWS:
                _append(buffer, firsts, tables)
    if buffer:
        _append(buffer, firsts, tables)
    if (repeated := ids.find()).size:
        raise UserError(f"source_id {repeated[0]} is in the catalog twice; it cannot be published")
    return SkyOrder(spilled, counts, partitions, text_bytes, tables)


def _batches(fs: pafs.FileSystem, path: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with fs.open_input_file(path) as file:
        yield from pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=columns)


def _healpix_29(batch: pa.RecordBatch) -> NDArray[np.int64]:
    return compute_spatial_index(batch["ra"].to_numpy(), batch["dec"].to_numpy())


def _coarse(healpix_29: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pixels of `COUNT_ORDER` that contain pixels of order 29: a nested number has 2 bits per order."""
    return healpix_29 >> 2 * (SPATIAL_INDEX_ORDER - COUNT_ORDER)


def _first_pixel(partition: Partition) -> int:
    """Return a partition's first pixel of `COUNT_ORDER`."""
    return partition.pixel << 2 * (COUNT_ORDER - partition.order)


def _append(buffer: list[pa.RecordBatch], firsts: NDArray[np.int64], tables: SpilledTables) -> None:
    """Append the buffered rows to their partitions' files, and empty the buffer."""
    table = pa.Table.from_batches(buffer)
    buffer.clear()
    tables.append(table, np.searchsorted(firsts, _coarse(table[SPATIAL_INDEX_COLUMN].to_numpy()), side="right") - 1)
