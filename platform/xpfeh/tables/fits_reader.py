"""The first table of a FITS file, for all readers: hostile or damaged headers are refused in one line."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeAlias

import numpy as np
from astropy.io import fits

from xpfeh.errors import InputError
from xpfeh.tables.guards import one_line
from xpfeh.tables.gunzip import GZIP_MAGIC, gunzip

TableUnit: TypeAlias = fits.BinTableHDU | fits.TableHDU
_CARD = 80  # bytes
_BEGIN = np.array([list(b"na"), list(b"tf")], np.uint8)  # of the keywords below: only such cards are parsed
_TOO_MANY = re.compile(rb"(NAXIS|TFIELDS) *=[ +0]*[1-9]\d{3}", re.IGNORECASE)
_VARIABLE_LENGTH = re.compile(r"\d*[PQ]")  # section 7.3.5 of the FITS standard 4.0


@contextmanager
def open_fits(file: Path | io.BytesIO, path: str | Path) -> Iterator[TableUnit]:
    """Open a FITS file and yield its first table.

    Parameters
    ----------
    file : Path or BytesIO
    path : str or Path
        The file's name in messages.

    Raises
    ------
    UserError
        If it is not FITS, is cut short, has no table, or the caller's work on the table finds another fault.
    """
    with one_line(str(path), "a FITS file"):
        file = _unzip(file)
        _check_numbers(file, path)
        warnings.filterwarnings("error", message=".*truncated")  # the one warning of astropy that means a lost row
        with fits.open(file, memmap=False) as units:
            table = next((unit for unit in units if isinstance(unit, TableUnit)), None)
            if table is None:
                raise InputError(f"{path}: a FITS file, but without a table")
            _check_lengths(table, path)
            yield table


def _unzip(file: Path | io.BytesIO) -> Path | io.BytesIO:
    """Return the file, or its content in memory if it is gzip: its headers are to be checked."""
    if isinstance(file, io.BytesIO):
        return file
    with file.open("rb") as stream:
        gzipped = stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return io.BytesIO(gunzip(file.read_bytes())) if gzipped else file


def _check_numbers(file: Path | io.BytesIO, path: str | Path) -> None:
    """Refuse more than the standard's 999 axes or columns: astropy lists them, and a damaged digit makes billions."""
    with nullcontext(file) if isinstance(file, io.BytesIO) else file.open("rb") as stream:
        while block := stream.read(_CARD << 16):
            cards = np.frombuffer(block, np.uint8, len(block) // _CARD * _CARD).reshape(-1, _CARD)
            begins = (cards[:, None, :2] | 0x20 == _BEGIN).all(axis=2).any(axis=1)  # 0x20 ignores case
            for card in cards[begins]:
                if found := _TOO_MANY.match(card.tobytes()):
                    raise InputError(f"{path}: not a FITS file with a valid table ({found[1].decode()} is above 999)")
        stream.seek(0)


def _check_lengths(table: TableUnit, path: str | Path) -> None:
    """Refuse arrays of variable length that share their bytes: a small file would take any memory."""
    names = [column.name for column in table.columns if _VARIABLE_LENGTH.match(column.format)]
    if not names:
        return
    # An ndarray, and not FITS_rec, gives the descriptors: (N, 2), the length of each array and where it begins.
    rows = table.data.view(table.data.dtype, np.ndarray)
    if sum(float(rows[name][:, 0].sum(dtype=np.float64)) for name in names) > table.size:
        raise InputError(f"{path}: its arrays of variable length are larger than the file")
