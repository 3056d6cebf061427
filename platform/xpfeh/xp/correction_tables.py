"""The tables of the systematics correction of Huang et al. (2024, DOI 10.3847/1538-4365/ad18b1), read and checked.

They have no licence, so the user downloads them; `xpfeh.xp.correct` applies them.
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
from xpfeh.typing import Array
from xpfeh.xp.grid import WAVELENGTH_NM

FILES = {
    "c2": ("untruc_interC2_CM.csv", "untruc_interyyC2_CM.csv"),
    "c3": ("untruc_interC3_CM.csv", "untruc_interyyC3_CM.csv"),
    "bright": ("untruc_interG_CM.csv", "untruc_interyyG_CM.csv"),
    "extended": ("interGext_CM.csv", "untruc_interyyGext_CM.csv"),
    "bands": ("inter_phot.csv", "inter_BP.csv", "inter_RP.csv"),
}
"""Each table's file of row indices and its files of factors, for untruncated spectra; none has a header."""

G_RANGE = {"bright": (2.703, 17.122), "extended": (10.0, 17.4), "bands": (10.0, 17.65)}
"""Range of G in a table; a star outside uses the nearest end (as in GaiaXPcorrection)."""

_SOURCE = "github.com/HiromonGON/GaiaXPcorrection, folder GaiaDR3XPspectracorrectionV1"
_STEPS = 1000
"""Rows of a table per unit of colour or magnitude."""


@dataclass(frozen=True, eq=False)
class FactorTable:
    """Factors tabulated in steps of 0.001.

    Attributes
    ----------
    low, high : float
        Range of colour or magnitude.
    values : (R, W) float64
        Factors, one row per step; W is 343 samples, or 2 bands.
    """

    low: float
    high: float
    values: Array

    def holds(self, where: Array) -> NDArray[np.bool_]:
        """Return which of (N,) values are within the range, ends included; NaN is not.

        Examples
        --------
        >>> FactorTable(0.0, 0.002, np.ones((3, 343))).holds(np.array([0.002, 0.0021])).tolist()
        [True, False]
        """
        return (where >= self.low) & (where <= self.high)

    def at(self, where: Array) -> Array:
        """Return the (N, W) rows for (N,) values within the range, each rounded to 0.001 (ties to even).

        Examples
        --------
        >>> FactorTable(0.0, 0.002, np.array([[1.0], [1.1], [1.2]])).at(np.array([0.0012, 0.002])).tolist()
        [[1.1], [1.2]]
        """
        rows = np.rint(where * _STEPS).astype(np.intp) - round(self.low * _STEPS)
        return self.values.take(rows, axis=0)


@dataclass(frozen=True, eq=False)
class CorrectionTables:
    """The tables of Huang et al. (2024).

    Attributes
    ----------
    c2, c3 : FactorTable
        343 factors by colour.
    bright, extended : FactorTable
        343 factors by G magnitude.
    bands : FactorTable
        Absolute correction of BP and of RP by G magnitude.
    fingerprint : str
        SHA-256 of the concatenated bytes of all files, sorted by name.
    """

    c2: FactorTable
    c3: FactorTable
    bright: FactorTable
    extended: FactorTable
    bands: FactorTable
    fingerprint: str

    @classmethod
    def read(cls, folder: str | Path) -> CorrectionTables:
        """Read the tables from a folder.

        Raises
        ------
        UserError
            If a file is missing or has another layout.
        """
        folder = Path(folder)
        names = sorted(name for files in FILES.values() for name in files)
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise UserError(f"{folder} has no {', '.join(missing)}; get the tables from {_SOURCE}")
        digest = hashlib.sha256()
        for name in names:
            digest.update((folder / name).read_bytes())
        tables = {table: _read_table(folder, table) for table in FILES}
        return cls(**tables, fingerprint=digest.hexdigest())


@lru_cache(maxsize=1)
def correction_tables() -> CorrectionTables:
    """Return the user's tables, in ``corrections`` under ``XPFEH_DATA`` (by default ``~/.xpfeh``).

    Raises
    ------
    UserError
        As for `CorrectionTables.read`.
    """
    return CorrectionTables.read(data_folder("corrections"))


def _read_table(folder: Path, table: str) -> FactorTable:
    index_name, *factor_names = FILES[table]
    width = WAVELENGTH_NM.size if len(factor_names) == 1 else 1
    index = _read_csv(folder / index_name, 1)[:, 0]
    columns = [_read_csv(folder / name, width) for name in factor_names]
    for name, factors in zip(factor_names, columns, strict=True):
        if len(factors) != len(index):
            raise _wrong(folder / name, f"has {len(factors)} rows and {index_name} {len(index)}")
    steps = np.rint(index * _STEPS)
    # The real files write some indices with rounding errors: -0.00999999999999995.
    if not (np.abs(index * _STEPS - steps) < 0.1).all() or not (np.diff(steps) == 1).all():
        raise _wrong(folder / index_name, "does not rise by 0.001 from row to row")
    low, high = float(steps[0] / _STEPS), float(steps[-1] / _STEPS)
    first, last = G_RANGE.get(table, (low, high))
    if low > first or high < last:
        raise _wrong(folder / index_name, f"goes from {low} to {high} and should hold {first} to {last}")
    values = np.ascontiguousarray(np.hstack(columns))  # two columns of bands: (R, 1), (R, 1) -> (R, 2)
    values.setflags(write=False)
    return FactorTable(low=low, high=high, values=values)


def _read_csv(path: Path, width: int) -> Array:
    # Counted here, because Polars does not report how many columns it found.
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


def _wrong(path: Path, message: str) -> UserError:
    return UserError(f"{path} {message}; download it again from {_SOURCE}")
