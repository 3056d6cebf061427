"""PASTEL's [Fe/H] from high-resolution spectra (Soubiran et al. 2010, 2016; VizieR B/pastel)."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import polars as pl

from xpfeh.errors import UserError
from xpfeh.labels.compilation import Compilation, Merge, filter_and_count, merge_to_stars, read_rows
from xpfeh.labels.label_table import FEH_RANGE
from xpfeh.tables.checks import numbers


def read_pastel(path: str | Path, merge: Merge = "median", after: int = 1986) -> Compilation:
    """Read PASTEL, as exported by VizieR or already merged.

    Parameters
    ----------
    path : str or Path
        FITS, VOTable, CSV or TSV with right ascension, declination and [Fe/H], and optionally log g, the star's
        name, bibcode. Decimal coordinates are degrees, sexagesimal right ascensions hours.
    merge : {"median", "latest"}
        How the rows of a star are merged: the median of all rows, or of those of the latest known year.
    after : int
        Rows whose bibcode begins with a year up to this one are dropped, as in the paper (section 2.2); rows of
        unknown year are kept.

    Raises
    ------
    UserError
        If the file is missing or unreadable, a column is missing, a value is not a number, the rule is unknown, or
        ``merge="latest"`` finds no years.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "made_up.csv")
    ...     _ = path.write_text("ID,RA,DEC,[Fe/H],bibcode\\na,1,1,-1.0,1985A&A\\na,1,1,-1.5,1999A&A\\na,1,1,-2.0,\\n")
    ...     pastel = read_pastel(path)
    >>> pastel.stars.select("name", "feh", "n_rows").rows()
    [('a', -1.75, 2)]
    """
    if merge not in get_args(Merge):
        raise UserError(f"merge='{merge}': rows of a star are merged by {' or '.join(get_args(Merge))}")
    rows = read_rows(path)
    rows = rows.with_columns(numbers(rows, "feh", path), numbers(rows, "logg", path), _year(rows, path))
    if merge == "latest" and not rows["year"].count():
        raise UserError(f"{path}: no years to find the latest rows by; add a column bibcode, or merge by the median")
    counts = {"rows": rows.height}
    rows = filter_and_count(rows, counts, "with a position", pl.all_horizontal(pl.col("ra", "dec").is_not_null()))
    rows = filter_and_count(rows, counts, "with [Fe/H]", pl.col("feh").is_not_null())
    rows = filter_and_count(
        rows, counts, "[Fe/H] within {} to {}".format(*FEH_RANGE), pl.col("feh").is_between(*FEH_RANGE)
    )
    recent = pl.col("year").is_null() | (pl.col("year") > after)
    rows = filter_and_count(rows, counts, f"published after {after}, or in an unknown year", recent)
    counts["of these in an unknown year"] = rows["year"].null_count()
    return merge_to_stars(rows, counts, merge)


def _year(rows: pl.DataFrame, path: str | Path) -> pl.Series:
    year_of_bibcode = rows["bibcode"].str.extract(r"^(\d{4})").cast(pl.Float64)
    return year_of_bibcode.fill_null(numbers(rows, "year", path)).alias("year")
