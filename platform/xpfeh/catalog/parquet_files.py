"""The catalog as plain Parquet: a file for each partition of the sky."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 8_192
"""Stars of a row group: what a reader of a single star has to read, 1 MB."""


def write_parquet(folder: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> dict[Path, int]:
    """Write each table as a file of a new folder, and return the rows of each file.

    Parameters
    ----------
    folder : Path
        Not there yet.
    schema : Schema
        The columns and the metadata of each file.
    tables : iterable of Table
        In the order of the files' names.
    """
    folder.mkdir()
    rows = {}
    for number, table in enumerate(tables):
        path = folder / f"part-{number:05d}.parquet"
        pq.write_table(table.cast(schema), path, compression="zstd", row_group_size=GROUP_ROWS)
        rows[path] = table.num_rows
    return rows
