"""Photometry, parallaxes and distances of stars, joined to their spectra by source_id."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from astropy import units as u
from astropy.coordinates import angular_separation
from astropy_healpix import HEALPix
from numpy.typing import NDArray

from xpfeh.column_names import find_columns
from xpfeh.errors import InputError
from xpfeh.files import filesystem
from xpfeh.tables.checks import IDS_PER_PIXEL
from xpfeh.tables.reading import read_stars, stars_of
from xpfeh.tables.row_groups import ANY_ID, id_ranges
from xpfeh.xp.parallax import PARALLAX, PARALLAX_INPUTS, corrected_parallax
from xpfeh.xp.photometry import excess_factor

PHOTOMETRY = ("ra", "dec", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "phot_bp_rp_excess_factor")
_MAGNITUDES, _EXCESS = PHOTOMETRY[2:5], PHOTOMETRY[5]
_LEVEL_12 = HEALPix(4096, order="nested")  # the pixels of source_ids, see `IDS_PER_PIXEL`
_FAR_DEG = 1.0
_BULK_NAME = re.compile(r"GaiaSource_(\d{6})-(\d{6})\.")
_IDS_PER_BULK_PIXEL = IDS_PER_PIXEL * 4 ** (12 - 8)  # Gaia's bulk files are cut at HEALPix level 8

Range = tuple[int, int]
"""The first and the last source_id that a file can hold."""


@dataclass(frozen=True, eq=False)
class GivenRows:
    """A table in memory instead of a file of photometry or distances: its columns of single values.

    >>> str(GivenRows("the table of distances", pl.DataFrame()))
    'the table of distances'
    """

    name: str
    frame: pl.DataFrame

    def __str__(self) -> str:
        return self.name


Companion = str | GivenRows
"""A file, or a table in memory."""


class Companions:
    """Photometry, parallaxes and distances of many stars, looked up by source_id.

    Memory holds the files whose range of identifiers includes the latest stars: one or two of Gaia's own bulk files.

    Parameters
    ----------
    photometry : sequence of Companion
        Tables with columns of gaia_source, under its names or VizieR's: `PHOTOMETRY`, whose excess factor is computed
        where missing, and optionally `xpfeh.xp.parallax.PARALLAX_INPUTS` and ``ebv`` (mag, of SFD98 or on its scale).
        Positions at J2000 are accurate enough for their use: the dust map and the distance from the plane.
    distances : sequence of Companion
        Tables with Bailer-Jones' ``r_med_geo`` or ``rgeo``, pc.
    """

    def __init__(self, photometry: Sequence[Companion], distances: Sequence[Companion]) -> None:
        self._photometry = _Files(photometry, _read_photometry, (*PHOTOMETRY, *PARALLAX, "ebv"))
        self._distances = _Files(distances, _read_distance, ("rgeo",))

    def check(self) -> None:
        """Read every file except Gaia's own bulk files, so that faults are found before a long run.

        Raises
        ------
        UserError
            If a file cannot be read, or lacks a column.
        """
        self._photometry.check()
        self._distances.check()

    def count(self, source_id: NDArray[np.int64]) -> dict[str, int]:
        """Return the number of stars with a row in the files, for each kind that has files.

        Examples
        --------
        >>> Companions([], []).count(np.array([4295806720]))
        {}
        """
        kinds = {"photometry": self._photometry, "distances": self._distances}
        return {kind: files.count(source_id) for kind, files in kinds.items() if files}

    def of(self, source_id: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Return `PHOTOMETRY`, `xpfeh.xp.parallax.PARALLAX`, ``ebv`` and ``rgeo`` of N stars, NaN where unknown.

        The position of a star without a row is the centre of its source_id's HEALPix pixel (51 arcsec).

        Raises
        ------
        UserError
            If a file cannot be read, or lacks a column.

        Examples
        --------
        >>> columns = Companions([], []).of(np.array([4295806720]))
        >>> columns["ra"].round(3), columns["dec"].round(3), columns["rgeo"]
        (array([45.]), array([0.009]), array([nan]))
        """
        columns = {**self._photometry.of(source_id), **self._distances.of(source_id)}
        unknown = np.isnan(columns["ra"]) | np.isnan(columns["dec"])
        if unknown.any():
            columns["ra"][unknown], columns["dec"][unknown] = _position(source_id[unknown])
        return columns


