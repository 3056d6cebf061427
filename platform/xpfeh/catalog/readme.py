"""The README of a published catalog, in the style of a CDS ReadMe."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from xpfeh.catalog.citation import references
from xpfeh.catalog.samples import CatalogSample
from xpfeh.columns import describe
from xpfeh.flags import MEANING
from xpfeh.tables.fits_writer import fits_format, row_dtype

TITLE = "[Fe/H] from Gaia XP spectra, by xpfeh"

WIDTH = 80
"""Maximum line length, required by CDS."""
_RULE = "-" * WIDTH


def describe_catalog(rows: int, sample: CatalogSample, model: str, made_by: Sequence[Mapping[str, str]]) -> str:
    """Return a paragraph that describes a published catalog.

    Parameters
    ----------
    rows : int
        The number of its stars.
    sample : CatalogSample
    model : str
        The version of the model.
    made_by : sequence of mapping
        The versions of the code that made its parts, see `xpfeh.provenance.code_version`.

    Examples
    --------
    >>> from xpfeh.catalog.samples import SAMPLES
    >>> versions = [{"xpfeh": "0.1.0", "commit": "4f1c2a"}, {"xpfeh": "0.1.0", "commit": "90bd31"}]
    >>> print(textwrap.fill(describe_catalog(2000, SAMPLES["all"], "m-1", versions), 100))
    [Fe/H], its errors and flags for 2,000 stars, predicted from Gaia XP spectra by the model m-1 with
    several versions of xpfeh, each for some of the stars: 0.1.0 (commit 4f1c2a) and 0.1.0 (commit
    90bd31). Sample 'all': every star of the catalog, with or without a prediction.
    """
    versions = [f"{code.get('xpfeh', 'unknown')} (commit {code.get('commit', 'unknown')})" for code in made_by]
    versions = list(dict.fromkeys(versions))  # versions can differ only in their packages
    if len(versions) == 1:
        code = f"xpfeh {versions[0]}"
    else:
        first = ", ".join(versions[:-1])
        code = f"several versions of xpfeh, each for some of the stars: {first} and {versions[-1]}"
    return (
        f"[Fe/H], its errors and flags for {rows:,} stars, predicted from Gaia XP spectra by the model "
        f"{model} with {code}. Sample '{sample.name}': {sample.definition}."
    )


def readme(
    description: str,
    files: Sequence[tuple[str, str]],
    schema: pa.Schema,
    text_bytes: Mapping[str, int] | None,
    provenance: Mapping[str, Any],
) -> str:
    """Return the text of README.txt.

    Parameters
    ----------
    description : str
    files : sequence of (name, explanation)
    schema : Schema
    text_bytes : mapping or None
        The widths of the FITS file's text columns; None without a FITS file.
    provenance : mapping
        The catalog's origin, from its parts and records.
    """
    columns = _columns(schema) if text_bytes is None else _byte_by_byte(schema, text_bytes)
    flags = [f"{bit.bit_length() - 1:>4}  {bit.name:<18} {meaning}" for bit, meaning in MEANING.items()]
    blocks = [
        f"{TITLE}\n{'=' * WIDTH}",
        section("Description", textwrap.fill(description, WIDTH - 4)),
        rule_table("File Summary:", [f"{name:<24} {explanation}" for name, explanation in files]),
        columns,
        rule_table("Note on flags (bits, counted from 0; a flag's value is 2^bit; 0 means nothing to report):", flags),
        section("Provenance", json.dumps(provenance, indent=1)),
        section("References", "\n".join(textwrap.fill(work, WIDTH - 4) for work in references())),
        f"{'=' * WIDTH}\n(End)",
    ]
    return "\n\n".join(blocks) + "\n"


def _byte_by_byte(schema: pa.Schema, text_bytes: Mapping[str, int]) -> str:
    dtype = row_dtype(schema, text_bytes)
    lines = ["   Bytes Format Units  Label                     Explanations", _RULE]
    for field, (kind, start, *_) in zip(schema, (dtype.fields or {}).values(), strict=True):
        span = f"{start + 1:>3}-{start + kind.itemsize:>4}"
        lines.append(f"{span:>8} {fits_format(field, text_bytes):<6} {_column(field)}")
    note = (
        "Bytes of a row of the binary table in extension 1. Formats are FITS's: L is T or F, K is an 8-byte integer, J "
        "a 4-byte integer (unsigned via TZERO), E and D are 4-byte and 8-byte floats, nA is text of n bytes. '?' marks "
        "columns in which values can be missing (NaN)."
    )
    title = "Byte-by-byte Description of file: catalog.fits"
    return f"{rule_table(title, lines)}\n{textwrap.fill(note, WIDTH)}"


def _columns(schema: pa.Schema) -> str:
    lines = ["  Type   Units  Label                     Explanations", _RULE]
    lines += [f"  {field.type!s:<6} {_column(field)}" for field in schema]
    return f"{rule_table('Columns:', lines)}\n'?' marks columns in which values can be missing."


def _column(field: pa.Field) -> str:
    """Return a column's unit, name and explanation; as at CDS, '?' marks one in which values can be missing."""
    text, unit, _ = describe(field)
    mark = "? " if field.nullable else ""
    return f"{unit or '---':<6} {field.name:<25} {mark}{text}"


def section(title: str, text: str) -> str:
    """Return a titled paragraph, indented."""
    return f"{title}:\n{textwrap.indent(text, '    ')}"


def rule_table(title: str, lines: Sequence[str]) -> str:
    """Return titled lines between rules."""
    return "\n".join([title, _RULE, *lines, _RULE])
