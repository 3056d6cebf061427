"""New arrays for spectra of many stars: in memory, or in a temporary file, of which memory holds the parts in use."""

from __future__ import annotations

import math
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xpfeh.errors import UserError


class MappedArray(np.memmap):
    """A float32 array in a file. A process that gets it from another one opens the same file, and copies nothing.

    Its rows and slices are ordinary arrays.
    """

    def __getitem__(self, index: Any) -> Any:
        return np.asarray(self)[index]

    def __setitem__(self, index: Any, values: Any) -> None:
        if isinstance(index, np.ndarray) and index.dtype.kind == "i":
            self._write(index, values)
        else:
            np.asarray(self)[index] = values

    def _write(self, rows: NDArray[np.intp], values: NDArray[np.float32]) -> None:
        """Write rows to the file: through the mapping, the system would first read megabytes around each."""
        order = np.argsort(rows)
        rows, values = rows[order], np.ascontiguousarray(values[order], dtype=np.float32)
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        with open(str(self.filename), "r+b") as file:
            for first, last in zip([0, *breaks], [*breaks, len(rows)], strict=True):
                file.seek(int(rows[first]) * values[0].nbytes)
                file.write(values[first:last].tobytes())

    def __reduce_ex__(self, protocol: Any) -> Any:
        if not self.flags.c_contiguous or self.nbytes != Path(str(self.filename)).stat().st_size:  # a view of parts
            return np.asarray(self).__reduce_ex__(protocol)
        return _open, (str(self.filename), self.shape)


def in_memory(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a new float32 array that TensorFlow can use without copying it."""
    # Arrow aligns its memory to 64 bytes, as TensorFlow expects, NumPy to 16.
    return np.ndarray(shape, np.float32, pa.allocate_buffer(4 * math.prod(shape)))


def on_disk(shape: tuple[int, ...]) -> MappedArray:
    """Return a new float32 array in a temporary file (folder: ``TMPDIR``), which is deleted with the array.

    Raises
    ------
    UserError
        If the disk is too small.

    Examples
    --------
    >>> array = on_disk((2, 3))
    >>> array[1] = 7
    >>> array[:, 0]
    array([0., 7.], dtype=float32)
    """
    size = 4 * math.prod(shape)
    descriptor, path = tempfile.mkstemp(prefix="xpfeh-spectra-")
    try:
        if hasattr(os, "posix_fallocate"):  # not on a Mac; without it a full disk kills the process
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.truncate(descriptor, size)
        array = _open(path, shape, "r+")
    except OSError as error:
        os.unlink(path)
        message = f"{Path(path).parent}: no room for {size / 1e9:.1f} GB ({error.strerror}); choose another by TMPDIR"
        raise UserError(message) from None
    finally:
        os.close(descriptor)
    weakref.finalize(array, Path(path).unlink, missing_ok=True)
    return array


def _open(path: str, shape: tuple[int, ...], mode: str = "r") -> MappedArray:
    try:
        return MappedArray(path, np.float32, mode, shape=shape)  # type: ignore[call-overload]
    except FileNotFoundError:
        message = f"{path}: not found on this machine; set TMPDIR to a folder that all machines share"
        raise UserError(message) from None
