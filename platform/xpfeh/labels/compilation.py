"""Compilations of the literature: tables with many column names are read, several rows of a star merged into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from xpfeh.column_names import LITERATURE, plain
from xpfeh.errors import UserError
from xpfeh.labels.crossmatch import Match, pairs_within
from xpfeh.labels.label_table import FEH_RANGE
from xpfeh.tables.positions import degrees
from xpfeh.tables.reading import read_table

SAME_STAR_ARCSEC = 1.0
"""Rows closer than this are one star. In PASTEL (version 1.2) no two stars are closer than 2.07 arcsec."""
HAS_POSITION = {"with a position": pl.all_horizontal(pl.col("ra", "dec").is_not_null())}
HAS_FEH = {"with [Fe/H]": pl.col("feh").is_not_null()}
POSSIBLE_FEH = {"[Fe/H] within {} to {}".format(*FEH_RANGE): pl.col("feh").is_between(*FEH_RANGE)}
"""Steps for `filter_and_count`."""

_COLUMNS = ("ra", "dec", "feh", "logg", "name", "bibcode", "year", "limit")


@dataclass(frozen=True)
class Compilation:
    """Stars of a compilation of the literature.

    Attributes
    ----------
    stars : polars.DataFrame
        One row per star: ``name`` (null where the table has none), ``ra``, ``dec`` (degrees), ``feh``, ``feh_err``
        (standard deviation of the merged rows, null where there is one), ``logg`` (null where unknown), ``n_rows``
        (merged).
    counts : dict
        Rows left after each step, by name, and finally the stars.
    """

    stars: pl.DataFrame
    counts: dict[str, int]


def to_labels(stars: pl.DataFrame, match: Match, source_id: NDArray[np.int64]) -> pl.DataFrame:
    """Return the matched stars as a table of labels.

    Parameters
    ----------
    stars : polars.DataFrame
        `Compilation.stars`, whose ``ra``, ``dec`` were matched.
    match : Match
    source_id : (K,) array of int64
        Of the Gaia stars that were matched.

    Returns
    -------
    polars.DataFrame
        ``source_id``, then the columns of ``stars``. Written as Parquet or CSV,
        `xpfeh.labels.label_table.read_labels` reads it.

    Examples
    --------
    >>> from xpfeh.labels.crossmatch import crossmatch
    >>> stars = pl.DataFrame({"ra": [1.0, 2.0], "dec": [0.0, 0.0], "feh": [-1.0, -2.0]})
    >>> match = crossmatch(stars["ra"], stars["dec"], {"source_id": [7], "ra": [2.0], "dec": [0.0]})
    >>> to_labels(stars, match, [7]).rows()
    [(7, 2.0, 0.0, -2.0)]
    """
    matched = pl.Series("source_id", np.asarray(source_id)[match.in_gaia], pl.Int64)
    return stars[match.in_compilation].insert_column(0, matched)


def read_rows(path: str | Path) -> pl.DataFrame:
    """Read a table, by the names of `xpfeh.column_names.LITERATURE`; ``ra``, ``dec`` become degrees, others are text.

    A column that the table lacks is null, but position and [Fe/H] are required. The apostrophe that spreadsheets put
    before text that looks like a number, as in JINAbase's exports, is dropped, and a cell of ``*`` is empty.

    Raises
    ------
    UserError
        If the table cannot be read, lacks one of these, or a cell of RA or Dec is not a position.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "made_up.csv")
    ...     _ = path.write_text("Object,RAJ2000,Decl,[Fe/H]\\nHD 1,00:00:00,'-30:30:00,−2.5\\n")
    ...     read_rows(path).select("name", "ra", "dec", "feh").rows()
    [('HD 1', 0.0, -30.5, '-2.5')]
    """
    table = read_table(path)
    there = {plain(name): name for name in reversed(table.columns)}
    found = {name: next((there[s] for s in LITERATURE[name] if s in there), None) for name in _COLUMNS}
    needed = {"ra": "RA", "dec": "Dec", "feh": "[Fe/H]"}
    if missing := [title for name, title in needed.items() if found[name] is None]:
        raise UserError(
            f"{path}: no column for {' and '.join(missing)}; a compilation needs RA, Dec and [Fe/H], "
            f"this has: {', '.join(table.columns[:30])}"
        )
    cells = {name: pl.lit(None, pl.String) if column is None else pl.col(column) for name, column in found.items()}
    rows = table.select(
        cell.cast(pl.String)
        .str.replace(r"^([<>≤≥]=?)?'", "${1}")
        .replace("*", None)
        .str.replace("^[−–]", "-")  # a printed table's minus sign
        .str.replace(r"^\+", "")
        .alias(name)
        for name, cell in cells.items()
    )
    return rows.with_columns(degrees(rows[name], name, path) for name in ("ra", "dec"))


def filter_and_count(rows: pl.DataFrame, steps: Mapping[str, pl.Expr]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the rows that pass every step, and the number of rows left after each step, by its name.

    Examples
    --------
    >>> rows, counts = filter_and_count(pl.DataFrame({"feh": [-1.0, None]}), HAS_FEH)
    >>> rows.rows(), counts
    ([(-1.0,)], {'with [Fe/H]': 1})
    """
    counts = {}
    for step, passes in steps.items():
        rows = rows.filter(passes)
        counts[step] = rows.height
    return rows, counts


def merge_to_stars(rows: pl.DataFrame, counts: dict[str, int]) -> Compilation:
    """Merge rows to stars, in the order of their first rows; a star has the position of its first row, and medians.

    Parameters
    ----------
    rows : polars.DataFrame
        Rows of `read_rows`, each with a position, ``feh`` and ``logg`` as numbers.
    counts : dict
        Counts of the steps before.

    Examples
    --------
    >>> rows = pl.DataFrame({"name": ["a", "a"], "ra": [1.0, 1.0], "dec": [0.0, 0.0], "feh": [-1, -2], "logg": [2, 2]})
    >>> merge_to_stars(rows, {}).stars.select("name", "feh", "n_rows").rows()
    [('a', -1.5, 2)]
    """
    rows = rows.with_columns(pl.Series("star", _star_of_row(rows), pl.Int64))
    stars = (
        rows.group_by("star", maintain_order=True)
        .agg(
            pl.first("name", "ra", "dec"),
            pl.median("feh"),
            pl.std("feh").alias("feh_err"),
            pl.median("logg"),
            pl.len().cast(pl.Int64).alias("n_rows"),
        )
        .drop("star")
    )
    return Compilation(stars, {**counts, "stars": stars.height})


def _star_of_row(rows: pl.DataFrame) -> NDArray[np.int32]:
    """Return the star's number for each row: rows of one name are one star, and rows within `SAME_STAR_ARCSEC`."""
    if not rows.height:
        return np.empty(0, np.int32)
    ra, dec = rows["ra"].to_numpy(), rows["dec"].to_numpy()
    near, near2, _ = pairs_within(ra, dec, ra, dec, SAME_STAR_ARCSEC)
    row = pl.col("row").cast(pl.Int64)
    same_name = pl.when(pl.col("name").is_null()).then(row).otherwise(row.first().over("name"))
    first_of_name = rows.with_row_index("row").select(same_name).to_series().to_numpy()
    # Rows linked in a chain are one star: a may be near b, and b have the name of c.
    one, other = np.r_[near, np.arange(rows.height)], np.r_[near2, first_of_name]
    links = coo_array((np.ones(one.size, np.int8), (one, other)), shape=(rows.height, rows.height))
    return connected_components(links, directed=False)[1]
