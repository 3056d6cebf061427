"""Tables written to files of any format, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from xpfeh.columns import made_by
from xpfeh.errors import UserError
from xpfeh.files import check_output_file, whole_file
from xpfeh.tables.astropy_table import to_astropy
from xpfeh.tables.fits_writer import write_fits
from xpfeh.tables.votable import write_votable_to


def check_format(path: str | Path) -> None:
    """Raise a `UserError` if `path` cannot be written, or its suffix is not a known format."""
    if suffix_of(path) not in WRITABLE:
        raise UserError(f"{path}: not a kind of file that can be written; choose {', '.join(WRITABLE)}")
    check_output_file(path)


def suffix_of(path: str | Path) -> str:
    """Return the suffix that decides the format: in lower case, and Gaia's ``.xml`` is a VOTable.

    >>> suffix_of("FEH.FITS"), suffix_of("feh.xml")
    ('.fits', '.vot')
    """
    suffix = Path(path).suffix.lower()
    return ".vot" if suffix == ".xml" else suffix


def write_table(path: str | Path, tables: Iterable[pa.Table]) -> int:
    """Write tables of one schema as one file, whole or not at all, and return the number of rows.

    Parquet is written table by table; the others are gathered in memory. Units and descriptions of the schema's
    fields, and what made them (`xpfeh.columns.PROVENANCE_KEY`), go to the headers of all but CSV, which cannot hold
    columns of lists either.

    Raises
    ------
    UserError
        If the format is not known, cannot hold the columns, or there is nothing to write.
    """
    check_format(path)
    suffix, tables = suffix_of(path), iter(tables)
    with whole_file(path) as temporary:
        first = next(tables, None)
        if first is None:
            raise UserError("there is nothing to write: the source has no stars")
        if suffix == ".csv":
            _check_no_lists(first.schema)  # now, not after the last star was computed
        if suffix == ".parquet":
            return _write_parquet(temporary, first.schema, chain([first], tables))
        table = pa.concat_tables(chain([first], tables))
        _WRITERS[suffix](temporary, table)
        return table.num_rows


def _check_no_lists(schema: pa.Schema) -> None:
    if lists := [field.name for field in schema if pa.types.is_fixed_size_list(field.type)]:
        others = ", ".join(suffix for suffix in WRITABLE if suffix != ".csv")
        raise UserError(f"CSV cannot hold the columns {', '.join(lists)}; choose {others}")


def _write_parquet(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
            rows += table.num_rows
    return rows


def _write_csv(path: Path, table: pa.Table) -> None:
    pa_csv.write_csv(table, path)


def _write_fits(path: Path, table: pa.Table) -> None:
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    widths = {name: max(1, pc.max(pc.binary_length(table[name])).as_py() or 0) for name in text}
    write_fits(path, table.schema, table.num_rows, widths, [table], made_by(table.schema))


def _write_votable(path: Path, table: pa.Table) -> None:
    with path.open("wb") as file:
        write_votable_to(file, table, "xpfeh")


def _write_ecsv(path: Path, table: pa.Table) -> None:
    to_astropy(table).write(path, format="ascii.ecsv")


_WRITERS: dict[str, Callable[[Path, pa.Table], None]] = {
    ".fits": _write_fits,
    ".vot": _write_votable,
    ".ecsv": _write_ecsv,
    ".csv": _write_csv,
}
"""These take the whole table; Parquet is written table by table."""
WRITABLE = (".parquet", *_WRITERS)
