"""The door to every kind of source: what pieces it has, and the raw rows of a piece, once each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from astropy.io import fits

from xpfeh.errors import UserError
from xpfeh.provenance import file_fingerprint
from xpfeh.sources import apogee_library, gaia_files
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
        Stars of the library's piece; 0 where only reading the file tells.
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


def pieces(source: str) -> list[Piece]:
    """Cut a source into pieces that can be read apart.

    Raises
    ------
    UserError
        If the source is not one, mixes data releases, or is of one that GaiaXPy has no bases for.
    """
    if _is_library(source):
        _, distinct = apogee_library.count_rows(apogee_library.library_path(source))
        starts = range(0, distinct, _LIBRARY_ROWS)
        return [Piece(source, "", start, min(_LIBRARY_ROWS, distinct - start)) for start in starts]
    files = gaia_files.find_files(source)
    found = [Piece(path, gaia_files.read_release(path), 0, 0) for path in files]
    if len({piece.release for piece in found}) > 1:
        told = ", ".join(f"{Path(piece.source).name} {piece.release}" for piece in found[:4])
        raise UserError(f"{source}: mixes data releases ({told} ...); ingest each by itself")
    load_bands(found[0].release)
    return found


def read(piece: Piece, beside: Beside) -> Iterator[RawBatch]:
    """Yield the raw rows of a piece, as `xpfeh.xp.preprocess.preprocess` takes them."""
    if piece.release:
        companions = _companions(beside)
        for batch in gaia_files.read_batches(piece.source, piece.release):
            yield RawBatch({**batch.columns, **companions.of(batch.columns["source_id"])}, batch.rejected)
        return
    path = apogee_library.library_path(piece.source)
    repeated = [] if piece.start else apogee_library.repeated_rows(path)
    rejected = [Reject(row, source_id, "repeated source_id") for row, source_id in repeated]
    yield RawBatch(apogee_library.read_spectra(path, piece.start, piece.start + piece.rows), rejected)


def fingerprint(source: str) -> str:
    """Return the SHA-256 of a piece's file."""
    if _is_library(source):
        return file_fingerprint(apogee_library.library_path(source))
    return gaia_files.fingerprint(source)


@lru_cache(maxsize=1)
def _companions(beside: Beside) -> Companions:
    return Companions(beside.photometry, beside.distances)


@lru_cache(maxsize=16)
def _is_library(source: str) -> bool:
    """A FITS file without coefficients is taken for one of the library's layout, which its own reader then checks."""
    if source == apogee_library.NAME:
        return True
    if not source.lower().endswith((".fits", ".fits.gz")) or not Path(source).is_file():
        return False
    try:
        with fits.open(source) as units:
            names = set(units[1].columns.names)
    except (OSError, IndexError, AttributeError):
        return True
    return not ({"bp_coefficients", "bp_coeff_0"} & names)
