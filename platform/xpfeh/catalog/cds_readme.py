"""The ReadMe of a catalog at CDS: its description, and the meaning of its lines byte by byte."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa

from xpfeh.catalog.citation import citation, full_name, references
from xpfeh.catalog.readme import TITLE, WIDTH, rule_table, section
from xpfeh.columns import describe
from xpfeh.flags import MEANING

_KEYWORDS = "Milky Way ; Stars, giant ; Abundances, [Fe/H] ; Spectrophotometry"  # from the ADC's list
_UNITS = {"": "---", "dex": "[Sun]"}
"""In CDS's notation: no unit, and the logarithm of a ratio to the Sun's value."""
_NOTES = {"flags": " (1)"}


class Place(NamedTuple):
    """A column's place in a line: its bytes, counted from 1, and its Fortran format."""

    field: pa.Field
    first: int
    last: int
    format: str


def cds_readme(data: str, places: Sequence[Place], rows: int, description: str) -> str:
    """Return the text of a CDS ReadMe, in lines of at most 80 characters.

    Parameters
    ----------
    data : str
        Name of the data file when not compressed.
    places : sequence of Place
    rows : int
    description : str
    """
    today = datetime.now(UTC)
    who = "; ".join(full_name(author) for author in citation()["authors"])
    rounded = "Numbers are rounded to the decimals of their formats; other file formats have full precision."
    files = [
        " FileName      Lrecl    Records  Explanations",
        "-" * WIDTH,
        f"{'ReadMe':<14} {WIDTH:>5} {'.':>10}  This file",
        f"{data:<14} {places[-1].last:>5} {rows:>10}  The stars, in HEALPix order",
    ]
    header = ["  Bytes Format Units Label                    Explanations", "-" * WIDTH]
    byte_by_byte = rule_table(f"Byte-by-byte Description of file: {data}", [*header, *map(_column, places)])
    return "\n".join(
        [
            f"xpfeh   {TITLE}   ({who}, {today:%Y})",
            "=" * WIDTH,
            f"{TITLE}\n{_wrap(who)}",
            "=" * WIDTH,
            f"ADC_Keywords: {_KEYWORDS}\n",
            f"{section('Description', _wrap(f'{description} {rounded}', ''))}\n",
            f"{rule_table('File Summary:', files)}\n",
            f"{byte_by_byte}\n{_note_on_flags()}\n{'-' * WIDTH}\n",
            "References:",
            *map(_wrap, references()),
            "=" * WIDTH,
            f"(End){f'{today:%d-%b-%Y}':>{WIDTH - 5}}\n",
        ]
    )


def _column(place: Place) -> str:
    text, unit, ucd = describe(place.field)
    start = f"{place.first:>3}-{place.last:>3} {place.format:<6} {_UNITS.get(unit, unit):<5} {place.field.name:<24} "
    indent = " " * len(start)
    limits = "[0/1] " if pa.types.is_boolean(place.field.type) else ""
    mark = "? " if place.field.nullable else ""
    ucd = f" [ucd={ucd}]" if ucd else ""  # as in VizieR's own tables
    explanation = f"{limits}{mark}{text}{_NOTES.get(place.field.name, '')}{ucd}"
    # A line starting with a number would be read as another column: keep a number with the word before it.
    glued = re.sub(r" (?=\d)", "\N{NO-BREAK SPACE}", explanation)
    filled = textwrap.fill(glued, WIDTH, initial_indent=start, subsequent_indent=indent, break_long_words=False)
    return filled.replace("\N{NO-BREAK SPACE}", " ")


def _note_on_flags() -> str:
    bits = [
        textwrap.fill(f"     {bit.bit_length() - 1:>2} = {bit.name}: {meaning}", WIDTH, subsequent_indent=" " * 10)
        for bit, meaning in MEANING.items()
    ]
    return "\n".join(["Note (1): Bits, counted from 0; a flag's value is 2^bit; 0: nothing to report.", *bits])


def _wrap(text: str, indent: str = "    ") -> str:
    return textwrap.fill(text, WIDTH - 4, initial_indent=indent, subsequent_indent=indent)
