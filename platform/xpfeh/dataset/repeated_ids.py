"""Find repeated identifiers among any number of them, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_IN_MEMORY = 4_000_000  # identifiers compared at a time, 32 MB
_BLOCK = 1_000_000  # identifiers read at a time, 8 MB


class RepeatedIds:
    """A file of identifiers (8 bytes each), which is read in as many passes as memory requires.

    Parameters
    ----------
    path : Path
        Path of the file, which must not exist yet.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     ids = RepeatedIds(Path(folder) / "ids")
    ...     ids.add(np.array([7, 8]))
    ...     ids.add(np.array([9, 7]))
    ...     ids.find().tolist()
    [7]
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0

    def add(self, ids: NDArray[np.int64]) -> None:
        """Append some identifiers."""
        with self._path.open("ab") as file:
            ids.tofile(file)
        self._count += len(ids)

    def find(self) -> NDArray[np.int64]:
        """Return the identifiers that were added more than once."""
        # An odd number: the last bits of most identifiers are 0, so an even one would leave passes empty.
        passes = (1 + self._count // _IN_MEMORY) | 1
        found = []
        for remainder in range(passes):
            # Equal identifiers have equal remainders, so they meet in one pass.
            alike = np.concatenate([np.empty(0, np.int64), *(ids[ids % passes == remainder] for ids in self._blocks())])
            ids, counts = np.unique(alike, return_counts=True)
            found.append(ids[counts > 1])
        return np.concatenate(found)

    def _blocks(self) -> Iterator[NDArray[np.int64]]:
        if not self._count:
            return
        with self._path.open("rb") as file:
            while (ids := np.fromfile(file, np.int64, _BLOCK)).size:
                yield ids
