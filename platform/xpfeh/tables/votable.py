"""VOTables: read despite their many small breaches of the standard; written with units, UCDs and descriptions."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from astropy.io.votable import from_table, parse_single_table
from astropy.io.votable.tree import Info, VOTableFile
from astropy.table import Column, Table
from astropy.units import Unit

from xpfeh.columns import describe_for_votable, lists_to_array, made_by
from xpfeh.errors import InputError
from xpfeh.tables.guards import one_line

MAX_VOTABLE_ROWS = 5_000_000
"""astropy holds the whole table in memory, several times."""


@contextmanager
def open_votable(content: bytes, path: str) -> Iterator[Table]:
    """Yield the first table of a VOTable, with the names of its fields, not their IDs.

    Raises
    ------
    UserError
        If it is a web page, is not a VOTable, has no table, or the caller's work on the table finds another fault.
    """
    if content[:1000].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise InputError(f"{path}: is a web page, not a VOTable, perhaps the archive's message; download it again")
    with one_line(path, "a VOTable"):
        yield parse_single_table(io.BytesIO(content), verify="ignore").to_table(use_names_over_ids=True)


def write_votable_to(file: BinaryIO, table: pa.Table, description: str) -> None:
    """Write a table, described in a line, as a VOTable; null numbers become NaN, INFO elements record what made it."""
    votable = to_votable(table)
    votable.description = description
    first = votable.get_first_table()
    first.name = "xpfeh"
    first.description = description
    first.infos.extend(Info(name=name, value=str(value)) for name, value in made_by(table.schema).items())
    votable.to_xml(file, tabledata_format="binary2")


def to_votable(table: pa.Table) -> VOTableFile:
    """Return a table as astropy's VOTable, with units, UCDs and descriptions."""
    return from_table(Table([_column(field, table[field.name]) for field in table.schema]))


def _column(field: pa.Field, values: pa.ChunkedArray) -> Column:
    known = describe_for_votable(field)
    array = lists_to_array(values) if pa.types.is_fixed_size_list(field.type) else values.to_numpy()
    if pa.types.is_string(field.type):
        array = array.astype("S")
    elif pa.types.is_uint32(field.type):
        array = array.astype(np.int64)  # VOTable has no unsigned integers of 32 bits
    return Column(
        array,
        field.name,
        unit=Unit(known.unit, format="vounit") if known.unit else None,
        description=known.text or None,
        meta={"ucd": known.ucd} if known.ucd else {},
    )
