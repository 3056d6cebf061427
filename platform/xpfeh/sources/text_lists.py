"""Lists of numbers that are spelt as text, in cells of any table."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from xpfeh.columns import to_arrow


def parse_lists(cells: pl.Series) -> pa.Array:
    """Return the lists of float64 that cells of text spell, whatever they hold; slower than `xpfeh.sources.text_rows`.

    What is not a number becomes null; a missing cell, ``null`` and ``[]`` become an empty list.

    >>> parse_lists(pl.Series(["(1, 2.5)", "[3,twelve]", None])).to_pylist()
    [[1.0, 2.5], [3.0, None], []]
    """
    series = cells.fill_null("").str.strip_chars('[]() \r"').replace("null", "")
    parts = series.str.replace_all(" ", "", literal=True).str.split(",")
    lengths = np.where(series.str.len_bytes().to_numpy() == 0, 0, parts.list.len().to_numpy())
    numbers = parts.filter(lengths > 0).explode().cast(pl.Float64, strict=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(to_arrow(offsets), numbers.rechunk().to_arrow())
