"""Rows spilled to numbered files: appended in pieces, in any order, and read back file by file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class SpilledTables:
    """Tables in a folder, one file each; a file is open only while it is appended to.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     spilled = SpilledTables(Path(folder))
    ...     spilled.append(pa.table({"a": [1, 2, 3]}), np.array([7, 0, 7]))
    ...     spilled.append(pa.table({"a": [4]}), np.array([7]))
    ...     [(number, spilled.read(number)["a"].to_pylist()) for number in spilled]
    [(0, [2]), (7, [1, 3, 4])]
    """

    folder: Path

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of the files that have rows, in order."""
        yield from sorted(int(path.stem) for path in self.folder.glob("*.arrows"))

    def append(self, table: pa.Table, numbers: NDArray[np.integer]) -> None:
        """Append each row of a table to the file with its number (rows,), each time as one Arrow stream."""
        order = np.argsort(numbers, kind="stable")
        table = table.take(order)
        present, starts, rows = np.unique(numbers[order], return_index=True, return_counts=True)
        for number, start, length in zip(present, starts, rows, strict=True):
            with open(self._path(number), "ab") as file, pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table.slice(start, length))

    def read(self, number: int) -> pa.Table:
        """Return all rows of a file, in the order in which they were appended."""
        path, streams = self._path(number), []
        size = path.stat().st_size
        with pa.OSFile(str(path)) as file:
            while file.tell() < size:
                streams.append(pa.ipc.open_stream(file).read_all())
        return pa.concat_tables(streams)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.arrows"
