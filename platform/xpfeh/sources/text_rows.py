"""From lines of Gaia's text to identifiers and lists of numbers: 3,190 per star, where the time of reading goes."""

from __future__ import annotations

import io
import re

import polars as pl
import pyarrow as pa

from xpfeh.tables.lists import ListColumn

_LIST_STARTS, _LIST_ENDS = (b"[", b"("), (b"]", b")")
_QUOTED = rb'"(?:[^"]++|"")*+"?'
_UNQUOTED_LIST = rb"[\[(][^\[\]()\"]*[\])]"


def parse_rows(
    text: bytes | memoryview, separator: str, names: list[str], list_columns: tuple[str, ...], ids_only: bool = False
) -> pa.Table:
    """Return the identifiers (int64) and the lists (float64) of whole lines.

    Parameters
    ----------
    text : bytes or memoryview
        Lines, without the line of names.
    separator : str
        One character.
    names : list of str
        The names of the fields.
    list_columns : tuple of str
        The fields with lists, ``[a,b,...]`` or ``(a, b, ...)``.
    ids_only : bool
        Whether to return ``source_id`` alone.

    Returns
    -------
    pyarrow.Table
        A row per line that is not blank. A value that is not a number becomes null, a missing list an empty one.

    Examples
    --------
    >>> parse_rows(b'17,"(1.0, 2.5)"', ",", ["source_id", "flux"], ("flux",)).to_pylist()
    [{'source_id': 17, 'flux': [1.0, 2.5]}]
    """
    places = {name: names.index(name) for name in ("source_id", *list_columns) if name in names}
    lists = {places[name] for name in list_columns if name in places}
    columns = {} if ids_only else {name: ListColumn() for name in list_columns}
    ids = []
    for line in io.BytesIO(text):  # one by one: a line's copies stay in the core's cache
        if not (line := line.rstrip(b"\r\n")):
            continue
        fields = dict(enumerate(_fields(line, separator.encode(), lists)))
        ids.append(fields.get(places["source_id"], b"").decode("utf-8", "replace"))
        for name, column in columns.items():
            column.append(fields.get(places.get(name, -1)))
    source_ids = pl.Series(ids, dtype=pl.String).cast(pl.Int64, strict=False).to_arrow()
    return pa.table({"source_id": source_ids, **{name: column.to_arrow() for name, column in columns.items()}})


def _fields(line: bytes, separator: bytes, lists: set[int]) -> list[bytes]:
    """Return the fields of a line; those numbered in `lists` may be lists without quotes."""
    parts = line.split(b'"')
    quoted = iter(parts[1::2])
    # In what is outside of quotes, one quote marks the place of each quoted field: it must be a field of its own.
    fields = b'"'.join(parts[::2]).split(separator)
    if len(parts) % 2 and not any(map(_is_doubtful, fields)):
        return [next(quoted) if field == b'"' else field for field in fields]
    return _careful_fields(line, separator, lists)


def _is_doubtful(field: bytes) -> bool:
    """Return whether a field has quotes within, or is the beginning of a list cut at a comma."""
    return (b'"' in field and field != b'"') or (field[:1] in _LIST_STARTS and field[-1:] not in _LIST_ENDS)


def _careful_fields(line: bytes, separator: bytes, lists: set[int]) -> list[bytes]:
    """Return the fields of any line, broken ones too, by a regular expression for each field, which is slower."""
    rest = b"[^%s]*" % re.escape(separator)
    fields: list[bytes] = []
    start = 0
    while start <= len(line):
        list_here = _UNQUOTED_LIST if len(fields) in lists else b""
        found = re.compile(b"(?:%s|%s|)%s" % (_QUOTED, list_here, rest)).match(line, start)
        assert found is not None  # it matches no characters, too
        field = found[0]
        whole = field[:1] == b'"' and field[-1:] == b'"'
        fields.append(field[1:-1].replace(b'""', b'"') if whole else field)
        start = found.end() + 1
    return fields
