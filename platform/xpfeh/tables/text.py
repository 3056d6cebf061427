"""Separated text as archives and people write it, as a data frame of text."""

from __future__ import annotations

import re
from collections.abc import Collection

import polars as pl
import pyarrow as pa

from xpfeh.errors import InputError


def read_text(opened: pa.NativeFile, path: str, columns: Collection[str] | None = None) -> pl.DataFrame:
    """Read text as archives export it: comments, perhaps lines of units and dashes, UTF-8 or Latin-1.

    All cells stay text: guessing types would turn identifiers with gaps into floats, and the message about a wrong
    cell could not show it as it is in the file.

    Examples
    --------
    >>> text = b"#VizieR\\nSource;Gmag\\n ;mag\\n------;----\\n 12;7.50\\n"
    >>> read_text(pa.BufferReader(text), "gaia.tsv").to_dicts()
    [{'Source': ' 12', 'Gmag': '7.50'}]
    """
    content = opened.read()
    if b"\0" in content:
        raise InputError(f"{path}: is UTF-16 or binary, not text; save it as UTF-8")
    if not content.isascii():  # Gaia's bulk files are ASCII, and too large to decode needlessly
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
        raise InputError(f"{path}: is empty, or holds nothing but comments")
    separator = max("\t,;|", key=header.count)
    # Below the names, VizieR writes a line of units and one of dashes as wide as the columns.
    dashes = rb"-+(?:\s*[%b]\s*-+)*[ \t]*(?:\n|$)" % separator.encode()
    if ruled := re.match(rb"(.*\n)(?:.*\n)?%b" % dashes, content):
        content = ruled[1] + content[ruled.end() :]
    names = [name.strip().strip('"') for name in pl.read_csv(header.encode(), separator=separator).columns]
    read_twice = [name for name in names if f"{name}_duplicated_0" in names]  # polars's name for the second
    if columns is not None and (twice := [name for name in read_twice if name in columns]):
        raise InputError(f"{path}: has several columns named {', '.join(twice)}; keep one")
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
