"""Tables of stars from files of any format.

All tables from outside are read here, except spectra (`xpfeh.sources`), and every error of a library about them becomes
one line with the file's name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs
import pyarrow as pa

from xpfeh.column_names import at_j2000, find_columns, spellings_of
from xpfeh.errors import InputError, UserError
from xpfeh.files import filesystem, first_line
from xpfeh.tables.checks import RANGES, check_range, columns_of, numbers, with_source_id
from xpfeh.tables.formats import READERS
from xpfeh.tables.gunzip import GZIP_MAGIC, gunzip, suffix_of

MISSING = ("", "-", "--", "---", "−", "–", "—", "...", "nan", "NaN", "null", "None", "N/A", "NA")
"""What tables of the literature write for a missing value."""


def read_table(uri: str | Path, columns: Collection[str] | None = None) -> pl.DataFrame:
    """Read the columns of a table that hold one value per row.

    Parameters
    ----------
    uri : str or Path
        Parquet, CSV or other separated text (VizieR's too, with its lines of units and dashes), ECSV, FITS, VOTable or
        HDF5, by its suffix; gzip or not.
    columns : collection of str, optional
        Columns to read, where the table has them: one of Gaia's bulk files has 152 columns, and few are needed.

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
    suffix = suffix_of(path)
    if suffix not in READERS:
        raise InputError(f"{uri}: not a kind of table that can be read; these can: {', '.join(READERS)}")
    try:
        with fs.open_input_file(path) as file:
            return single_values(READERS[suffix](_decompress(file), str(uri), columns))
    except UserError:
        raise
    except Exception as error:  # five libraries, each with its own errors
        raise InputError(f"{uri}: cannot be read as a table ({first_line(error)})") from None


def _decompress(file: pa.NativeFile) -> pa.NativeFile:
    """Return the file, or its decompressed content in memory if it is gzip."""
    beginning = file.read(len(GZIP_MAGIC))
    file.seek(0)
    return pa.BufferReader(gunzip(file.read())) if beginning == GZIP_MAGIC else file


def single_values(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that hold one value per row; text is stripped of blanks, and null where it is in `MISSING`.

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
        Columns in addition to ``source_id``, under any of their names in `xpfeh.column_names`. An optional one that the
        table lacks is null; but ``ref_epoch`` is 2000 where the names of the position columns mean J2000.

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
        frame = read_table(uri)  # all of it, so that the error lists the existing columns
    return stars_of(frame, uri, needed, optional)


def stars_of(frame: pl.DataFrame, uri: str | Path, needed: Sequence[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """Return columns of numbers from a table of Gaia stars in memory, named `uri` in messages; see `read_stars`.

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
        rows = "1 row repeats" if repeated == 1 else f"{repeated} rows repeat"
        raise InputError(f"{uri}: {rows} a source_id, row {row} is the first; keep one row per star")
    return frame
