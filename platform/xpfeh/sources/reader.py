"""Opens every kind of spectra: one reader class per kind, each row of a file delivered once or rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from xpfeh.errors import InputError, UserError
from xpfeh.files import absolute, exists, filesystem
from xpfeh.sources.archive_stars import ArchiveStars
from xpfeh.sources.coefficients import RawBatch
from xpfeh.sources.companions import Companion, Companions, GivenRows
from xpfeh.sources.gaia_files import GaiaFile
from xpfeh.sources.given_table import GivenTable
from xpfeh.sources.input_files import FITS, find_files
from xpfeh.sources.library import ID, NAME, Library
from xpfeh.sources.samples import COEFFICIENTS, is_sampled
from xpfeh.tables.fits_reader import open_fits
from xpfeh.tables.gunzip import suffix_of
from xpfeh.tables.in_memory import arrow_table
from xpfeh.tables.reading import single_values


class SpectraFile(Protocol):
    """A file of spectra, whatever its kind."""

    @property
    def path(self) -> str:
        """Absolute path or URI, or the source's name."""

    @property
    def location(self) -> str:
        """Path or URI of the file, for the packaged library too."""

    @property
    def releases(self) -> tuple[str, ...]:
        """Gaia's data releases that the spectra may belong to; empty for spectra that are already sampled."""

    @property
    def takes_companions(self) -> bool:
        """Whether photometry and distances can be given separately; not if they are in the file itself."""

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return ranges (first row, rows) that can be read separately; None where the number of rows is unknown."""

    def read(self, start: int, rows: int | None) -> Iterator[RawBatch]:
        """Yield the raw rows of one of `ranges`: each once, accepted or rejected with a reason."""

    def source_ids(self, start: int, rows: int | None) -> Iterator[pa.Array]:
        """Yield the identifiers of all rows of one of `ranges`, rejected ones too; null where one cannot be read."""


@dataclass(frozen=True)
class CompanionFiles:
    """Files of photometry and of distances that belong to spectra, or tables of them in memory.

    >>> CompanionFiles.find([])
    CompanionFiles(photometry=(), distances=())
    """

    photometry: tuple[Companion, ...] = ()
    distances: tuple[Companion, ...] = ()

    @classmethod
    def find(cls, photometry: Any = None, distances: Any = None) -> CompanionFiles:
        """Return the tables of these sources: one, or a list of several.

        Each is a file, a folder, a glob, a URI, or a table as `xpfeh.tables.in_memory.arrow_table` accepts it.

        Raises
        ------
        InputError
            If one of them holds no table.
        """
        return cls(_companion_tables(photometry, "photometry"), _companion_tables(distances, "distances"))


def _companion_tables(given: Any, kind: str) -> tuple[Companion, ...]:
    found: list[Companion] = []
    for each in [] if given is None else given if isinstance(given, list | tuple) else [given]:
        if isinstance(each, str | Path):
            found += find_files(str(each))
        else:
            name = f"the table of {kind}"
            found.append(GivenRows(name, single_values(pl.DataFrame(arrow_table(each, name)))))
    return tuple(found)


NO_COMPANIONS = CompanionFiles()


def find_spectra(source: object) -> list[SpectraFile]:
    """Return the readers of a source: a file, folder, glob or URI, a list of them, a table, or stars of the archive.

    `xpfeh.commands.star_source.source_of` makes a source from any input of a user.

    Raises
    ------
    UserError
        If there is no such source.

    Examples
    --------
    >>> [file.path for file in find_spectra("apogee-library")]
    ['apogee-library']
    """
    if isinstance(source, ArchiveStars):
        return [source]
    if isinstance(source, list):
        return [file for each in source for file in find_spectra(each)]
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
        raise InputError(f"{path}: no such file")
    return Library(path) if _is_library(path) else GaiaFile(path)


def check_companions(file: SpectraFile, companions: CompanionFiles) -> None:
    """Raise a `UserError` if companion files are given for a file that accepts none."""
    if not file.takes_companions and companions != NO_COMPANIONS:
        raise InputError(f"{file.path}: has its own photometry, and accepts no other photometry or distances")


def read(file: SpectraFile, start: int, rows: int | None, companions: CompanionFiles) -> Iterator[RawBatch]:
    """Yield the raw rows of a range as `xpfeh.xp.preprocess.preprocess` needs them, photometry and distances joined.

    Raises
    ------
    UserError
        If the file cannot be read, or companion files are given and it accepts none.
    """
    check_companions(file, companions)
    for batch in file.read(start, rows):
        if file.takes_companions:
            tables, ids = _companions(companions), batch.columns["source_id"]
            columns = {**batch.columns, **_own_first(batch.columns, tables.of(ids))}
            batch = RawBatch(columns, batch.rejected, tables.count(ids))
        yield batch


def _own_first(own: Mapping[str, NDArray], known: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return photometry and distances, with preference for those that came with the spectra; a position is a pair."""
    result = {}
    for name, values in known.items():
        pair = ("ra", "dec") if name in ("ra", "dec") else (name,)
        unknown = np.logical_or.reduce([np.isnan(own[each]) for each in pair]) if name in own else True
        result[name] = np.where(unknown, values, own.get(name, values))
    return result


@lru_cache(maxsize=1)
def _companions(files: CompanionFiles) -> Companions:
    """Return the opened tables, cached to open them once per run, not once per file of spectra."""
    return Companions(files.photometry, files.distances)


def forget_companions() -> None:
    """Read photometry and distances again from now on: in a long session their files may have changed."""
    _companions.cache_clear()


def _is_library(path: str) -> bool:
    """Return whether a file has the library's layout: a FITS file that is not Gaia's; its reader checks it."""
    if path == NAME:
        return True
    if suffix_of(path) not in FITS or "://" in path:  # the library's reader accepts local files only
        return False
    try:
        with open_fits(Path(absolute(path)), path) as table:
            names = [name.lower() for name in table.columns.names]
    except UserError:
        return True
    has_coefficients = any(name.startswith(COEFFICIENTS) for name in names)
    return ID in names or not (has_coefficients or is_sampled(names))
