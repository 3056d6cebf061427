"""SAGA's [Fe/H] of metal-poor stars, from a table that its web site exports (Suda et al. 2008, 2017)."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from xpfeh.labels.compilation import FEH_RANGE, Compilation, keep, merged, number, read_rows

_LIMIT = r"^[<>≤≥]=?"
_ERROR = r"\s*(\+-|\+/-|±).*$"


def read_saga(path: str | Path) -> Compilation:
    """Read an export of SAGA; a star with several rows gets their median.

    Parameters
    ----------
    path : str or Path
        Text separated by tabs or commas, of the columns Object, RA, Decl, [Fe/H] and perhaps log g. Decimal
        coordinates are degrees, sexagesimal right ascensions hours. A [Fe/H] may carry its error (-2.50+-0.10),
        which is not used, or be a limit (<-4.0), which is dropped.

    Raises
    ------
    UserError
        If the file is missing or unreadable, a column is missing, or a value is no number.
    """
    rows = read_rows(path)
    limit = pl.any_horizontal(pl.col("feh", "limit").str.contains(_LIMIT).fill_null(False))
    rows = rows.with_columns(limit.alias("limit"))
    for name in ("feh", "logg"):
        rows = rows.with_columns(
            number(rows[name].str.replace(_LIMIT, "").str.replace(_ERROR, "").str.strip_chars(), path)
        )
    counts = {"rows": rows.height}
    rows = keep(rows, counts, "with a position", pl.all_horizontal(pl.col("ra", "dec").is_not_null()))
    rows = keep(rows, counts, "with [Fe/H]", pl.col("feh").is_not_null())
    rows = keep(rows, counts, "[Fe/H] not a limit", ~pl.col("limit"))
    rows = keep(rows, counts, "[Fe/H] within {} to {}".format(*FEH_RANGE), pl.col("feh").is_between(*FEH_RANGE))
    return merged(rows, counts)
