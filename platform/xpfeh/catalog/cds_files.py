"""The catalog in the form that CDS and the AAS journals accept: fixed-width lines, and a byte-by-byte ReadMe.

The standard is that for astronomical catalogues, version 2.0, https://vizier.cds.unistra.fr/doc/catstd.htx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from isal import igzip

from xpfeh.catalog.cds_readme import Place, cds_readme
from xpfeh.columns import describe

DATA = "catalog.dat"

_DECIMALS = {"deg": 9, "pc": 2}  # 9 decimals of a degree are 4 microarcseconds
_OTHER_DECIMALS = 4  # for dex, mag and ratios: finer than any error
_DIGITS = 38  # the maximum of polars' decimals
_PIECE_ROWS = 65_536  # rows held as text at a time, 15 MB


def write_cds(
    folder: Path, schema: pa.Schema, rows: int, tables: Callable[[], Iterable[pa.Table]], description: str
) -> Path:
    """Write ``ReadMe`` and the compressed lines, and return the path of the latter.

    Numbers are rounded, identifiers exact, true is 1 and false 0, and values that are null or not finite are blank.
    Memory holds one table.

    Parameters
    ----------
    folder : Path
        Must not exist yet.
    schema : Schema
        Columns of bool, integers, floats and ASCII text.
    rows : int
        Of all tables.
    tables : callable
        Returns the tables, once for the widths of the columns and once for the lines.
    description : str
    """
    folder.mkdir()
    places = layout(schema, _pieces(tables()))
    path = folder / f"{DATA}.gz"
    with open(path, "wb") as file:
        # Without a name and a time, so that the bytes are reproducible.
        lines: Any = igzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0)
        with lines:
            for table in _pieces(tables()):
                lines.write(to_lines(table, places))
    (folder / "ReadMe").write_text(cds_readme(DATA, places, rows, description))
    return path


def layout(schema: pa.Schema, tables: Iterable[pa.Table]) -> list[Place]:
    """Return the places of the columns, each as wide as its longest value, separated by blanks.

    Examples
    --------
    >>> table = pa.table({"source_id": [7, 4295806720], "FEH": [-1.23456, None]})
    >>> [(place.field.name, place.first, place.last, place.format) for place in layout(table.schema, [table])]
    [('source_id', 1, 10, 'I10'), ('FEH', 12, 18, 'F7.4')]
    """
    widths = dict.fromkeys(schema.names, 1)
    for table in tables:
        longest = pl.DataFrame(table).select(_text(field).str.len_bytes().max() for field in schema).row(0)
        widths = {name: max(widths[name], width or 0) for name, width in zip(schema.names, longest, strict=True)}
    places, first = [], 1
    for field in schema:
        last = first + widths[field.name] - 1
        places.append(Place(field, first, last, _format(field, widths[field.name])))
        first = last + 2
    return places


def to_lines(table: pa.Table, places: Iterable[Place]) -> bytes:
    """Return the lines of a table: numbers aligned to the right, text to the left.

    Examples
    --------
    >>> table = pa.table({"source_id": [7, 4295806720], "FEH": [-1.23456, None]})
    >>> to_lines(table, layout(table.schema, [table]))
    b'         7 -1.2346\\n4295806720        \\n'
    """
    padded = []
    for field, first, last, _ in places:
        text, width = _text(field), last - first + 1
        padded.append(text.str.pad_end(width) if pa.types.is_string(field.type) else text.str.pad_start(width))
    lines = pl.DataFrame(table).select(pl.concat_str(padded, separator=" ")).to_series()
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _pieces(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        for start in range(0, table.num_rows, _PIECE_ROWS):
            yield table.slice(start, _PIECE_ROWS)


def _text(field: pa.Field) -> pl.Expr:
    """Return a column as text, without padding."""
    column = pl.col(field.name)
    if pa.types.is_floating(field.type):
        finite = pl.when(column.is_finite()).then(column.cast(pl.Float64))
        column = finite.cast(pl.Decimal(_DIGITS, _decimals(field)))
    elif pa.types.is_boolean(field.type):
        column = column.cast(pl.UInt8)  # the standard has no logical values
    return column.cast(pl.String).fill_null("")


def _format(field: pa.Field, width: int) -> str:
    if pa.types.is_floating(field.type):
        return f"F{width}.{_decimals(field)}"
    return f"{'A' if pa.types.is_string(field.type) else 'I'}{width}"


def _decimals(field: pa.Field) -> int:
    return _DECIMALS.get(describe(field).unit, _OTHER_DECIMALS)
