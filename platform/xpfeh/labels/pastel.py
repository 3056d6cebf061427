"""PASTEL's [Fe/H] from high-resolution spectra (Soubiran et al. 2010, 2016; VizieR B/pastel)."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from xpfeh.labels.compilation import (
    HAS_FEH,
    HAS_POSITION,
    POSSIBLE_FEH,
    Compilation,
    filter_and_count,
    merge_to_stars,
    read_rows,
)
from xpfeh.tables.checks import numbers

_AFTER = 1986
"""Rows whose bibcode begins with this year or an earlier one are dropped, as in the paper (section 2.2)."""


def read_pastel(path: str | Path) -> Compilation:
    """Read PASTEL, as exported by VizieR or already merged; a star with several rows gets their median.

    Parameters
    ----------
    path : str or Path
        FITS, VOTable, CSV or TSV with right ascension, declination and [Fe/H], and optionally log g, the star's
        name, bibcode. Decimal coordinates are degrees, sexagesimal right ascensions hours. Rows of an unknown year
        are kept.

    Raises
    ------
    UserError
        If the file is missing or unreadable, a column is missing, or a value is not a number.

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
    rows = read_rows(path)
    rows = rows.with_columns(numbers(rows, "feh", path), numbers(rows, "logg", path), _year(rows, path))
    recent = pl.col("year").is_null() | (pl.col("year") > _AFTER)
    steps = HAS_POSITION | HAS_FEH | POSSIBLE_FEH | {f"published after {_AFTER}, or in an unknown year": recent}
    chosen, counts = filter_and_count(rows, steps)
    counts["of these in an unknown year"] = chosen["year"].null_count()
    return merge_to_stars(chosen, {"rows": rows.height, **counts})


def _year(rows: pl.DataFrame, path: str | Path) -> pl.Series:
    year_of_bibcode = rows["bibcode"].str.extract(r"^(\d{4})").cast(pl.Float64)
    return year_of_bibcode.fill_null(numbers(rows, "year", path)).alias("year")
