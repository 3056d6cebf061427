"""Spectra in memory, read as if they were a file: tables of astropy, pandas, polars or Arrow, mappings of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from xpfeh.column_names import find_columns, one_each
from xpfeh.errors import InputError
from xpfeh.releases import releases_of
from xpfeh.sources.coefficients import LIST_COLUMNS, RawBatch, coefficients_per_star, require_columns, to_batch
from xpfeh.sources.companions import PHOTOMETRY, photometry_of
from xpfeh.sources.gaia_tables import identifiers, is_wide, wide_columns
from xpfeh.sources.samples import SAMPLES, check_not_features, is_sampled, to_sampled_batch
from xpfeh.tables.checks import RANGES, check_range, numbers
from xpfeh.tables.in_memory import arrow_table
from xpfeh.tables.lists import NUMBERS, arrow_lists, number_lists
from xpfeh.xp.bases import BANDS
from xpfeh.xp.parallax import PARALLAX_INPUTS

NAME = "the table"
_OWN = (*PHOTOMETRY, "ebv", "rgeo")
_READ = ("source_id", *SAMPLES, *LIST_COLUMNS, *_OWN, *PARALLAX_INPUTS)


class GivenTable:
    """XP spectra in a table, optionally with columns of `PHOTOMETRY` and `PARALLAX_INPUTS`, ``ebv`` and ``rgeo``.

    Parameters
    ----------
    table
        As `xpfeh.tables.in_memory.arrow_table` accepts it: ``source_id``; and Gaia's columns of coefficients
        (``bp_coefficients`` ..., correlations may be missing), one column per coefficient (``bp_coeff_0`` ...), or
        ``flux`` and ``flux_error``, 343 samples from 336 to 1020 nm in W m-2 nm-1. Columns may have the alternative
        names of `xpfeh.column_names.GAIA`.
    release : {"dr3", "dr4"}, optional
        Of the coefficients, if known: a star with other numbers of them is rejected.

    Raises
    ------
    UserError
        If it is not such a table.

    Examples
    --------
    >>> GivenTable({"source_id": [1], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}).releases
    ()
    """

    path = location = NAME
    takes_companions = True

    def __init__(self, table: object, release: str | None = None) -> None:
        self._release = release
        self._table = _rename_columns(arrow_table(table, NAME))
        names = self._table.column_names
        self._sampled = is_sampled(names)
        self._wide = not self._sampled and is_wide(names)
        if self._sampled:
            check_not_features(names, NAME)
        if "source_id" not in names:
            raise InputError(f"{NAME}: no column source_id")
        if ("ra" in names) != ("dec" in names):
            raise InputError(f"{NAME}: has only one of ra and dec; a position needs both")
        if not (self._sampled or self._wide):
            if not {*LIST_COLUMNS, *SAMPLES} & set(names):
                raise InputError(
                    f'{NAME}: holds no spectra; for those of Gaia\'s archive give the identifiers, table["source_id"]'
                )
            require_columns(names, NAME)
        if not self._table.num_rows:
            raise InputError(f"{NAME}: holds no star")

    @cached_property
    def releases(self) -> tuple[str, ...]:
        """The data releases with these numbers of coefficients; none if the spectra are sampled.

        Raises
        ------
        UserError
            If no release has these numbers.
        """
        if self._sampled:
            return ()
        if self._release is not None:
            return (self._release,)
        n_bp, n_rp = (coefficients_per_star(self._lists[f"{band}_coefficients"], band) for band in BANDS)
        return releases_of(n_bp, n_rp)

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return the one range."""
        return [(0, None)]

    def read(self, start: int = 0, rows: int | None = None) -> Iterator[RawBatch]:
        """Yield the rows: each once, accepted or rejected with a reason."""
        batch = to_sampled_batch(self._lists) if self._sampled else to_batch(self._lists, self.releases, 0, set())
        rejected = [reject.row for reject in batch.rejected]
        kept = np.delete(np.arange(self._table.num_rows), rejected)
        yield RawBatch({**batch.columns, **self._photometry(kept)}, batch.rejected)

    def source_ids(self, start: int, rows: int | None) -> Iterator[pa.Array]:
        """Yield the identifiers of all rows."""
        yield self._lists["source_id"].combine_chunks()

    @cached_property
    def _lists(self) -> pa.Table:
        """``source_id`` and lists of float64."""
        table, names = self._table, SAMPLES if self._sampled else LIST_COLUMNS
        columns = {"source_id": identifiers(pl.Series(table["source_id"]), NAME)}
        gathered = wide_columns(table.column_names, lambda name: numbers_in(table, name), NAME) if self._wide else {}
        for name in names:
            if name in gathered:
                columns[name] = number_lists(gathered[name])
            elif name in table.column_names:
                columns[name] = arrow_lists(table[name], name, NAME)
            else:
                columns[name] = pa.nulls(len(table), NUMBERS)
        return pa.table(columns)

    def _photometry(self, kept: NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
        """Return the table's photometry and distances for the kept rows, NaN where unknown."""
        names = [name for name in (*_OWN, *PARALLAX_INPUTS) if name in self._table.column_names]
        columns = {name: numbers_in(self._table, name)[kept] for name in names}
        return photometry_of(columns) | {name: columns[name] for name in ("ebv", "rgeo") if name in columns}


def numbers_in(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column of numbers (N,) of a table in memory, NaN where unknown.

    Raises
    ------
    UserError
        If a value is not a number, or outside its range (`xpfeh.tables.checks.RANGES`).

    Examples
    --------
    >>> numbers_in(pa.table({"ebv": ["0.03", None]}), "ebv")
    array([0.03,  nan])
    """
    column = pl.Series(name, table[name])
    if not column.dtype.is_float():  # text, decimals: slower, parsed as for files
        column = numbers(pl.DataFrame([column]), name, NAME)
    values = column.to_numpy().astype(np.float64)
    low, high = RANGES.get(name, (-np.inf, np.inf))
    if ((values < low) | (values > high)).any():
        check_range(pl.Series(name, values).fill_nan(None), low, high, NAME)
    return values


def _rename_columns(table: pa.Table) -> pa.Table:
    """Give the columns that are read our names; other columns that have these names are dropped."""
    all_names = table.column_names  # a new list each time
    found = find_columns(all_names, _READ)
    names = one_each(found, lambda one, other: pl.Series(table[one]).equals(pl.Series(table[other])), NAME)
    ours = {column: name for name, column in names.items()}
    kept = [i for i, column in enumerate(all_names) if column in ours or column not in names]
    return table.select(kept).rename_columns([ours.get(all_names[i], all_names[i]) for i in kept])
