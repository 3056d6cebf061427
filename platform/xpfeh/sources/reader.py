"""The door to every kind of source: what pieces it has, and the raw rows of a piece, once each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
from astropy.io import fits

from xpfeh.errors import UserError
from xpfeh.files import digest, filesystem
from xpfeh.sources import gaia_files, library
from xpfeh.sources.coefficients import RawBatch, Reject
from xpfeh.sources.companions import Companions
from xpfeh.xp.bases import load_bands

_LIBRARY_ROWS = 5_000


@dataclass(frozen=True)
class Piece:
    """A file, or some rows of the library: from star `start` on.

    Attributes
    ----------
    source : str
        Path or URI of a file, or the library's name.
    release : str
        Of Gaia's files, the data release; of the library, "" (sampled spectra).
    rows : int
        Rows that the piece accounts for; 0 where only reading the file tells.
    """

    source: str
    release: str
    start: int
    rows: int


@dataclass(frozen=True)
class Beside:
    """Files of photometry and of distances that belong to Gaia's files of spectra."""

    photometry: tuple[str, ...] = ()
    distances: tuple[str, ...] = ()

    @classmethod
    def of(cls, photometry: Sequence[str], distances: Sequence[str] = ()) -> Beside:
        """Return the files of these sources, each a file, a folder, a glob or a URI.

        Raises
        ------
        UserError
            If one of them holds no table.
        """

        def files(sources: Sequence[str]) -> tuple[str, ...]:
            return tuple(file for source in sources for file in gaia_files.find_files(source))

        return cls(files(photometry), files(distances))


def pieces(source: str) -> list[Piece]:
    """Cut a source into pieces that can be read apart.

    Raises
    ------
    UserError
        If the source is not one, mixes data releases, or is of one that GaiaXPy has no bases for.
    """
    if _is_library(source):
        rows, distinct = library.count_rows(library.library_path(source))
        starts = range(0, distinct, _LIBRARY_ROWS)
        counts = [min(_LIBRARY_ROWS, distinct - start) for start in starts]
        counts[0] += rows - distinct
        return [Piece(source, "", start, count) for start, count in zip(starts, counts, strict=True)]
    files = gaia_files.find_files(source)
    releases = {path: gaia_files.read_release(path) for path in files}
    if len(set(releases.values())) > 1:
        told = ", ".join(f"{Path(path).name} {release}" for path, release in list(releases.items())[:4])
        raise UserError(f"{source}: mixes data releases ({told} ...); ingest each by itself")
    load_bands(releases[files[0]])
    return [Piece(path, releases[path], start, rows) for path in files for start, rows in gaia_files.cut(path)]


def read(piece: Piece, beside: Beside) -> Iterator[RawBatch]:
    """Yield the raw rows of a piece, as `xpfeh.xp.preprocess.preprocess` takes them."""
    if piece.release:
        companions = _companions(beside)
        for batch in gaia_files.read_batches(piece.source, piece.release, piece.start, piece.rows):
            yield RawBatch({**batch.columns, **companions.of(batch.columns["source_id"])}, batch.rejected)
        return
    path = library.library_path(piece.source)
    rejected = _repeated(piece, path)
    stop = piece.start + piece.rows - len(rejected)
    yield RawBatch(library.read_spectra(path, piece.start, stop), rejected)


def read_ids(piece: Piece) -> Iterator[pa.Array]:
    """Yield the identifiers of all rows that a piece accounts for, rejected ones too; null where unreadable."""
    if piece.release:
        yield from gaia_files.read_ids(piece.source, piece.start, piece.rows)
        return
    path = library.library_path(piece.source)
    repeated = [reject.source_id for reject in _repeated(piece, path)]
    stop = piece.start + piece.rows - len(repeated)
    yield pa.array([*library.source_ids(path)[piece.start : stop], *repeated], pa.int64())


def fingerprint(source: str) -> str:
    """Return the fingerprint of a piece's file, see `xpfeh.files.digest`."""
    if _is_library(source):
        return digest(*filesystem(library.library_path(source)))
    return gaia_files.fingerprint(source)


def check(source: str, planned: str) -> None:
    """Read a piece's file through and compare it with its planned fingerprint.

    Raises
    ------
    UserError
        If it is another file than planned.
    """
    algorithm = planned.partition(":")[0]
    path = library.library_path(source) if _is_library(source) else source
    if digest(*filesystem(path), algorithm) != planned:
        told = "its MD5 is not the listed one; download it again" if algorithm == "md5" else "has changed since planned"
        raise UserError(f"{source}: {told}")


def _repeated(piece: Piece, path: Path) -> list[Reject]:
    rows = [] if piece.start else library.repeated_rows(path)
    return [Reject(row, source_id, "repeated source_id") for row, source_id in rows]


@lru_cache(maxsize=1)
def _companions(beside: Beside) -> Companions:
    return Companions(beside.photometry, beside.distances)


@lru_cache(maxsize=16)
def _is_library(source: str) -> bool:
    """A FITS file without coefficients is taken for one of the library's layout, which its own reader then checks."""
    if source == library.NAME:
        return True
    if not source.lower().endswith((".fits", ".fits.gz")) or not Path(source).is_file():
        return False
    try:
        with fits.open(source) as units:
            names = set(units[1].columns.names)
    except (OSError, IndexError, AttributeError):
        return True
    return not ({"bp_coefficients", "bp_coeff_0"} & names)
