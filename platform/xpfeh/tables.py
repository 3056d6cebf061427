"""Tables as files: the one way in, whatever the format, and the one way out.

What comes from outside is read here, and every complaint of a library about it becomes one line with the file's name.
Rows are counted from 0 in these lines.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from xpfeh.astropy_table import to_astropy
from xpfeh.column_names import at_j2000, find_columns, one_each, spellings_of
from xpfeh.columns import made_by
from xpfeh.errors import InputError, UserError
from xpfeh.files import check_output_file, filesystem, first_line, read_bytes, whole_file
from xpfeh.fits_table import write_fits
from xpfeh.table_formats import READERS
from xpfeh.votable_file import write_votable_to

IDS_PER_PIXEL = 2**35
"""A source_id over this is its star's HEALPix pixel of level 12, nested (Gaia DR3 documentation, section 20.1.1)."""
MISSING = ("", "-", "--", "---", "−", "–", "—", "...", "nan", "NaN", "null", "None", "N/A", "NA")
"""How tables of the literature write that there is no value."""
TRUE, FALSE = ("true", "t", "1", "1.0"), ("false", "f", "0", "0.0")
"""How archives, databases and spreadsheets write true and false; 1.0 and 0.0 come from integer columns with gaps."""
POSITION_RANGES = {"ra": (0.0, 360.0), "dec": (-90.0, 90.0)}
"""Degrees."""
RANGES = {**POSITION_RANGES, "ebv": (0.0, 100.0)}
"""What some columns of Gaia stars may hold. E(B-V), mag: the map of SFD98 at nside 64 goes from 0.004 to 57, and -1,
-99 or 999 are how tables write that it is not known."""


# --- reading ------------------------------------------------------------------------------------------------------


def read_table(uri: str | Path, columns: Collection[str] | None = None) -> pl.DataFrame:
    """Read the columns of a table that hold one value a row.

    Parameters
    ----------
    uri : str or Path
        Parquet, CSV or other separated text (VizieR's too, with its lines of units and dashes), ECSV, FITS or VOTable,
        by its suffix; gzip or not.
    columns : collection of str, optional
        Those to read, of the ones that the table has. One of Gaia's bulk files has 152, and few are of use.

    Returns
    -------
    polars.DataFrame
        The cells of text files are text, see `numbers` and `with_source_id`. Text is stripped of blanks, and null where
        it is one of `MISSING`.

    Raises
    ------
    UserError
        If the file is missing, of another kind, or cannot be read in the format of its suffix.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "stars.tsv")
    ...     _ = path.write_text("# from VizieR\\nName\\tVmag\\n \\tmag\\n----\\t----\\nHD 1\\t7.4\\nHD 2\\t--\\n")
    ...     read_table(path).rows()
    [('HD 1', '7.4'), ('HD 2', None)]
    """
    fs, path = filesystem(uri)
    info = fs.get_file_info(path)
    if not info.is_file:
        raise InputError(
            f"{uri}: is a folder; name a file" if info.type.name == "Directory" else f"{uri}: no such file"
        )
    suffix = Path(path.lower().removesuffix(".gz")).suffix
    if suffix not in READERS:
        raise InputError(f"{uri}: not a kind of table that can be read; these can: {', '.join(READERS)}")
    try:
        content = read_bytes(fs, path)
        if content[:2] == b"\x1f\x8b":  # gzip, whatever its name is
            content = gzip.decompress(content)
        return single_values(READERS[suffix](content, columns))
    except UserError as error:
        raise InputError(f"{uri}: {error}") from None
    except Exception as error:  # four libraries, each with errors of its own: all of them mean this
        raise InputError(f"{uri}: cannot be read as a table ({first_line(error)})") from None


