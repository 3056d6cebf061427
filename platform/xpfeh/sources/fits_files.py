"""The first table of a FITS file, with astropy's many complaints about a broken one as a single line."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from xpfeh.errors import InputError, UserError
from xpfeh.files import first_line

_CARD = 80  # bytes
_BEGIN = np.array([list(b"na"), list(b"tf")], np.uint8)
_TOO_MANY = re.compile(rb"(NAXIS|TFIELDS) *=[ +0]*[1-9]\d{3}", re.IGNORECASE)


@contextmanager
def first_table(file: Path | io.BytesIO, path: str | Path) -> Iterator[fits.BinTableHDU | fits.TableHDU]:
    """Open a FITS file and give its first table.

    Parameters
    ----------
    file : Path or BytesIO
    path : str or Path
        The file's name in messages.

    Raises
    ------
    UserError
        If it is not FITS, is cut short, has no table, or the caller's work on the table finds another fault in it.
    """
    try:
        _check_numbers(file, path)
        with warnings.catch_warnings():
            # Units and headers that astropy does not like are not used here; a file that is cut short is an error.
            warnings.simplefilter("ignore", AstropyWarning)
            warnings.filterwarnings("error", message=".*truncated")
            with fits.open(file, memmap=False) as units:
                table = next((unit for unit in units if isinstance(unit, fits.BinTableHDU | fits.TableHDU)), None)
                if table is None:
                    raise InputError(f"{path}: a FITS file, but without a table")
                yield table
    except UserError:
        raise
    except Exception as error:  # OSError, TypeError, ValueError, VerifyError, IndexError: astropy has no one class
        raise InputError(f"{path}: not a FITS file with a sound table ({first_line(error)})") from None


def _check_numbers(file: Path | io.BytesIO, path: str | Path) -> None:
    """Refuse more than the standard's 999 axes or columns: astropy lists them, and a damaged digit makes billions."""
    with nullcontext(file) if isinstance(file, io.BytesIO) else file.open("rb") as stream:
        while block := stream.read(_CARD << 16):
            cards = np.frombuffer(block, np.uint8, len(block) // _CARD * _CARD).reshape(-1, _CARD)
            begins = (cards[:, None, :2] | 0x20 == _BEGIN).all(axis=2).any(axis=1)  # 0x20: small letters count, too
            for card in cards[begins]:
                if found := _TOO_MANY.match(card.tobytes()):
                    raise InputError(f"{path}: not a FITS file with a sound table ({found[1].decode()} is above 999)")
        stream.seek(0)
