"""[Fe/H] of metal-poor stars as exported by the web sites of SAGA (Suda et al. 2008, 2017) and JINAbase.

JINAbase: Abohalima & Frebel 2018, ApJS 238, 36.
"""

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

_LIMIT = r"^[<>≤≥]=?"  # both write an upper limit as <-4.0
_LIMIT_MARK = r"^[<>≤≥1-9]"  # in a second column: a sign, as in VizieR, or JINAbase's ulFe, 1 for a limit
_ERROR = r"\s*(\+-|\+/-|±).*$"  # and an error as -2.50+-0.10


def read_saga(path: str | Path) -> Compilation:
    """Read an export of SAGA or JINAbase; a star with several rows gets their median.

    Parameters
    ----------
    path : str or Path
        Text separated by tabs or commas, with columns Object, RA, Decl, [Fe/H] and optionally log g. Decimal
        coordinates are degrees, sexagesimal right ascensions hours. A [Fe/H] may carry its error (-2.50+-0.10),
        which is not used, or be a limit (<-4.0, or a mark in a column l_[Fe/H] or ulFe), which is dropped. JINAbase's
        Fe/H also counts as [Fe/H], with the apostrophe that spreadsheets put before it ('-2.71).

    Raises
    ------
    UserError
        If the file is missing or unreadable, a column is missing, or a value is not a number.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "made_up.tsv")
    ...     _ = path.write_text("Object\\tRA\\tDecl\\t[Fe/H]\\na\\t1\\t1\\t-3.2+-0.1\\nb\\t2\\t2\\t<-4.0\\n")
    ...     saga = read_saga(path)
    >>> saga.stars.select("name", "feh").rows()
    [('a', -3.2)]
    """
    rows = read_rows(path)
    limit = pl.col("feh").str.contains(_LIMIT), pl.col("limit").str.contains(_LIMIT_MARK)
    rows = rows.with_columns(limit=pl.any_horizontal(*limit).fill_null(False))
    rows = rows.with_columns(pl.col("feh", "logg").str.replace(_LIMIT, "").str.replace(_ERROR, "").str.strip_chars())
    rows = rows.with_columns(numbers(rows, "feh", path), numbers(rows, "logg", path))
    not_a_limit = {"[Fe/H] not a limit": ~pl.col("limit")}
    chosen, counts = filter_and_count(rows, HAS_POSITION | HAS_FEH | not_a_limit | POSSIBLE_FEH)
    return merge_to_stars(chosen, {"rows": rows.height, **counts})
