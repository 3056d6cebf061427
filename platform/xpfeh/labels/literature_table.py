"""Tables of the literature's [Fe/H] for Gaia stars: a user's own, and the packaged one of metal-poor stars."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from xpfeh.errors import UserError
from xpfeh.tables.checks import columns_of, numbers, truths, with_source_id
from xpfeh.tables.reading import read_table

METAL_POOR = Path(__file__).parent / "data" / "metal_poor.csv"
"""Of 70 stars of the packaged library of spectra; made by `tests/labels/making_metal_poor.py`."""

_NUMBERS = ("feh", "feh_err", "logg", "teff", "alpha_m")


def read_literature(path: str | Path) -> pl.DataFrame:
    """Read a table for `xpfeh.labels.literature.merge`: ``source_id``, ``feh``, any number of rows per star.

    Parameters
    ----------
    path : str or Path
        Optional columns are ``reference``, ``feh_err``, ``logg``, ``teff``, ``alpha_m``, ``limit`` and ``carbon_rich``.
        Rows without a reference get the file's name.

    Raises
    ------
    UserError
        If it cannot be read, is empty, lacks ``source_id`` or ``feh``, or a cell is invalid for its column.

    Examples
    --------
    >>> read_literature(METAL_POOR).columns
    ['source_id', 'feh', 'feh_err', 'carbon_rich', 'reference']
    """
    table = with_source_id(read_table(path), path)
    names = columns_of(table, path, ["feh"], [*_NUMBERS, "limit", "carbon_rich", "reference"])
    if not table.height:
        raise UserError(f"{path}: the table is empty")
    columns = [table["source_id"]]
    columns += [numbers(table, names[name], path).alias(name) for name in _NUMBERS if name in names]
    if "limit" in names:
        columns.append(table[names["limit"]].cast(pl.String).alias("limit"))
    if "carbon_rich" in names:
        columns.append(truths(table, names["carbon_rich"], path).alias("carbon_rich"))
    given = pl.col(names["reference"]).cast(pl.String) if "reference" in names else pl.lit(None, pl.String)
    return pl.DataFrame(columns).with_columns(
        table.with_columns(given.fill_null(Path(path).stem).alias("reference"))["reference"]
    )
