"""The door to every kind of spectra: one reader class a kind, each file's rows delivered once or rejected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from astropy.io import fits

from xpfeh.errors import UserError
from xpfeh.files import absolute, digest, filesystem
from xpfeh.sources.coefficients import RawBatch
from xpfeh.sources.companions import Companions
from xpfeh.sources.gaia_files import GaiaFile, find_files
from xpfeh.sources.library import NAME, Library


class SpectraFile(Protocol):
    """A file of spectra, whatever its kind.

    Attributes
    ----------
    path : str
        Absolute path or URI, or the packaged library's name.
    release : str or None
        Gaia's data release, told by the numbers of coefficients; None of spectra that are sampled already.
    """

    path: str

    @property
    def release(self) -> str | None:
        """Return Gaia's data release, None of sampled spectra."""

    def location(self) -> str:
        """Return the file's path or URI."""

    def fingerprint(self) -> str:
        """Return the fingerprint of the file's bytes, see `xpfeh.files.digest`."""

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return ranges (first row, rows) that can be read apart; None where only reading tells the rows."""

    def read(self, start: int, rows: int | None) -> Iterator[RawBatch]:
        """Yield the raw rows of a range: each once, accepted or rejected with a reason."""

    def source_ids(self, start: int, rows: int | None) -> Iterator[pa.Array]:
        """Yield the identifiers of all rows of a range, rejected ones too; null where one cannot be read."""


@dataclass(frozen=True)
class CompanionFiles:
    """Files of photometry and of distances that belong to Gaia's files of spectra."""

    photometry: tuple[str, ...] = ()
    distances: tuple[str, ...] = ()

    @classmethod
    def find(cls, photometry: Sequence[str], distances: Sequence[str] = ()) -> CompanionFiles:
        """Return the files of these sources, each a file, a folder, a glob or a URI.

        Raises
        ------
        UserError
            If one of them holds no table.
        """

        def files(sources: Sequence[str]) -> tuple[str, ...]:
            return tuple(file for source in sources for file in find_files(source))

        return cls(files(photometry), files(distances))


NO_COMPANIONS = CompanionFiles()


def find_spectra(source: str) -> list[SpectraFile]:
    """Return the files of spectra behind a source: the library's name, a file, a folder, a glob or a URI.

    Raises
    ------
    UserError
        If there is none.
    """
    if _is_library(source):
        return [open_spectra(source)]
    return [GaiaFile(path) for path in find_files(source)]


def open_spectra(path: str) -> SpectraFile:
    """Return the reader of one file of spectra, or of the packaged library."""
    return Library(path) if _is_library(path) else GaiaFile(path)


def read(file: SpectraFile, start: int, rows: int | None, companions: CompanionFiles) -> Iterator[RawBatch]:
    """Yield the raw rows of a range as `xpfeh.xp.preprocess.preprocess` takes them, photometry and distances joined."""
    for batch in file.read(start, rows):
        if file.release is not None:
            known = _companions(companions).of(batch.columns["source_id"])
            batch = RawBatch({**batch.columns, **known}, batch.rejected)
        yield batch


def check(file: SpectraFile, planned: str) -> None:
    """Read a file through and compare it with its planned fingerprint.

    Raises
    ------
    UserError
        If it is another file than planned.
    """
    algorithm = planned.partition(":")[0]
    if digest(*filesystem(file.location()), algorithm) != planned:
        reason = (
            "its MD5 is not the listed one; download it again" if algorithm == "md5" else "has changed since planned"
        )
        raise UserError(f"{file.path}: {reason}")


@lru_cache(maxsize=1)
def _companions(files: CompanionFiles) -> Companions:
    return Companions(files.photometry, files.distances)


@lru_cache(maxsize=16)
def _is_library(source: str) -> bool:
    """A FITS file without coefficients is taken for one of the library's layout, which its own reader then checks."""
    if source == NAME:
        return True
    path = Path(absolute(source))
    if not source.lower().endswith((".fits", ".fits.gz")) or not path.is_file():
        return False
    try:
        with fits.open(path) as units:
            names = set(units[1].columns.names)
    except (OSError, IndexError, AttributeError):
        return True
    return not ({"bp_coefficients", "bp_coeff_0"} & names)
