"""Gaia's text files of XP spectra (bulk ECSV, DataLink CSV and ECSV), read in blocks.

Memory stays flat on a file of any length: bulk files unpack to gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from isal import igzip

from xpfeh.errors import InputError
from xpfeh.sources.samples import list_columns
from xpfeh.sources.text_rows import parse_rows
from xpfeh.tables.gunzip import GZIP_MAGIC

_BLOCK_BYTES = 9 << 20  # just below xpfeh.xp.product.PRODUCT_ROWS (240) stars of 40 kB: calibration gets one full chunk
_HEADER_BLOCK_BYTES = 1 << 16  # Gaia's headers have about 20 kB
_LONGEST_BYTES = (
    1 << 24
)  # 16 MB of comments are not a table, and a line of 16 MB is not a star, which has at most 43 kB
_UTF8_MARK = b"\xef\xbb\xbf"  # Windows programs write it before UTF-8


def read_text(file: pa.NativeFile, path: str, spectra: bool) -> Iterator[pa.Table]:
    """Return the rows of a text file, gzip or not: ``source_id`` (int64) and, if wanted, the spectra's lists (float64).

    Raises
    ------
    UserError
        If it is not text, or not of XP spectra. Invalid values in a row become null, see `parse_rows`.
    """
    gzipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    stream: Any = igzip.GzipFile(fileobj=file) if gzipped else file
    names, separator, rest = _read_header(stream, path)
    lists = list_columns(names, path)
    return _ahead(parse_rows(block, separator, names, lists, not spectra) for block in _whole_lines(stream, path, rest))


def _ahead(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield tables while a second thread reads the next one."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, tables, None)
        while (table := coming.result()) is not None:
            coming = thread.submit(next, tables, None)
            yield table


def _read_header(stream: Any, path: str) -> tuple[list[str], str, bytes]:
    """Return the names of the columns, the delimiter, and the bytes read beyond them."""
    text = b""
    while True:
        block = stream.read(_HEADER_BLOCK_BYTES)
        text = (text + block).removeprefix(_UTF8_MARK)
        if b"\0" in block:
            raise InputError(f"{path}: is UTF-16 or binary, not text; save it as UTF-8")
        lines = text.split(b"\n")
        whole = lines[:-1] if block else lines  # the last line may continue in the next block
        place = next((i for i, line in enumerate(whole) if line.strip() and not line.startswith(b"#")), None)
        if place is not None:
            break
        if not block:
            raise InputError(f"{path}: is empty, or holds nothing but comments")
        if len(text) > _LONGEST_BYTES:
            raise InputError(f"{path}: no line of column names in its first 16 MB")
    separator = ","
    if lines[0].startswith(b"# %ECSV"):
        # The ECSV standard (astropy APE 6): a blank, unless the header specifies a comma.
        written = re.search(rb"delimiter: ['\"]([ ,])['\"]", b"\n".join(lines[:place]))
        separator = written[1].decode() if written else " "
    names = [name.strip() for name in lines[place].decode("utf-8", "replace").replace('"', "").split(separator)]
    return names, separator, b"\n".join(lines[place + 1 :])


def _whole_lines(stream: Any, path: str, rest: bytes) -> Iterator[memoryview]:
    """Yield blocks of whole lines, each valid until the next is requested: one buffer serves the whole file."""
    buffer = bytearray(rest) + bytearray(_BLOCK_BYTES)
    kept = len(rest)
    while read := stream.readinto(memoryview(buffer)[kept:]):
        filled = kept + read
        cut = buffer.rfind(b"\n", 0, filled) + 1
        if cut:
            yield memoryview(buffer)[:cut]
        elif filled > _LONGEST_BYTES:
            raise InputError(f"{path}: has a line of more than 16 MB, which cannot be a star's")
        elif filled == len(buffer):
            buffer = buffer + bytearray(_BLOCK_BYTES)
        kept = filled - cut
        buffer[:kept] = buffer[cut:filled]
    if bytes(buffer[:kept]).strip():
        yield memoryview(buffer)[:kept]
