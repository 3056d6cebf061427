"""From lines of Gaia's text to lists of numbers: 3,190 per star, where the time of reading goes."""

from __future__ import annotations

import csv
import io

import numpy as np
import polars as pl
import pyarrow as pa

from xpfeh.columns import to_arrow
from xpfeh.tables.lists import parse_lists

_SHORT_BYTES = 8 << 20  # 200 stars: polars takes 0.05 s longer than the scanner, which takes 0.6 s to load


def parse_rows(
    text: bytes | memoryview, separator: str, names: list[str], id_column: str, list_columns: tuple[str, ...]
) -> pa.Table:
    """Return the identifiers (int64) and the lists (float64) of whole lines.

    Parameters
    ----------
    text : bytes or memoryview
        Lines, without the line of names.
    separator : str
    names : list of str
        The names of the fields.
    id_column, list_columns
        The fields to return. A list is ``[a,b,...]`` or ``(a, b, ...)``.

    Returns
    -------
    pyarrow.Table
        A value that is not a number becomes null, a missing list an empty one.
    """
    rows = _sound_rows(text, separator, len(names)) if len(text) < _SHORT_BYTES else None
    if rows is None or len(set(names)) < len(names):
        return _scan_rows(text, separator, names, id_column, list_columns)
    fields = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    missing = [""] * len(rows)
    cells = {name: pl.Series(fields.get(name, missing), dtype=pl.String) for name in (id_column, *list_columns)}
    return pa.table({name: parse_lists(each) if name != id_column else _ids(each) for name, each in cells.items()})


def _sound_rows(text: bytes | memoryview, separator: str, width: int) -> list[list[str]] | None:
    """Return the fields of each line, or None if a line leaves any doubt about them: the scanner reads such text."""
    try:
        decoded = str(text, "utf-8")
        rows = [row for row in csv.reader(io.StringIO(decoded), delimiter=separator, strict=True) if row]
    except (csv.Error, UnicodeDecodeError):
        return None
    sound = "\r" not in decoded and all(len(row) == width and all(map(_is_sound, row)) for row in rows)
    return rows if sound else None


def _is_sound(field: str) -> bool:
    """Return whether a field has no quote and no line break, and is not the beginning of a list cut at a comma."""
    return '"' not in field and "\n" not in field and (field[:1] not in ("[", "(") or field[-1:] in ("]", ")"))


def _ids(cells: pl.Series) -> pa.Array:
    return cells.cast(pl.Int64, strict=False).to_arrow()


def _scan_rows(
    text: bytes | memoryview, separator: str, names: list[str], id_column: str, list_columns: tuple[str, ...]
) -> pa.Table:
    """Do what `parse_rows` does with the compiled scanner, which accepts any line."""
    from xpfeh.sources.text_scan import NOT_PLAIN, scan  # loads numba

    wanted = (id_column, *list_columns)
    columns = np.array([wanted.index(name) if name in wanted else -1 for name in names])
    values = np.empty((len(wanted), len(text) // 2 + 1))
    bounds, counts, n_rows = scan(np.frombuffer(text, dtype=np.uint8), ord(separator), columns, values)

    def cells(column: int) -> pl.Series:
        return pl.Series(
            [str(text[start:stop], "utf-8", "replace") for start, stop in bounds[:n_rows, column]], dtype=pl.String
        )

    table = {id_column: _ids(cells(0))}
    for column, name in enumerate(list_columns, start=1):
        lengths = counts[:n_rows, column]
        if (lengths == NOT_PLAIN).any():
            table[name] = parse_lists(cells(column))
        else:
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            table[name] = pa.ListArray.from_arrays(to_arrow(offsets), to_arrow(values[column, : offsets[-1]]))
    return pa.table(table)
