"""The door to every kind of spectra: one reader class a kind, each file's rows delivered once or rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.files import absolute, exists, filesystem
from xpfeh.sources.archive_stars import ArchiveStars
from xpfeh.sources.coefficients import RawBatch
from xpfeh.sources.companions import Companions
from xpfeh.sources.fits_files import first_table
from xpfeh.sources.gaia_files import GaiaFile
from xpfeh.sources.given_table import GivenTable
from xpfeh.sources.input_files import FITS, find_files, suffix_of
from xpfeh.sources.library import NAME, Library


class SpectraFile(Protocol):
    """A file of spectra, whatever its kind."""

    @property
    def path(self) -> str:
        """Absolute path or URI, or what the source is called."""

    @property
    def location(self) -> str:
        """Where the bytes lie: the path or URI, for the packaged library too."""

    @property
    def releases(self) -> tuple[str, ...]:
        """Gaia's data releases that the spectra may be of; none for spectra that are sampled already."""

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return ranges (first row, rows) that can be read apart; None where only reading shows how many rows."""

    def read(self, start: int, rows: int | None) -> Iterator[RawBatch]:
        """Yield the raw rows of one of `ranges`: each once, accepted or rejected with a reason."""

    def source_ids(self, start: int, rows: int | None) -> Iterator[pa.Array]:
        """Yield the identifiers of all rows of one of `ranges`, rejected ones too; null where one cannot be read."""


@dataclass(frozen=True)
class CompanionFiles:
    """Files of photometry and of distances that belong to Gaia's files of spectra.

    >>> CompanionFiles.find([])
    CompanionFiles(photometry=(), distances=())
    """

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


def find_spectra(source: object) -> list[SpectraFile]:
    """Return what reads a source: the library's name, a file, folder, glob or URI, a table, or stars of the archive.

    Raises
    ------
    UserError
        If there is none.

    Examples
    --------
    >>> [file.path for file in find_spectra("apogee-library")]
    ['apogee-library']
    """
    if isinstance(source, ArchiveStars):
        return [source]
    if not isinstance(source, str | Path):
        return [GivenTable(source)]
    if source == NAME:
        return [Library(NAME)]
    return [open_spectra(path) for path in find_files(str(source))]


def open_spectra(path: str) -> SpectraFile:
    """Return the reader of one file of spectra, or of the packaged library.

    Raises
    ------
    UserError
        If there is no such file.
    """
    if path != NAME and not exists(*filesystem(path)):
        raise UserError(f"{path}: no such file")
    return Library(path) if _is_library(path) else GaiaFile(path)


def check_companions(file: SpectraFile, companions: CompanionFiles) -> None:
    """Raise a `UserError` if there are companion files for a library, which has its own photometry."""
    if isinstance(file, Library) and companions != NO_COMPANIONS:
        raise UserError(f"{file.path}: has photometry of its own, and no use for --photometry or --distances")


def read(file: SpectraFile, start: int, rows: int | None, companions: CompanionFiles) -> Iterator[RawBatch]:
    """Yield the raw rows of a range as `xpfeh.xp.preprocess.preprocess` takes them, photometry and distances joined.

    Raises
    ------
    UserError
        If the file cannot be read, or is of a library, which has its own photometry, and there are companion files.
    """
    check_companions(file, companions)
    for batch in file.read(start, rows):
        if not isinstance(file, Library):
            tables, ids = _companions(companions), batch.columns["source_id"]
            columns = {**batch.columns, **_beside(batch.columns, tables.of(ids))}
            batch = RawBatch(columns, batch.rejected, tables.known(ids))
        yield batch


def _beside(own: Mapping[str, NDArray], known: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return photometry and distances: a table's own where it has them."""
    return {
        name: np.where(np.isnan(own[name]), values, own[name]) if name in own else values
        for name, values in known.items()
    }


@lru_cache(maxsize=1)
def _companions(files: CompanionFiles) -> Companions:
    """The tables are opened once a run, not once a file of spectra."""
    return Companions(files.photometry, files.distances)


def forget_companions() -> None:
    """Read photometry and distances anew from now on: in a long session their files may have changed."""
    _companions.cache_clear()


def _is_library(path: str) -> bool:
    """A FITS file without coefficients is taken for one of the library's layout, which its own reader then checks."""
    if path == NAME:
        return True
    if suffix_of(path) not in FITS or "://" in path:  # the library's reader takes local files only
        return False
    try:
        with first_table(Path(absolute(path)), path) as table:
            names = [name.lower() for name in table.columns.names]
    except UserError:
        return True
    return not any(name.startswith(("bp_coeff", "rp_coeff", "e_bp_coeff", "e_rp_coeff")) for name in names)
