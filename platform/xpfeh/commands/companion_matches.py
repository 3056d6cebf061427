"""Do companion files belong to the stars? No match is an error, few matches give a warning."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xpfeh.errors import InputError
from xpfeh.sources.companions import Companion
from xpfeh.sources.reader import CompanionFiles

_OTHERS = {"photometry": "get colour and magnitude from their spectra", "distances": "have no distance"}
_WARN_BELOW = 0.5
"""Share of matched stars below which a warning is given."""


def check_matches(
    companions: CompanionFiles, matched: Mapping[str, int], stars: int, warn: Callable[[str], object]
) -> None:
    """Refuse companion files without a row for any star, and warn about those with rows for fewer than half of them.

    Parameters
    ----------
    companions : CompanionFiles
    matched : mapping
        How many of the stars have a row, by kind of file.
    stars : int
    warn : callable
        Called with the warning.

    Raises
    ------
    UserError
        If there are stars and files of a kind, but none of the stars is in these files.

    Examples
    --------
    >>> files = CompanionFiles(photometry=("gaia.csv",))
    >>> check_matches(files, {"photometry": 12}, 2000, print)
    photometry: 12 of 2,000 stars are in gaia.csv; the others get colour and magnitude from their spectra
    >>> check_matches(files, {"photometry": 0}, 2000, print)
    Traceback (most recent call last):
    xpfeh.errors.InputError: photometry: none of 2,000 stars is in gaia.csv; are these the same stars, from the same \
data release?
    """
    for kind, others in _OTHERS.items():
        files: tuple[Companion, ...] = getattr(companions, kind)
        if not (files and stars):
            continue
        found = matched.get(kind, 0)
        where = f"{files[0]}" if len(files) == 1 else f"{len(files)} files (the first is {files[0]})"
        if not found:
            none = "the one star is not" if stars == 1 else f"none of {stars:,} stars is"
            raise InputError(f"{kind}: {none} in {where}; are these the same stars, from the same data release?")
        if found < _WARN_BELOW * stars:
            verb = "is" if found == 1 else "are"
            warn(f"{kind}: {found:,} of {stars:,} stars {verb} in {where}; the others {others}")
