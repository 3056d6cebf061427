"""The first table of a FITS file, with astropy's many complaints about a broken one as a single line."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from xpfeh.errors import UserError
from xpfeh.files import first_line


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
        with warnings.catch_warnings():
            # Units and headers that astropy does not like are not used here; a file that is cut short is an error.
            warnings.simplefilter("ignore", AstropyWarning)
            warnings.filterwarnings("error", message=".*truncated")
            with fits.open(file, memmap=False) as units:
                table = next((unit for unit in units if isinstance(unit, fits.BinTableHDU | fits.TableHDU)), None)
                if table is None:
                    raise UserError(f"{path}: a FITS file, but without a table")
                yield table
    except UserError:
        raise
    except Exception as error:  # OSError, TypeError, ValueError, VerifyError, IndexError: astropy has no one class
        raise UserError(f"{path}: not a FITS file with a sound table ({first_line(error)})") from None
