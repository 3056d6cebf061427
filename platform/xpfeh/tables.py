"""Tables as files: the one way in, whatever the format, and the one way out.

What comes from outside is read here, and every complaint of a library about it becomes one line with the file's name.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from astropy.io.votable import parse_single_table
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from xpfeh.errors import UserError
from xpfeh.files import check_output_file, filesystem, first_line, read_bytes, whole_file
from xpfeh.fits_table import write_fits

TEXT = (".csv", ".tsv", ".txt", ".tab", ".dat")
VOTABLE = (".vot", ".votable", ".xml")
FITS = (".fits", ".fit")
READABLE = (".parquet", *TEXT, ".ecsv", *FITS, *VOTABLE)
WRITABLE = (".parquet", ".fits", ".csv")

SOURCE_ID_NAMES = ("source_id", "SOURCE_ID", "Source")
"""How Gaia's archive and VizieR call the identifier."""
MISSING = ["", "-", "--", "---", "...", "nan", "NaN", "null", "None", "N/A", "NA"]
"""How tables of the literature write that there is no value."""


# --- reading ------------------------------------------------------------------------------------------------------


def read_table(uri: str | Path, as_text: bool = False) -> pl.DataFrame:
    """Read the columns of one value a row from a table; a missing value is null.

    Parameters
    ----------
    uri : str or Path
        Parquet, CSV or other separated text (VizieR's too, with its lines of units and dashes), ECSV, FITS or VOTable,
        told by its suffix; gzip or not.
    as_text : bool
        Leave the cells of text files as they are written, stripped of blanks, and make text of all others.

    Raises
    ------
    UserError
        If the file is missing, of another kind, or cannot be read as what its name says.
    """
    name = str(uri)
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    if suffix not in READABLE:
        raise UserError(f"{name}: not a kind of table that can be read; these can: {', '.join(READABLE)}")
    fs, path = filesystem(uri)
    if not fs.get_file_info(path).is_file:
        raise UserError(f"{name}: no such file")
    try:
        content = read_bytes(fs, path)
        if content[:2] == b"\x1f\x8b":  # gzip, whatever the name says
            content = gzip.decompress(content)
        if suffix in TEXT:
            frame = _read_text(content, as_text)
        elif suffix == ".parquet":
            frame = pl.read_parquet(io.BytesIO(content))
        else:
            frame = _from_astropy(_read_astropy(content, suffix))
        frame = frame.select(~pl.selectors.nested() & ~pl.selectors.object())
        return frame.with_columns(pl.all().cast(pl.String)) if as_text else frame
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except Exception as error:  # four libraries, each with errors of its own: all of them mean this
        raise UserError(f"{name}: cannot be read as a table ({first_line(error)})") from None


def with_source_id(frame: pl.DataFrame, where: str | Path) -> pl.DataFrame:
    """Return the table with its identifiers as ``source_id``, int64 without gaps.

    Raises
    ------
    UserError
        If there is no such column, or its values are no integers; a float has lost digits already.
    """
    name = next((name for name in SOURCE_ID_NAMES if name in frame.columns), None)
    if name is None:
        raise UserError(f"{where}: no column source_id; there are: {', '.join(frame.columns[:20]) or 'none'}")
    ids = frame[name]
    if ids.dtype == pl.String:
        ids = ids.str.strip_chars().cast(pl.Int64, strict=False)
    elif not ids.dtype.is_integer():
        raise UserError(f"{where}: source_id is {ids.dtype}, which loses digits; write it as a 64-bit integer")
    else:
        ids = ids.cast(pl.Int64, strict=False)
    if ids.null_count():
        row = int(ids.is_null().arg_true()[0])
        raise UserError(f"{where}: source_id of row {row} is {frame[name][row]!r}, not a 64-bit integer")
    return frame.drop(name).insert_column(0, ids.alias("source_id"))


