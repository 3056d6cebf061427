"""The systematics correction of XP spectra of Huang et al. (2024, DOI 10.3847/1538-4365/ad18b1).

A spectrum is multiplied by three tabulated factors: of its colours C2 and C3 and of its G magnitude (method.md 1.3).
The tables are theirs and are read from the user's folder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.files import data_folder
from xpfeh.xp.grid import WAVELENGTH_NM

Array = NDArray[np.float64]

CORRECTED, OUTSIDE_VALIDITY, UNCHANGED = 0, 1, 2
"""Cautions: tested by the authors; corrected, but outside what they tested; nothing to correct by."""

FILES = {
    "c2": ("untruc_interC2_CM.csv", "untruc_interyyC2_CM.csv"),
    "c3": ("untruc_interC3_CM.csv", "untruc_interyyC3_CM.csv"),
    "bright": ("untruc_interG_CM.csv", "untruc_interyyG_CM.csv"),
    "extended": ("interGext_CM.csv", "untruc_interyyGext_CM.csv"),
    "bands": ("inter_phot.csv", "inter_BP.csv", "inter_RP.csv"),
}
"""Each table's file of row indices and its files of factors, for spectra that are not truncated; none has a header."""

_SOURCE = "github.com/HiromonGON/GaiaXPcorrection, folder GaiaDR3XPspectracorrectionV1"
_SPAN = {"bright": (2.703, 17.122), "extended": (10.0, 17.4), "bands": (10.0, 17.65)}
"""G that is looked up in a table; a star beyond takes the end."""

_LEVEL = slice(62, 78)
_C2 = slice(27, 49), slice(49, 71)
_C3 = slice(71, 102), slice(102, 133)
_BP_SAMPLES = 105
_EXTENDED_FROM = 10.0


@dataclass(frozen=True, eq=False)
class Table:
    """Factors tabulated in steps of 0.001.

    Attributes
    ----------
    low, high : float
        Its range.
    values : (R, W) float64
        Its factors, a row a step; W is 343 samples, or 2 bands.
    """

    low: float
    high: float
    values: Array

    def holds(self, where: Array) -> NDArray[np.bool_]:
        """Tell which of (N,) places are within its range, ends included; NaN is not."""
        return (where >= self.low) & (where <= self.high)

    def at(self, where: Array) -> Array:
        """Return the (N, W) rows of (N,) places within its range, each rounded to 0.001 (ties to even)."""
        return self.values.take(np.rint(where * 1000).astype(np.intp) - round(self.low * 1000), axis=0)


@dataclass(frozen=True, eq=False)
class CorrectionTables:
    """The tables of Huang et al. (2024).

    Attributes
    ----------
    c2, c3 : Table
        343 factors by colour.
    bright, extended : Table
        343 factors by G magnitude.
    bands : Table
        Absolute correction of BP and of RP by G magnitude.
    fingerprint : str
        SHA-256 of the bytes of all files one after the other, sorted by name.
    """

    c2: Table
    c3: Table
    bright: Table
    extended: Table
    bands: Table
    fingerprint: str

    @classmethod
    def read(cls, folder: str | Path) -> CorrectionTables:
        """Read the tables from a folder.

        Raises
        ------
        UserError
            If a file is missing or is not of the layout.
        """
        folder = Path(folder)
        names = sorted(name for files in FILES.values() for name in files)
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise UserError(f"{folder} has no {', '.join(missing)}; get the tables from {_SOURCE}")
        digest = hashlib.sha256()
        for name in names:
            with (folder / name).open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        tables = {table: _read_table(folder, table) for table in FILES}
        return cls(**tables, fingerprint=digest.hexdigest())


def correct(
    flux: NDArray,
    flux_error: NDArray,
    g_mag: NDArray,
    bp_rp: NDArray,
    ebv: NDArray,
    tables: CorrectionTables,
    absolute: bool,
) -> tuple[Array, Array, NDArray[np.uint8]]:
    """Return corrected spectra; each star's depends on that star alone, to the last bit.

    Parameters
    ----------
    flux, flux_error : (N, 343) float64
        Before dereddening, in any unit.
    g_mag, bp_rp, ebv : (N,) float64
        G, BP-RP and E(B-V), mag. BP-RP and E(B-V) only decide the caution.
    tables : CorrectionTables
    absolute : bool
        Also correct the level of BP and of RP, from G = 10 on.

    Returns
    -------
    flux, flux_error : (N, 343) float64
        New arrays, both multiplied by the same factors.
    caution : (N,) uint8
        0: corrected. 1: corrected as well, but not within -0.5 < BP-RP < 2, 3 < G < 17.5, E(B-V) < 0.8, or that is
        not known; a G beyond a table takes its end. 2: unchanged, for C2 or C3 is out of its table, a
        flux, an error or G is not finite, or a factor is not.
    """
    flux, flux_error = (np.array(values, dtype=np.float64, order="C") for values in (flux, flux_error))
    g_mag, bp_rp, ebv = (np.asarray(values, dtype=np.float64) for values in (g_mag, bp_rp, ebv))
    finite = np.isfinite(flux).all(axis=1) & np.isfinite(flux_error).all(axis=1) & np.isfinite(g_mag)
    stars = np.flatnonzero(finite)
    c2, c3 = colours(flux[stars], flux_error[stars])
    inside = tables.c2.holds(c2) & tables.c3.holds(c3)
    stars = stars[inside]
    factor = tables.c2.at(c2[inside])
    factor *= tables.c3.at(c3[inside])
    factor *= _magnitude_factor(g_mag[stars], tables, absolute)
    known = np.isfinite(factor).all(axis=1)
    stars, factor = stars[known], factor[known]
    flux[stars] *= factor
    flux_error[stars] *= factor
    caution = np.full(len(flux), UNCHANGED, dtype=np.uint8)
    tested = (bp_rp > -0.5) & (bp_rp < 2) & (g_mag > 3) & (g_mag < 17.5) & (ebv < 0.8)
    caution[stars] = np.where(tested[stars], CORRECTED, OUTSIDE_VALIDITY)
    return flux, flux_error, caution


