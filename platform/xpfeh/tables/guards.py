"""Errors of libraries about damaged files, as one line with the file's name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from astropy.utils.exceptions import AstropyWarning

from xpfeh.errors import InputError, UserError
from xpfeh.files import first_line


@contextmanager
def one_line(path: str, kind: str) -> Iterator[None]:
    """Turn any error while reading a file into an `InputError`: not `kind` with a valid table.

    Examples
    --------
    >>> with one_line("stars.vot", "a VOTable"):
    ...     raise IndexError("no table")
    Traceback (most recent call last):
    xpfeh.errors.InputError: stars.vot: not a VOTable with a valid table (no table)
    """
    try:
        with warnings.catch_warnings():
            # Units, dates and headers that astropy warns about are not used here.
            warnings.simplefilter("ignore", AstropyWarning)
            yield
    except UserError:
        raise
    except Exception as error:  # OSError, TypeError, ValueError, VerifyError, IndexError: astropy has no common class
        raise InputError(f"{path}: not {kind} with a valid table ({first_line(error)})") from None