def numbers(frame: pl.DataFrame, name: str, where: str | Path) -> pl.Series:
    """Return a column as float64, null where there is no value.

    Raises
    ------
    UserError
        If a value is no number.
    """
    column = frame[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars().replace(MISSING, None)
    values = column.cast(pl.Float64, strict=False)
    if (wrong := column.is_not_null() & values.is_null()).any():
        row = int(wrong.arg_true()[0])
        raise UserError(f"{where}: {name} of row {row} is {column[row]!r}, which is no number")
    return values.fill_nan(None)


def require(frame: pl.DataFrame, names: Sequence[str], where: str | Path) -> None:
    """Raise a `UserError` if one of the columns is missing."""
    if missing := [name for name in names if name not in frame.columns]:
        raise UserError(
            f"{where}: no column {' and '.join(missing)}; there are: {', '.join(frame.columns[:20]) or 'none'}"
        )


def _read_text(content: bytes, as_text: bool) -> pl.DataFrame:
    """Text as archives export it: comments, perhaps lines of units and dashes, UTF-8 or Latin-1."""
    if b"\0" in content:
        raise UserError("is UTF-16 or binary, not text; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise UserError("is empty, or holds nothing but comments")
    separator = max("\t,;|", key=lines[0].count)
    for ruler in range(1, min(3, len(lines))):
        if re.fullmatch(rf"-+(\s*[{separator}]\s*-+)*\s*", lines[ruler]):
            del lines[1 : ruler + 1]
            break
    table = pl.read_csv(
        io.BytesIO("\n".join(lines).encode()),
        separator=separator,
        infer_schema=not as_text,
        infer_schema_length=None,
        null_values=MISSING,
        truncate_ragged_lines=True,
    )
    return table.rename({name: name.strip().strip('"') for name in table.columns})


def _read_astropy(content: bytes, suffix: str) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # units and dates that astropy does not like: not used here
        if suffix in VOTABLE:
            return parse_single_table(io.BytesIO(content), verify="ignore").to_table(use_names_over_ids=True)
        return Table.read(io.BytesIO(content), format="ascii.ecsv" if suffix == ".ecsv" else "fits")


def _from_astropy(table: Table) -> pl.DataFrame:
    """Return the columns of one value a row; masked values become null."""
    table.convert_bytestring_to_unicode()
    columns = {}
    for name in table.colnames:
        if table[name].ndim == 1:
            values = np.ma.asarray(table[name])
            native = values.data.astype(str if values.dtype.kind in "OU" else values.dtype.newbyteorder("="))
            columns[name] = pl.Series(native).set(pl.Series(np.ma.getmaskarray(values)), None)
    return pl.DataFrame(columns)


# --- writing ------------------------------------------------------------------------------------------------------


def check_format(path: str | Path) -> None:
    """Raise a `UserError` if `path` cannot be written, or not as a file of this suffix."""
    if Path(path).suffix not in WRITABLE:
        raise UserError(f"{path}: not a kind of file that can be written; choose {', '.join(WRITABLE)}")
    check_output_file(path)


def write_table(path: str | Path, tables: Iterable[pa.Table]) -> int:
    """Write tables of one schema as one file, whole or not at all, and return the number of rows.

    Parquet is written table by table; FITS and CSV are gathered in memory. Units and descriptions of the schema's
    fields go to Parquet's metadata and to FITS headers; CSV takes no list columns.

    Raises
    ------
    UserError
        If the format is not known, or there is nothing to write.
    """
    check_format(path)
    write = {".parquet": _write_parquet, ".csv": _write_csv, ".fits": _write_fits}[Path(path).suffix]
    with whole_file(path) as temporary:
        rows = write(temporary, iter(tables))
    return rows


def _write_parquet(path: Path, tables: Iterable[pa.Table]) -> int:
    writer, rows = None, 0
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            rows += table.num_rows
    finally:
        if writer:
            writer.close()
    if not writer:
        raise UserError("there is nothing to write: the source holds no star")
    return rows


def _write_csv(path: Path, tables: Iterable[pa.Table]) -> int:
    table = _gathered(tables)
    if lists := [field.name for field in table.schema if pa.types.is_fixed_size_list(field.type)]:
        raise UserError(f"CSV cannot hold the columns {', '.join(lists)}; write .parquet or .fits")
    pa_csv.write_csv(table, path)
    return table.num_rows


def _write_fits(path: Path, tables: Iterable[pa.Table]) -> int:
    table = _gathered(tables)
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    widths = {name: max(1, pc.max(pc.binary_length(table[name])).as_py() or 0) for name in text}
    write_fits(path, table.schema, table.num_rows, widths, [table])
    return table.num_rows


def _gathered(tables: Iterable[pa.Table]) -> pa.Table:
    gathered = list(tables)
    if not gathered:
        raise UserError("there is nothing to write: the source holds no star")
    return pa.concat_tables(gathered)