def _position(source_id: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centres of the identifiers' HEALPix pixels, deg."""
    lon, lat = _LEVEL_12.healpix_to_lonlat(source_id // IDS_PER_PIXEL)
    return lon.to_value(u.deg), lat.to_value(u.deg)


def far_from_source_id(star: Mapping[str, NDArray]) -> NDArray[np.bool_]:
    """Return which stars (N,) are more than a degree from the position in their identifier.

    In 30 years no star moves by a tenth of that. Identifiers of no Gaia star, beyond the last pixel, have no position.

    Examples
    --------
    >>> star = {"source_id": np.array([4295806720] * 2), "ra": np.array([44.996, 2.9997]), "dec": np.array([0.006] * 2)}
    >>> far_from_source_id(star).tolist()  # the second one's right ascension is in hours
    [False, True]
    """
    if "ra" not in star:
        return np.zeros(len(star["source_id"]), dtype=bool)
    known = star["source_id"] // IDS_PER_PIXEL < _LEVEL_12.npix
    ra, dec = np.radians(_position(np.where(known, star["source_id"], 0)))
    apart = angular_separation(ra, dec, np.radians(star["ra"]), np.radians(star["dec"]))
    return known & (np.degrees(apart) > _FAR_DEG)


class _Files:
    """Tables of one kind; those that may contain the latest stars are loaded."""

    def __init__(
        self, tables: Sequence[Companion], read: Callable[[Companion], pl.DataFrame], names: Sequence[str]
    ) -> None:
        self._ranges = {table: id_range(str(table)) for table in tables}
        self._read, self._names = read, names
        self._loaded: list[Companion] = []
        self._ids, self._columns = _sort([], names)

    def check(self) -> None:
        for table in self._ranges:
            if not _BULK_NAME.search(str(table)):
                self._read(table)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def count(self, source_id: NDArray[np.int64]) -> int:
        return int(self._rows(source_id)[1].sum())

    def of(self, source_id: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        rows, found = self._rows(source_id)
        return {name: np.where(found, values[rows], np.nan) for name, values in self._columns.items()}

    def _rows(self, source_id: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Load the tables that may contain these stars; return each star's row, and whether it has one."""
        if source_id.size:
            low, high = source_id.min(), source_id.max()
            wanted = [table for table, (first, last) in self._ranges.items() if first <= high and low <= last]
            if wanted != self._loaded:
                self._ids, self._columns = _sort([self._read(table) for table in wanted], self._names)
                self._loaded = wanted
        rows = np.searchsorted(self._ids, source_id).clip(max=self._ids.size - 1)
        return rows, self._ids[rows] == source_id


def id_range(path: str) -> Range:
    """Return the range of identifiers of a file, from the name of a bulk file or Parquet's statistics; else any.

    Examples
    --------
    >>> id_range("GaiaSource_000000-003111.csv.gz")
    (0, 27373441485111295)
    """
    if named := _BULK_NAME.search(path):
        first, last = (int(pixel) for pixel in named.groups())
        return first * _IDS_PER_BULK_PIXEL, (last + 1) * _IDS_PER_BULK_PIXEL - 1
    if path.lower().endswith(".parquet"):
        fs, inside = filesystem(path)
        with suppress(OSError, pa.ArrowException):  # read_table refuses it with a message
            metadata = pq.read_metadata(inside, filesystem=fs)
            found = find_columns(metadata.schema.names, ["source_id"]).get("source_id", [])
            if metadata.num_rows and len(found) == 1:  # if there are several, only their values show whether they agree
                ranges = id_ranges(metadata, found[0])
                return int(ranges.min()), int(ranges.max())
    return ANY_ID


def _sort(frames: list[pl.DataFrame], names: Sequence[str]) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Return ascending identifiers and their columns; without tables one row that no star matches."""
    if not frames:
        return np.array([ANY_ID[0]]), {name: np.array([np.nan]) for name in names}
    frame = pl.concat(frames).unique("source_id", keep="first").sort("source_id")
    return frame["source_id"].to_numpy(), {name: frame[name].to_numpy() for name in names}


def photometry_of(star: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return the columns of `PHOTOMETRY` and `xpfeh.xp.parallax.PARALLAX` that gaia_source's columns provide.

    The excess factor is computed from the magnitudes where missing, and the parallax is corrected for its zero point.

    Parameters
    ----------
    star : mapping of (N,) arrays
        Any of `PHOTOMETRY` and `xpfeh.xp.parallax.PARALLAX_INPUTS`, NaN where unknown.

    Examples
    --------
    >>> magnitudes = {f"phot_{band}_mean_mag": np.array([11.5, 11.5]) for band in ("g", "bp", "rp")}
    >>> star = {**magnitudes, "phot_bp_rp_excess_factor": np.array([1.2, np.nan])}
    >>> photometry_of(star)["phot_bp_rp_excess_factor"].round(3).tolist()
    [1.2, 1.146]
    """
    known = {name: star[name] for name in PHOTOMETRY if name in star}
    if known.keys() >= {*_MAGNITUDES}:
        computed = excess_factor(*(known[name] for name in _MAGNITUDES))
        given = known.get(_EXCESS, np.full_like(computed, np.nan))
        known[_EXCESS] = np.where(np.isnan(given), computed, given)
    return {**known, **corrected_parallax(star)} if "parallax" in star else known


def _read_photometry(table: Companion) -> pl.DataFrame:
    frame = _read_stars(table, PHOTOMETRY[:-1], (*PHOTOMETRY[-1:], *PARALLAX_INPUTS, "ebv"))
    columns = photometry_of({name: frame[name].to_numpy() for name in (*PHOTOMETRY, *PARALLAX_INPUTS)})
    return frame.select("source_id", "ebv").with_columns(**{name: pl.Series(v) for name, v in columns.items()})


def _read_distance(table: Companion) -> pl.DataFrame:
    frame = _read_stars(table, (), ["rgeo"])
    if not frame["rgeo"].count():
        raise InputError(f"{table}: no column r_med_geo or rgeo with values; a table of distances needs one")
    return frame


def _read_stars(table: Companion, needed: Sequence[str], optional: Sequence[str]) -> pl.DataFrame:
    if isinstance(table, GivenRows):
        return stars_of(table.frame, table.name, needed, optional)
    return read_stars(table, needed, optional)
