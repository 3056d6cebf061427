"""What a library raises about a damaged file, as one line with the file's name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from astropy.utils.exceptions import AstropyWarning

from xpfeh.errors import InputError, UserError
from xpfeh.files import first_line


@contextmanager
def one_line(path: str, kind: str) -> Iterator[None]:
    """Turn any error of the work on a file into an `InputError`: not `kind` with a sound table.

    Examples
    --------
    >>> with one_line("stars.vot", "a VOTable"):
    ...     raise IndexError("no table")
    Traceback (most recent call last):
    xpfeh.errors.InputError: stars.vot: not a VOTable with a sound table (no table)
    """
    try:
        with warnings.catch_warnings():
            # Units, dates and headers that astropy does not like are not used here.
            warnings.simplefilter("ignore", AstropyWarning)
            yield
    except UserError:
        raise
    except Exception as error:  # OSError, TypeError, ValueError, VerifyError, IndexError: astropy has no one class
        raise InputError(f"{path}: not {kind} with a sound table ({first_line(error)})") from None