def single_values(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that hold one value a row; text is stripped of blanks, and null where it is one of `MISSING`.

    Examples
    --------
    >>> single_values(pl.DataFrame({"name": [" HD 1", "--"], "flux": [[1.0], [2.0]]})).to_dict(as_series=False)
    {'name': ['HD 1', None]}
    """
    frame = frame.select(~(cs.nested() | cs.binary() | cs.object()))
    return frame.with_columns((cs.string() | cs.categorical()).cast(pl.String).str.strip_chars().replace(MISSING, None))


def read_stars(uri: str | Path, needed: Sequence[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """Read columns of numbers from a table of Gaia stars; see `read_table`.

    Parameters
    ----------
    uri : str or Path
    needed, optional : sequence of str
        Columns besides ``source_id``, under any of their names in `xpfeh.column_names`. An optional one that the table
        lacks is null; but ``ref_epoch`` is 2000 where the names of the position columns say so.

    Returns
    -------
    polars.DataFrame
        ``source_id``, int64 and unique, and the columns as float64, null where unknown.

    Raises
    ------
    UserError
        If the table cannot be read, is empty or lacks a column, a source_id is not an integer or appears twice, a
        value is not a number, or one of `RANGES` is outside its range.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "stars.csv")
    ...     _ = path.write_text("Source,RA_ICRS,DE_ICRS,note\\n4295806720,44.996,--,faint\\n")
    ...     read_stars(path, ["ra", "dec"], ["pmra"]).rows()
    [(4295806720, 44.996, None, None)]
    """
    frame = read_table(uri, spellings_of(("source_id", *needed, *optional)))
    if {"source_id", *needed} - find_columns(frame.columns, ("source_id", *needed)).keys():
        frame = read_table(uri)  # whole, so that the complaint names the columns that there are
    return stars_of(frame, uri, needed, optional)


def stars_of(frame: pl.DataFrame, uri: str | Path, needed: Sequence[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """Return columns of numbers of a table of Gaia stars in memory, which messages call `uri`; see `read_stars`.

    Examples
    --------
    >>> stars_of(pl.DataFrame({"Source": [7], "r_med_geo": ["812.5"]}), "the table", ["rgeo"]).rows()
    [(7, 812.5)]
    """
    ids = with_source_id(frame, uri)["source_id"]
    names = columns_of(frame, uri, needed, optional)
    columns = {name: numbers(frame, column, uri) for name, column in names.items()}
    for name in RANGES.keys() & columns.keys():
        check_range(columns[name], *RANGES[name], uri)
    if "ref_epoch" not in names and at_j2000(names.get("ra", "")):
        columns["ref_epoch"] = pl.repeat(2000.0, frame.height, eager=True)
    unknown = pl.repeat(None, frame.height, dtype=pl.Float64, eager=True)
    frame = pl.DataFrame([ids, *(columns.get(name, unknown).alias(name) for name in (*needed, *optional))])
    if not frame.height:
        raise InputError(f"{uri}: the table is empty")
    if repeated := frame.height - frame["source_id"].n_unique():
        row = (~frame["source_id"].is_first_distinct()).arg_max()
        raise InputError(f"{uri}: {repeated} rows repeat a source_id, row {row} is the first; keep one row a star")
    return frame


def with_source_id(frame: pl.DataFrame, path: str | Path) -> pl.DataFrame:
    """Return the table with its identifiers as the column ``source_id``, int64 without gaps.

    Raises
    ------
    UserError
        If there is no such column, or a value is not an integer; it names `path`.

    Examples
    --------
    >>> with_source_id(pl.DataFrame({"SOURCE_ID": ["4295806720"]}), "stars.csv").to_dicts()
    [{'source_id': 4295806720}]
    """
    name = columns_of(frame, path, ["source_id"])["source_id"]
    ids = frame[name]
    # A float64 holds 53 bits: of a source_id's 63 the last ten would be wrong, and with them the star.
    if not (ids.dtype.is_integer() or ids.dtype == pl.String):
        raise InputError(f"{path}: source_id is {ids.dtype}; write 64-bit integers, a float loses digits")
    integers = ids.cast(pl.Int64, strict=False)
    if integers.null_count():
        row = int(integers.is_null().arg_true()[0])
        found = "missing" if ids[row] is None else f"{ids[row]!r}"
        raise InputError(f"{path}: source_id of row {row} is {found}; write 64-bit integers, a float loses digits")
    return frame.drop(name).insert_column(0, integers.alias("source_id"))


def columns_of(
    frame: pl.DataFrame,
    path: str | Path,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    j2000_first: bool = False,
) -> dict[str, str]:
    """Return a table's own names for our columns, see `xpfeh.column_names.find_columns`.

    Raises
    ------
    UserError
        If a needed one is missing, or two whose names differ only in case hold different values; it names `path`.

    Examples
    --------
    >>> columns_of(pl.DataFrame({"Source": [7], "Gmag": [12.5]}), "stars.csv", ["source_id"], ["phot_g_mean_mag", "ra"])
    {'source_id': 'Source', 'phot_g_mean_mag': 'Gmag'}
    """
    found = find_columns(frame.columns, (*needed, *optional), j2000_first)
    if missing := [name for name in needed if name not in found]:
        raise _missing(missing, frame, path)
    return one_each(found, lambda one, other: frame[one].cast(pl.String).equals(frame[other].cast(pl.String)), path)


def numbers(frame: pl.DataFrame, name: str, path: str | Path) -> pl.Series:
    """Return a column as float64, null where there is no value.

    Raises
    ------
    UserError
        If a value is no number; it names `path`.

    Examples
    --------
    >>> numbers(pl.DataFrame({"feh": ["-2.5", None]}), "feh", "labels.csv").to_list()
    [-2.5, None]
    """
    column = frame[name]
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Null)):
        raise InputError(f"{path}: {name} is {column.dtype}; write numbers")
    values = column.cast(pl.Float64, strict=False)
    if len(wrong := (column.is_not_null() & values.is_null()).arg_true()):
        raise InputError(
            f"{path}: {name} of row {wrong[0]} is {column[wrong[0]]!r}, which is no number; "
            "correct it, or leave it empty"
        )
    return values.fill_nan(None)


def truths(frame: pl.DataFrame, name: str, path: str | Path) -> pl.Series:
    """Return a column of booleans, however they are written, null where there is no value.

    Raises
    ------
    UserError
        If a value is neither; it names `path`.

    Examples
    --------
    >>> truths(pl.DataFrame({"probable_match": ["t", "FALSE", "1", None]}), "probable_match", "pairs.csv").to_list()
    [True, False, True, None]
    """
    text = frame[name].cast(pl.String).str.to_lowercase()
    if len(wrong := (text.is_not_null() & ~text.is_in([*TRUE, *FALSE])).arg_true()):
        found = frame[name][wrong[0]]
        raise InputError(f"{path}: {name} of row {wrong[0]} is {found!r}; write true, false or nothing")
    return text.is_in(TRUE).alias(name)


def check_range(values: pl.Series, low: float, high: float, path: str | Path) -> None:
    """Raise a `UserError` that names `path` if a number lies outside a range; null is no number.

    Examples
    --------
    >>> check_range(pl.Series("dec", [-5.0, 95.0]), -90, 90, "stars.csv")
    Traceback (most recent call last):
    xpfeh.errors.InputError: stars.csv: dec of row 1 is 95, outside -90 to 90; correct it, or leave the row out
    """
    if len(wrong := (~values.is_between(low, high)).fill_null(False).arg_true()):
        raise InputError(
            f"{path}: {values.name} of row {wrong[0]} is {values[wrong[0]]:.10g}, outside {low:g} to {high:g}; "
            "correct it, or leave the row out"
        )


def require(frame: pl.DataFrame, names: Sequence[str], path: str | Path) -> None:
    """Raise a `UserError` that names `path` if one of the columns is missing.

    Examples
    --------
    >>> require(pl.DataFrame({"FEH": [0.1]}), ["feh"], "labels.csv")
    Traceback (most recent call last):
    xpfeh.errors.InputError: labels.csv: no column feh; there are: FEH
    """
    if missing := [name for name in names if name not in frame.columns]:
        raise _missing(missing, frame, path)


def _missing(names: Sequence[str], frame: pl.DataFrame, path: str | Path) -> UserError:
    more = ", ..." if frame.width > 20 else ""
    there = f"{', '.join(frame.columns[:20]) or 'none'}{more}"
    return InputError(f"{path}: no column {' and '.join(names)}; there are: {there}")


# --- writing ------------------------------------------------------------------------------------------------------


def check_format(path: str | Path) -> None:
    """Raise a `UserError` if `path` cannot be written, or not as a file of this suffix."""
    if Path(path).suffix not in WRITABLE:
        raise UserError(f"{path}: not a kind of file that can be written; choose {', '.join(WRITABLE)}")
    check_output_file(path)


def write_table(path: str | Path, tables: Iterable[pa.Table]) -> int:
    """Write tables of one schema as one file, whole or not at all, and return the number of rows.

    Parquet is written table by table; the others are gathered in memory. Units and descriptions of the schema's
    fields, and what made them (`xpfeh.columns.PROVENANCE_KEY`), go to the headers of all but CSV, which takes no list
    columns either.

    Raises
    ------
    UserError
        If the format is not known, cannot hold the columns, or there is nothing to write.
    """
    check_format(path)
    write = _WRITERS[Path(path).suffix]
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
    table = _gathered(map(_without_lists, tables))
    pa_csv.write_csv(table, path)
    return table.num_rows


def _without_lists(table: pa.Table) -> pa.Table:
    if lists := [field.name for field in table.schema if pa.types.is_fixed_size_list(field.type)]:
        others = ", ".join(suffix for suffix in WRITABLE if suffix != ".csv")
        raise UserError(f"CSV cannot hold the columns {', '.join(lists)}; choose {others}")
    return table


def _write_fits(path: Path, tables: Iterable[pa.Table]) -> int:
    table = _gathered(tables)
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    widths = {name: max(1, pc.max(pc.binary_length(table[name])).as_py() or 0) for name in text}
    write_fits(path, table.schema, table.num_rows, widths, [table], made_by(table.schema))
    return table.num_rows


def _write_votable(path: Path, tables: Iterable[pa.Table]) -> int:
    table = _gathered(tables)
    with path.open("wb") as file:
        write_votable_to(file, table, "xpfeh")
    return table.num_rows


def _write_ecsv(path: Path, tables: Iterable[pa.Table]) -> int:
    table = _gathered(tables)
    to_astropy(table).write(path, format="ascii.ecsv")
    return table.num_rows


def _gathered(tables: Iterable[pa.Table]) -> pa.Table:
    gathered = list(tables)
    if not gathered:
        raise UserError("there is nothing to write: the source holds no star")
    return pa.concat_tables(gathered)


_WRITERS: dict[str, Callable[[Path, Iterable[pa.Table]], int]] = {
    ".parquet": _write_parquet,
    ".fits": _write_fits,
    ".vot": _write_votable,
    ".ecsv": _write_ecsv,
    ".csv": _write_csv,
}
WRITABLE = tuple(_WRITERS)
