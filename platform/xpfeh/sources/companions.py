"""What Gaia gives beside a spectrum: photometry and distances, joined by source_id."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from astropy import units as u
from astropy.table import Table
from astropy_healpix import HEALPix
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.files import filesystem
from xpfeh.xp.photometry import excess_factor

PHOTOMETRY = ("ra", "dec", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "phot_bp_rp_excess_factor")
_DISTANCE = ("r_med_geo", "rgeo")
_LEVEL_12 = HEALPix(4096, order="nested")
_IDS_PER_PIXEL = 2**35
_IDS_PER_BULK_PIXEL = 2**43  # bulk files are cut at HEALPix level 8
_ID_NAMES = ("source_id", "SOURCE_ID", "Source")


Range = tuple[int, int]
"""The first and the last source_id that a file can hold."""


class Companions:
    """Photometry and distances of many stars, looked up by source_id.

    Memory holds the files whose range of identifiers the latest stars fall into: of Gaia's own bulk files one or two.

    Parameters
    ----------
    photometry : sequence of str
        Tables with columns of gaia_source (`PHOTOMETRY`; the excess factor is computed where it is missing).
    distances : sequence of str
        Tables with Bailer-Jones' ``r_med_geo`` or ``rgeo``, pc.
    """

    def __init__(self, photometry: Sequence[str], distances: Sequence[str]) -> None:
        self._photometry = _Files(photometry, _photometry, PHOTOMETRY)
        self._distances = _Files(distances, _distance, ("rgeo",))

    def of(self, source_id: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Return the columns of `PHOTOMETRY` and ``rgeo`` of N stars, NaN where unknown.

        The position of a star without a row is the centre of its source_id's HEALPix pixel (51 arcsec).

        Raises
        ------
        UserError
            If a file cannot be read, or lacks a column.
        """
        columns = {**self._photometry.of(source_id), **self._distances.of(source_id)}
        unknown = np.isnan(columns["ra"])
        if unknown.any():
            lon, lat = _LEVEL_12.healpix_to_lonlat(source_id[unknown] // _IDS_PER_PIXEL)
            columns["ra"][unknown], columns["dec"][unknown] = lon.to_value(u.deg), lat.to_value(u.deg)
        return columns


class _Files:
    """Tables of one kind; those that the latest stars may stand in are loaded."""

    def __init__(self, paths: Sequence[str], read: Callable[[str], pl.DataFrame], names: Sequence[str]) -> None:
        self._ranges = {path: id_range(path) for path in paths}
        self._read, self._names = read, names
        self._loaded: list[str] = []
        self._table = _sorted([], names)

    def of(self, source_id: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        if source_id.size:
            low, high = source_id.min(), source_id.max()
            wanted = [path for path, (first, last) in self._ranges.items() if first <= high and low <= last]
            if wanted != self._loaded:
                self._table = _sorted([self._read(path) for path in wanted], self._names)
                self._loaded = wanted
        return _looked_up(self._table, source_id)


def id_range(path: str) -> Range:
    """Return the identifiers that a file can hold: by the name of a bulk file, by Parquet's statistics, or any."""
    if named := re.search(r"GaiaSource_(\d{6})-(\d{6})\.", path):
        first, last = (int(pixel) for pixel in named.groups())
        return first * _IDS_PER_BULK_PIXEL, (last + 1) * _IDS_PER_BULK_PIXEL - 1
    if path.lower().endswith(".parquet"):
        fs, inside = filesystem(path)
        with suppress(OSError, pa.ArrowInvalid):
            metadata = pq.read_metadata(inside, filesystem=fs)
            if (column := _id_column(metadata.schema.names)) is not None:
                groups = [metadata.row_group(group).column(column) for group in range(metadata.num_row_groups)]
                if groups and all(group.is_stats_set and group.statistics.has_min_max for group in groups):
                    return min(g.statistics.min for g in groups), max(g.statistics.max for g in groups)
    return -(2**63), 2**63 - 1


def _id_column(names: Sequence[str]) -> int | None:
    return next((place for place, name in enumerate(names) if name in _ID_NAMES), None)


Frames = tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]


def _looked_up(table: Frames, source_id: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    ids, columns = table
    if not ids.size:
        return {name: np.full(len(source_id), np.nan) for name in columns}
    where = np.searchsorted(ids, source_id).clip(max=ids.size - 1)
    found = ids[where] == source_id
    return {name: np.where(found, values[where], np.nan) for name, values in columns.items()}


def _sorted(frames: list[pl.DataFrame], names: Sequence[str]) -> Frames:
    if not frames:
        return np.empty(0, dtype=np.int64), {name: np.empty(0) for name in names}
    frame = pl.concat(frames).unique("source_id", keep="first").sort("source_id")
    return frame["source_id"].to_numpy(), {name: frame[name].fill_null(np.nan).to_numpy() for name in names}


def _photometry(path: str) -> pl.DataFrame:
    return read_columns(path, PHOTOMETRY[:-1], PHOTOMETRY[-1:])


def _distance(path: str) -> pl.DataFrame:
    frame = read_columns(path, (), _DISTANCE)
    name = next((name for name in _DISTANCE if frame[name].is_not_null().any()), None)
    if name is None:
        raise UserError(f"{path}: no column {' or '.join(_DISTANCE)}; a table of distances needs one of them")
    return frame.select("source_id", pl.col(name).alias("rgeo"))


def read_columns(path: str, needed: Sequence[str], optional: Sequence[str]) -> pl.DataFrame:
    """Read ``source_id`` and the named columns of a Parquet, CSV, ECSV, FITS or VOTable file."""
    fs, inside = filesystem(path)
    lower = path.lower()
    try:
        with fs.open_input_stream(inside) as stream:
            content = io.BytesIO(stream.read())
        if lower.endswith(".parquet"):
            frame = pl.read_parquet(content)
        elif lower.endswith((".csv", ".csv.gz")):
            frame = pl.read_csv(content, comment_prefix="#", null_values=["null", ""], infer_schema_length=None)
        else:
            kind = {"fits": "fits", "ecsv": "ascii.ecsv"}.get(lower.rpartition(".")[2], "votable")
            frame = _from_astropy(Table.read(content, format=kind))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read as a table ({str(error).splitlines()[0]})") from None
    frame = frame.rename({name: "source_id" for name in frame.columns if name in _ID_NAMES})
    if missing := [name for name in ("source_id", *needed) if name not in frame.columns]:
        raise UserError(f"{path}: lacks the column {', '.join(missing)}")
    if not frame["source_id"].dtype.is_integer():
        raise UserError(f"{path}: source_id is {frame['source_id'].dtype}, which loses digits; use a 64-bit integer")
    frame = frame.with_columns(pl.lit(None, pl.Float64).alias(n) for n in optional if n not in frame.columns)
    frame = frame.select(
        pl.col("source_id").cast(pl.Int64), *(pl.col(n).cast(pl.Float64) for n in (*needed, *optional))
    )
    if "phot_bp_rp_excess_factor" in optional:
        bands = (frame[f"phot_{band}_mean_mag"].fill_null(np.nan).to_numpy() for band in ("g", "bp", "rp"))
        computed = pl.Series(excess_factor(*bands)).fill_nan(None)
        frame = frame.with_columns(pl.col("phot_bp_rp_excess_factor").fill_null(computed))
    return frame


def _from_astropy(table: Table) -> pl.DataFrame:
    plain = {}
    for name in table.colnames:
        column = table[name]
        if column.ndim == 1 and column.dtype.kind in "iuf":
            values = pl.Series(np.asarray(column).astype(column.dtype.newbyteorder("=")))
            mask = np.ma.getmaskarray(np.ma.asarray(column))
            plain[name] = values.zip_with(pl.Series(~mask), pl.Series([None] * len(values), dtype=values.dtype))
    return pl.DataFrame(plain)
