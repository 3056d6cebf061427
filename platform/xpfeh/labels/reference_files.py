"""Files of reference catalogs: columns in any spelling, cuts applied and counted, limits dropped."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from xpfeh.column_names import LITERATURE, Spellings, plain
from xpfeh.errors import UserError
from xpfeh.files import first_line
from xpfeh.labels.compilation import POSSIBLE_FEH, filter_and_count
from xpfeh.labels.reference_catalogs import PLAIN_LAYOUT, REFERENCES, Reference
from xpfeh.tables.checks import POSITION_RANGES, numbers
from xpfeh.tables.formats import READERS
from xpfeh.tables.reading import read_table

POSSIBLE = {
    **POSITION_RANGES,
    "feh_err": (1e-6, 5.0),
    "logg": (-2.0, 10.0),
    "teff": (1000.0, 300_000.0),
    "alpha_m": (-3.0, 3.0),
    "c_fe": (-5.0, 8.0),
}
"""Possible values of a star (degrees, dex, K). Outside are values written for unknown: -9999, -9.999, 99.99,
an error of 0."""
_SPELLINGS = {name: LITERATURE[name] for name in ("source_id", "ra", "dec", "feh_err")}
"""Further names of columns. [Fe/H] has none: a catalog may have several, only one of them recommended."""
_LIMIT = "^[<>≤≥]"
_IS_LIMIT, BEST = "_is_limit", "_best"


def files_of(path: Path) -> list[Path]:
    """Return the file, or the tables in a folder, in the order of their names.

    Raises
    ------
    UserError
        If there is no such file or folder, or the folder has no tables.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]
    if files := sorted(file for file in path.iterdir() if _suffix(file) in READERS):
        return files
    raise UserError(f"{path}: the folder holds no table; these can be read: {', '.join(READERS)}")


def _suffix(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def read_file(reference: Reference, path: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the rows with [Fe/H] and an identifier or a position, in our columns, and the number after each step."""
    rows = _read_published(reference, path)
    counts = {"rows": rows.height}
    for cut in reference.cuts:
        try:
            rows, left = filter_and_count(rows, {cut.text: cut.passes})
        except pl.exceptions.PolarsError as error:
            raise UserError(f"{path}: the cut '{cut.text}' does not fit its column ({first_line(error)})") from None
        counts |= left
    known = {ours: _roots([column]) for ours, column in reference.columns.items()}
    columns = [reference.columns[ours].alias(ours) for ours, roots in known.items() if roots <= {*rows.columns}]
    if reference.best in rows.columns:
        columns.append(pl.col(reference.best).alias(BEST))
    rows = rows.select(_IS_LIMIT, *columns).with_columns(
        pl.when(pl.col(name).is_between(*POSSIBLE[name])).then(pl.col(name))
        for name in (POSSIBLE.keys() & {column.meta.output_name() for column in columns})
    )
    ways = [way for way in (["source_id"], ["ra", "dec"]) if {*way} <= {*rows.columns}]
    if not ways:
        raise UserError(f"{path}: no column source_id, nor ra and dec; {_layout_of(reference)}")
    steps = {
        "with [Fe/H]": pl.col("feh").is_not_null() | pl.col(_IS_LIMIT),
        "[Fe/H] not a limit": ~pl.col(_IS_LIMIT),
        **POSSIBLE_FEH,
        "with an identifier or a position": pl.any_horizontal(
            pl.all_horizontal(pl.col(way).is_not_null()) for way in ways
        ),
    }
    rows, left = filter_and_count(rows, steps)
    return rows.drop(_IS_LIMIT), counts | left


def _roots(expressions: Iterable[pl.Expr]) -> set[str]:
    return {root for expression in expressions for root in expression.meta.root_names()}


def _layout_of(reference: Reference) -> str:
    if reference.name in REFERENCES:
        return f"{reference.name} is read as published: {reference.download}"
    return f"{reference.name} is not one of {', '.join(REFERENCES)}, so it needs {PLAIN_LAYOUT}"


def _read_published(reference: Reference, path: Path) -> pl.DataFrame:
    """Read the published columns that are needed: numbers for values, without the cells that are limits."""
    values = {root: ours for ours, column in reference.columns.items() for root in column.meta.root_names()}
    cuts = _roots(cut.passes for cut in reference.cuts)
    wanted = {root: (plain(root), *_SPELLINGS.get(ours, ())) for root, ours in values.items()}
    wanted |= {f"l_{root}": (f"l{plain(root)}",) for root in values}  # VizieR's name for the column of a limit's sign
    wanted |= {name: (plain(name),) for name in {*cuts, *filter(None, [reference.best])} - values.keys()}
    table = read_table(path, Spellings((name for names in wanted.values() for name in names), plain))
    there = {plain(column): column for column in reversed(table.columns)}
    found = {name: there[next(n for n in names if n in there)] for name, names in wanted.items() if {*names} & {*there}}
    if missing := sorted((_roots([reference.columns["feh"]]) | cuts) - found.keys()):
        raise UserError(f"{path}: no column {' and '.join(missing)}; {_layout_of(reference)}")
    table = table.select(pl.col(column).alias(name) for name, column in found.items())
    limits = {name: _limits(table, name) for name in found if name in values}
    is_limit = pl.any_horizontal(limits[root] for root in _roots([reference.columns["feh"]]))
    table = table.with_columns(
        is_limit.alias(_IS_LIMIT), *(pl.when(~limit).then(name) for name, limit in limits.items())
    )
    return table.with_columns(
        _identifiers(table[name], path) if ours == "source_id" else numbers(table, name, path)
        for name, ours in values.items()
        if name in found
    ).with_columns(_numbers_if_all_are(table[name]) for name in found if name not in values)


def _limits(table: pl.DataFrame, name: str) -> pl.Expr:
    signs = [pl.col(f"l_{name}").is_not_null()] if f"l_{name}" in table.columns else []
    if table[name].dtype == pl.String:
        signs.append(pl.col(name).str.contains(_LIMIT).fill_null(False))
    return pl.any_horizontal(pl.lit(False), *signs)


def _identifiers(ids: pl.Series, path: Path) -> pl.Series:
    """Return identifiers as int64, null where unknown: empty, 0 or negative."""
    if not (ids.dtype.is_integer() or ids.dtype in (pl.String, pl.Null)):
        raise UserError(f"{path}: {ids.name} is {ids.dtype}; write 64-bit integers, a float loses digits")
    integers = ids.cast(pl.Int64, strict=False)
    if len(wrong := (ids.is_not_null() & integers.is_null()).arg_true()):
        raise UserError(
            f"{path}: {ids.name} of row {wrong[0]} is {ids[wrong[0]]!r}; write 64-bit integers, a float loses digits"
        )
    return integers.set(integers <= 0, None)


def _numbers_if_all_are(column: pl.Series) -> pl.Series:
    """Return flags of text files as numbers, unless they are words."""
    if column.dtype != pl.String:
        return column
    values = column.cast(pl.Float64, strict=False)
    return values if values.null_count() == column.null_count() else column
