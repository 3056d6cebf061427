"""The catalog as plain Parquet: one file per partition of the sky."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 8_192
"""Stars per row group: the amount to read for a single star, 1 MB."""


def write_parquet(folder: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> dict[Path, int]:
    """Write each table to a file in a new folder, and return the number of rows in each file.

    Parameters
    ----------
    folder : Path
        Must not exist yet.
    schema : Schema
        The columns and the metadata of each file.
    tables : iterable of Table
        In the order of the file names.
    """
    folder.mkdir()
    rows = {}
    for number, table in enumerate(tables):
        path = folder / f"part-{number:05d}.parquet"
        pq.write_table(table.cast(schema), path, compression="zstd", row_group_size=GROUP_ROWS)
        rows[path] = table.num_rows
    return rows
