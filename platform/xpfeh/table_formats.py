"""The bytes of a table in one of the formats that `xpfeh.tables.read_table` reads, as a data frame."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Collection

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io.votable import parse_single_table
from astropy.table import Column, Table
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from xpfeh.errors import InputError

ColumnNames = Collection[str] | None
"""The columns to read, of those that the table has; None for all."""


def read_text(content: bytes, columns: ColumnNames = None) -> pl.DataFrame:
    """Read text as archives export it: comments, perhaps lines of units and dashes, UTF-8 or Latin-1.

    All cells stay text: who guesses types makes floats of identifiers that have a gap, and the message about a wrong
    cell could not show it as it stands there.

    Examples
    --------
    >>> read_text(b"#VizieR\\nSource;Gmag\\n ;mag\\n------;----\\n 12;7.50\\n").to_dicts()
    [{'Source': ' 12', 'Gmag': '7.50'}]
    """
    if b"\0" in content:
        raise InputError("is UTF-16 or binary, not text; save it as UTF-8")
    if not content.isascii():  # Gaia's bulk files are ASCII, and too large to be decoded for nothing
        try:
            content = content.decode("utf-8-sig").encode()
        except UnicodeDecodeError:
            content = content.decode("latin-1").encode()
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    content = re.sub(rb"\n\s*(?=\n)", b"", content)  # a blank line would become a row
    if before_header := re.match(rb"(\s*\n|#.*(\n|$))+", content):
        content = content[before_header.end() :]
    header = content.partition(b"\n")[0].decode()
    if not header.strip():
        raise InputError("is empty, or holds nothing but comments")
    separator = max("\t,;|", key=header.count)
    # VizieR writes below the names a line of units and one of dashes as wide as the columns.
    dashes = rb"-+(?:\s*[%b]\s*-+)*[ \t]*(?:\n|$)" % separator.encode()
    if ruled := re.match(rb"(.*\n)(?:.*\n)?%b" % dashes, content):
        content = ruled[1] + content[ruled.end() :]
    names = [name.strip().strip('"') for name in pl.read_csv(header.encode(), separator=separator).columns]
    read_twice = [name for name in names if f"{name}_duplicated_0" in names]  # so polars calls the second
    if columns is not None and (twice := [name for name in read_twice if name in columns]):
        raise InputError(f"has several columns of the name {', '.join(twice)}; leave one")
    chosen = [index for index, name in enumerate(names) if columns is None or name in columns]
    table = pl.read_csv(
        content,
        columns=chosen,
        separator=separator,
        comment_prefix="#",
        infer_schema=False,
        truncate_ragged_lines=True,
    )
    table.columns = [names[index] for index in chosen]
    return table


def read_parquet(content: bytes, columns: ColumnNames = None) -> pl.DataFrame:
    """Read Parquet; columns of lists and the like, as in Gaia's spectra, are left out.

    By pyarrow: on a damaged file polars can panic, which is no `Exception`.
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    flat = [field.name for field in file.schema_arrow if not pa.types.is_nested(field.type)]
    return pl.DataFrame(file.read([name for name in flat if columns is None or name in columns]))


def read_fits(content: bytes, columns: ColumnNames = None) -> pl.DataFrame:
    """Read the first table of a FITS file."""
    return _from_astropy(lambda: Table.read(io.BytesIO(content), format="fits"), columns)


def read_ecsv(content: bytes, columns: ColumnNames = None) -> pl.DataFrame:
    """Read ECSV, astropy's text with types."""
    return _from_astropy(lambda: Table.read(io.BytesIO(content), format="ascii.ecsv"), columns)


def read_votable(content: bytes, columns: ColumnNames = None) -> pl.DataFrame:
    """Read the first table of a VOTable, under the names of its fields and not their IDs."""
    return _from_astropy(
        lambda: parse_single_table(io.BytesIO(content), verify="ignore").to_table(use_names_over_ids=True), columns
    )


def _from_astropy(read: Callable[[], Table], columns: ColumnNames) -> pl.DataFrame:
    """Columns of one value a row; masked values become null."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # units and dates that astropy does not like: not used here
        table = read()
    series = {}
    for name, column in table.columns.items():
        if (columns is None or name in columns) and _is_flat(column):
            values = np.ma.asarray(column)
            series[name] = pl.Series(_native(values.data)).set(pl.Series(np.ma.getmaskarray(values)), None)
    return pl.DataFrame(series)


def _is_flat(column: Column) -> bool:
    """Whether a column holds one value a row: no arrays, no coordinates or times as astropy has them."""
    if not isinstance(column, Column) or column.ndim > 1:
        return False
    return column.dtype.kind != "O" or all(isinstance(value, str) for value in np.ma.getdata(column))


def _native(values: NDArray) -> NDArray:
    """FITS is big-endian and its text bytes; polars takes neither."""
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", errors="replace")
    return values.astype(str if values.dtype.kind in "OU" else values.dtype.newbyteorder("="))


READERS: dict[str, Callable[[bytes, ColumnNames], pl.DataFrame]] = {
    ".parquet": read_parquet,
    **dict.fromkeys((".csv", ".tsv", ".txt", ".tab", ".dat"), read_text),
    ".ecsv": read_ecsv,
    **dict.fromkeys((".fits", ".fit"), read_fits),
    **dict.fromkeys((".vot", ".votable", ".xml"), read_votable),
}
"""The reader of each suffix."""