def colours(flux: Array, flux_error: Array) -> tuple[Array, Array]:
    """Return C2 and C3 of N spectra, slopes of the normalised flux.

    Parameters
    ----------
    flux, flux_error : (N, 343) float64
        Any unit, rows contiguous.

    Returns
    -------
    c2, c3 : (N,) float64
        Per 1000 Angstrom; not finite where the spectrum defines none.
    """
    with np.errstate(all="ignore"):
        level = flux[:, _LEVEL].mean(axis=1)[:, None]
        level_error = np.sqrt(np.square(flux_error[:, _LEVEL]).sum(axis=1))[:, None] / (_LEVEL.stop - _LEVEL.start)
        level_variance = np.square(level_error / level)

        def window_mean(window: slice) -> Array:
            """Weighted by (relative error)^-4: np.polyfit's weights, (relative error)^-2, apply to the residual."""
            weight = 1 / np.square(np.square(flux_error[:, window] / flux[:, window]) + level_variance)
            return (weight * (flux[:, window] / level)).sum(axis=1) / weight.sum(axis=1)

        c2, c3 = ((window_mean(blue) - window_mean(red)) / _distance(blue, red) for blue, red in (_C2, _C3))
    return c2, c3


def _distance(blue: slice, red: slice) -> float:
    """Return how far the middles of two windows are apart, 1000 Angstrom; negative."""
    return float(WAVELENGTH_NM[blue].mean() - WAVELENGTH_NM[red].mean()) / 100


def _magnitude_factor(g_mag: Array, tables: CorrectionTables, absolute: bool) -> Array:
    """Return the (N, 343) factors of (N,) finite magnitudes."""
    factor = tables.bright.at(np.clip(g_mag, *_SPAN["bright"]))
    faint = np.flatnonzero(g_mag >= _EXTENDED_FROM)
    level = factor[faint][:, _LEVEL].mean(axis=1)[:, None]
    factor[faint] = tables.extended.at(np.clip(g_mag[faint], *_SPAN["extended"])) * level
    if absolute:
        bands = tables.bands.at(np.clip(g_mag[faint], *_SPAN["bands"]))
        factor[faint] *= np.repeat(bands, (_BP_SAMPLES, WAVELENGTH_NM.size - _BP_SAMPLES), axis=1)
    return factor


def _read_table(folder: Path, table: str) -> Table:
    index_name, *value_names = FILES[table]
    width = WAVELENGTH_NM.size if len(value_names) == 1 else 1
    index = _read_csv(folder / index_name, 1)[:, 0]
    columns = [_read_csv(folder / name, width) for name in value_names]
    for name, found in zip(value_names, columns, strict=True):
        if len(found) != len(index):
            raise _wrong(folder / name, f"has {len(found)} rows and {index_name} {len(index)}")
    steps = np.rint(index * 1000)
    if not (np.abs(index * 1000 - steps) < 0.1).all() or not (np.diff(steps) == 1).all():
        raise _wrong(folder / index_name, "does not rise by 0.001 from row to row")
    low, high = float(steps[0] / 1000), float(steps[-1] / 1000)
    first, last = _SPAN.get(table, (low, high))
    if low > first or high < last:
        raise _wrong(folder / index_name, f"goes from {low} to {high} and should hold {first} to {last}")
    values = np.ascontiguousarray(np.hstack(columns))
    values.setflags(write=False)
    return Table(low=low, high=high, values=values)


def _read_csv(path: Path, width: int) -> Array:
    with path.open("rb") as file:
        found = file.readline().count(b",") + 1
    if found != width:
        raise _wrong(path, f"has {found} columns and not {width}")
    schema = dict.fromkeys((f"column_{i}" for i in range(width)), pl.Float64)
    try:
        frame = pl.read_csv(path, has_header=False, schema=schema)
    except pl.exceptions.PolarsError:
        raise _wrong(path, f"is not {width} columns of numbers") from None
    if frame.is_empty() or any(column.has_nulls() for column in frame):
        raise _wrong(path, "is empty or has empty fields")
    return frame.to_numpy()


def _wrong(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}; get it anew from {_SOURCE}")


@lru_cache(maxsize=1)
def correction_tables() -> CorrectionTables:
    """Return the user's tables, in ``corrections`` under ``XPFEH_DATA`` (by default ``~/.xpfeh``)."""
    return CorrectionTables.read(data_folder("corrections"))
