"""PASTEL's [Fe/H] from high-resolution spectra (Soubiran et al. 2010, 2016; VizieR B/pastel)."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import polars as pl

from xpfeh.errors import UserError
from xpfeh.labels.compilation import FEH_RANGE, Compilation, Merge, keep, merged, number, read_rows


def read_pastel(path: str | Path, merge: Merge = "median", after: int = 1986) -> Compilation:
    """Read PASTEL, as VizieR gives it or already merged.

    Parameters
    ----------
    path : str or Path
        FITS, VOTable, CSV or TSV with right ascension, declination and [Fe/H], and perhaps log g, the star's
        name, bibcode. Decimal coordinates are degrees, sexagesimal right ascensions hours.
    merge : {"median", "latest"}
        How the rows of a star become one: the median of all, or of those of the latest known year.
    after : int
        Rows whose bibcode tells a year up to this one are left out; an unknown year is no reason to.

    Raises
    ------
    UserError
        If the file is missing or unreadable, a column is missing, a value is no number, the rule is unknown, or
        ``merge="latest"`` finds no years.
    """
    if merge not in get_args(Merge):
        raise UserError(f"merge='{merge}': rows of a star are merged by {' or '.join(get_args(Merge))}")
    rows = read_rows(path)
    for name in ("feh", "logg"):
        rows = rows.with_columns(number(rows[name], path))
    rows = rows.with_columns(_year(rows, path))
    if merge == "latest" and not rows["year"].count():
        raise UserError(f"{path}: no years to find the latest rows by; add a column bibcode, or merge by the median")
    counts = {"rows": rows.height}
    rows = keep(rows, counts, "with a position", pl.all_horizontal(pl.col("ra", "dec").is_not_null()))
    rows = keep(rows, counts, "with [Fe/H]", pl.col("feh").is_not_null())
    rows = keep(rows, counts, "[Fe/H] within {} to {}".format(*FEH_RANGE), pl.col("feh").is_between(*FEH_RANGE))
    recent = pl.col("year").is_null() | (pl.col("year") > after)
    rows = keep(rows, counts, f"published after {after}, or in an unknown year", recent)
    counts["of these in an unknown year"] = rows["year"].null_count()
    return merged(rows, counts, merge)


def _year(rows: pl.DataFrame, path: str | Path) -> pl.Series:
    from_bibcode = rows["bibcode"].str.extract(r"^(\d{4})").cast(pl.Float64)
    year = number(rows["year"], path)
    return pl.select(pl.coalesce(pl.lit(from_bibcode), pl.lit(year)).alias("year")).to_series()
