"""Reference catalogs read in their published layouts, and found among Gaia's stars."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from numpy.typing import ArrayLike

from xpfeh.errors import UserError
from xpfeh.files import first_line, local_path
from xpfeh.labels.compilation import ALIASES, SAME_STAR_ARCSEC, filter_and_count, to_labels
from xpfeh.labels.crossmatch import crossmatch, pairs_within
from xpfeh.labels.label_table import FEH_RANGE
from xpfeh.labels.reference_catalogs import REFERENCES, Reference
from xpfeh.sources.releases import RELEASES
from xpfeh.table_formats import READERS
from xpfeh.tables import POSITION_RANGES, numbers, read_table, with_source_id

POSSIBLE = {
    **POSITION_RANGES,
    "feh_err": (1e-6, 5.0),
    "logg": (-2.0, 10.0),
    "teff": (1000.0, 300_000.0),
    "alpha_m": (-3.0, 3.0),
    "c_fe": (-5.0, 8.0),
}
"""What a star can have (degrees, dex, K). Outside lie what catalogs write for unknown: -9999, -9.999, 99.99, an error
of 0."""
SPELLINGS = {
    "source_id": ("sourceid", "gaiadr3", "gaiaedr3", "gaiadr3sourceid", "source"),
    "ra": ALIASES["ra"],
    "dec": ALIASES["dec"],
    "feh_err": ("efeh",),
}
"""What a column may also be called, VizieR's names above all, in small letters and digits only."""
_HDF5 = (".h5", ".hdf5")
_LIMIT = "^[<>≤≥]"
_IS_LIMIT, _BEST, _ROW, _PLACE = "_is_limit", "_best", "_row", "_place"


@dataclass(frozen=True)
class ReferenceStars:
    """Stars of a reference catalog that passed its cuts.

    Attributes
    ----------
    reference : Reference
    stars : polars.DataFrame
        One row a star, of these columns those that the file has: ``source_id`` (int64, null where unknown), ``ra``,
        ``dec`` (degrees), ``feh``, ``feh_err``, ``logg``, ``teff`` (K), ``alpha_m``, ``c_fe`` (dex), null where
        unknown; of a compilation those of `xpfeh.labels.compilation.Compilation`.
    counts : dict
        Rows left after each step, by its text, and at last the stars.
    """

    reference: Reference
    stars: pl.DataFrame
    counts: dict[str, int]


def reference_named(name: str) -> Reference:
    """Return the catalog of a name.

    Raises
    ------
    UserError
        If there is none.

    Examples
    --------
    >>> reference_named("galah").title
    'GALAH DR4 (Buder et al. 2025)'
    """
    if name not in REFERENCES:
        raise UserError(f"no reference catalog is called {name!r}; there are: {', '.join(REFERENCES)}")
    return REFERENCES[name]


def what_to_download(name: str) -> str:
    """Return which file a catalog is, from where, and what its columns hold: three lines.

    Raises
    ------
    UserError
        If no catalog has this name.

    Examples
    --------
    >>> print(what_to_download("pastel"))
    PASTEL (Soubiran et al. 2016)
    Download: VizieR B/pastel, table pastel, with RAJ2000, DEJ2000, [Fe/H], logg and bibcode
    Layout: High-resolution literature, several rows a star: their median, of papers after 1986.
    """
    reference = reference_named(name)
    return f"{reference.title}\nDownload: {reference.download}\nLayout: {reference.layout}"


def read_reference(name: str, path: str | Path) -> ReferenceStars:
    """Read a reference catalog, apply its recommended cuts, and keep one row a star.

    Of several rows of a star that with the highest `Reference.best` is kept, or else the smallest error, or else the
    first. A [Fe/H] that is a limit is left out; of other columns a limit is null.

    Parameters
    ----------
    name : str
        Of `xpfeh.labels.reference_catalogs.REFERENCES`.
    path : str or Path
        A local file in a format of `xpfeh.tables.read_table` or HDF5, or a folder of such files.

    Raises
    ------
    UserError
        If there is no such catalog, a file cannot be read or lacks a column, a cell that must be a number is none, a
        source_id is a float, or no star is left.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "made_up.csv")
    ...     _ = path.write_text("source_id,feh,c_fe\\n4295806720,-2.5,<0.7\\n34361129088,-9999,\\n")
    ...     found = read_reference("hong2024", path)
    >>> found.stars.rows(named=True)
    [{'source_id': 4295806720, 'feh': -2.5, 'c_fe': None}]
    >>> list(found.counts.values())
    [2, 2, 2, 1, 1, 1]
    """
    reference = reference_named(name)
    if reference.read_compilation:
        compilation = reference.read_compilation(path)
        stars, counts = compilation.stars, dict(compilation.counts)
    else:
        parts, counts = [], {}
        for file in _files(local_path(path)):
            part, counts_of_file = _read_file(reference, file)
            parts.append(part)
            counts = {step: counts.get(step, 0) + left for step, left in counts_of_file.items()}
        stars = _one_row_a_star(pl.concat(parts, how="diagonal_relaxed"))
        counts["stars"] = stars.height
    if not stars.height:
        left = ", ".join(f"{step}: {rows}" for step, rows in counts.items())
        raise UserError(f"{path}: no star of {name} is left ({left}); is it the whole file?")
    return ReferenceStars(reference, stars, counts)


def match_to_gaia(
    found: ReferenceStars,
    gaia: pl.DataFrame | Mapping[str, ArrayLike],
    release: str = "dr3",
    radius_arcsec: float = 2.0,
) -> pl.DataFrame:
    """Return the catalog's stars that are among Gaia stars: by identifier, and where it has none by position.

    Parameters
    ----------
    found : ReferenceStars
    gaia : polars.DataFrame or mapping of (K,) arrays
        ``source_id`` and, to match by position, what `xpfeh.labels.crossmatch.crossmatch` takes: ``ra``, ``dec``
        (degrees) and perhaps ``pmra``, ``pmdec`` (mas/yr), ``ref_epoch``.
    release : {"dr3", "dr4"}
        Of the Gaia stars. Identifiers of another release say nothing: all are matched by position then.
    radius_arcsec : float

    Returns
    -------
    polars.DataFrame
        ``source_id`` of Gaia's star, each once and ascending, then the catalog's columns.

    Raises
    ------
    UserError
        If stars have to be matched by position and either side has none, or a source_id of Gaia is no integer or
        stands there twice.

    Examples
    --------
    >>> stars = pl.DataFrame({"source_id": [7, None], "ra": [1.0, 2.0], "dec": [0.0, 0.0], "feh": [-1.0, -2.0]})
    >>> found = ReferenceStars(reference_named("galah"), stars, {})
    >>> match_to_gaia(found, {"source_id": [9, 7], "ra": [2.0, 1.0], "dec": [0.0, 0.0]})["source_id", "feh"].rows()
    [(7, -1.0), (9, -2.0)]
    """
    stars, reference = found.stars, found.reference
    frame = with_source_id(pl.DataFrame(gaia), "Gaia stars")
    matched = []
    if "source_id" in stars.columns and reference.identifier == release:
        matched.append(stars.filter(pl.col("source_id").is_in(frame["source_id"].implode())))
        frame = frame.filter(~pl.col("source_id").is_in(matched[0]["source_id"].implode()))
        stars = stars.filter(pl.col("source_id").is_null())
    if stars.height:
        if not {"ra", "dec"} <= {*stars.columns}:
            raise UserError(
                f"{reference.name}: no positions, and identifiers of Gaia {reference.identifier.upper()} do not match "
                f"stars of {release.upper()}; add the columns ra and dec to the catalog"
            )
        columns = {name: frame[name].to_numpy() for name in frame.columns}
        positions = stars["ra"].to_numpy(), stars["dec"].to_numpy()
        match = crossmatch(*positions, columns, radius_arcsec, reference.epoch, RELEASES[release].ref_epoch)
        matched.append(to_labels(stars.drop("source_id", strict=False), match, columns["source_id"]))
    return pl.concat(matched, how="diagonal").select("source_id", pl.exclude("source_id")).sort("source_id")


# --- files --------------------------------------------------------------------------------------------------------


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]
    if files := sorted(file for file in path.iterdir() if _suffix(file) in (*READERS, *_HDF5)):
        return files
    raise UserError(f"{path}: the folder holds no table; these can be read: {', '.join((*READERS, *_HDF5))}")


def _suffix(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _read_file(reference: Reference, path: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    """Rows with [Fe/H] and an identifier or a position, in our columns, and how many each step left."""
    rows = _read_published(reference, path)
    counts = {"rows": rows.height}
    for cut in reference.cuts:
        try:
            rows = filter_and_count(rows, counts, cut.text, cut.passes)
        except pl.exceptions.PolarsError as error:
            raise UserError(f"{path}: the cut '{cut.text}' does not fit its column ({first_line(error)})") from None
    known = {ours: _roots([column]) for ours, column in reference.columns.items()}
    columns = [reference.columns[ours].alias(ours) for ours, roots in known.items() if roots <= {*rows.columns}]
    if reference.best in rows.columns:
        columns.append(pl.col(reference.best).alias(_BEST))
    rows = rows.select(_IS_LIMIT, *columns).with_columns(
        pl.when(pl.col(name).is_between(*POSSIBLE[name])).then(pl.col(name))
        for name in (POSSIBLE.keys() & {column.meta.output_name() for column in columns})
    )
    rows = filter_and_count(rows, counts, "with [Fe/H]", pl.col("feh").is_not_null() | pl.col(_IS_LIMIT))
    rows = filter_and_count(rows, counts, "[Fe/H] not a limit", ~pl.col(_IS_LIMIT)).drop(_IS_LIMIT)
    within = pl.col("feh").is_between(*FEH_RANGE)
    rows = filter_and_count(rows, counts, "[Fe/H] within {} to {}".format(*FEH_RANGE), within)
    ways = [way for way in (["source_id"], ["ra", "dec"]) if {*way} <= {*rows.columns}]
    if not ways:
        raise UserError(f"{path}: no column source_id, nor ra and dec; {_layout_of(reference)}")
    one_known = pl.any_horizontal(pl.all_horizontal(pl.col(way).is_not_null()) for way in ways)
    return filter_and_count(rows, counts, "with an identifier or a position", one_known), counts


def _roots(expressions: Iterable[pl.Expr]) -> set[str]:
    return {root for expression in expressions for root in expression.meta.root_names()}


def _layout_of(reference: Reference) -> str:
    return f"{reference.name} is read as published: {reference.download}"


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


class _Names(frozenset[str]):
    """Plain names; a column is among them however it is spelt."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(_plain(str(name)))


def _read_published(reference: Reference, path: Path) -> pl.DataFrame:
    """Read the published columns of use: numbers where values come from, without the cells that are limits."""
    values = {root: ours for ours, column in reference.columns.items() for root in column.meta.root_names()}
    cuts = _roots(cut.passes for cut in reference.cuts)
    spelt = {root: (_plain(root), *SPELLINGS.get(ours, ())) for root, ours in values.items()}
    spelt |= {f"l_{root}": (f"l{_plain(root)}",) for root in values}  # so VizieR calls the column of a limit's sign
    spelt |= {name: (_plain(name),) for name in {*cuts, *filter(None, [reference.best])} - values.keys()}
    read = _read_hdf5 if _suffix(path) in _HDF5 else read_table
    table = read(path, _Names(name for names in spelt.values() for name in names))
    there = {_plain(column): column for column in reversed(table.columns)}
    found = {name: there[next(n for n in names if n in there)] for name, names in spelt.items() if {*names} & {*there}}
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
    """Identifiers as int64, null where there is none: empty, 0 or negative."""
    if not (ids.dtype.is_integer() or ids.dtype in (pl.String, pl.Null)):
        raise UserError(f"{path}: {ids.name} is {ids.dtype}; write 64-bit integers, a float loses digits")
    integers = ids.cast(pl.Int64, strict=False)
    if len(wrong := (ids.is_not_null() & integers.is_null()).arg_true()):
        raise UserError(
            f"{path}: {ids.name} of row {wrong[0]} is {ids[wrong[0]]!r}; write 64-bit integers, a float loses digits"
        )
    return integers.set(integers <= 0, None)


def _numbers_if_all_are(column: pl.Series) -> pl.Series:
    """Flags of text files as numbers, unless they are words."""
    if column.dtype != pl.String:
        return column
    values = column.cast(pl.Float64, strict=False)
    return values if values.null_count() == column.null_count() else column


def _read_hdf5(path: Path, wanted: _Names) -> pl.DataFrame:
    """Datasets of one value a row, and those of several as ``name_0``, ``name_1`` and so on."""
    import h5py

    columns = {}
    try:
        with h5py.File(path) as file:
            for name, dataset in file.items():
                if dataset.ndim == 1 and name in wanted:
                    columns[name] = dataset[:]
                elif dataset.ndim == 2:
                    several = {f"{name}_{i}": i for i in range(dataset.shape[1]) if f"{name}_{i}" in wanted}
                    columns |= {column: dataset[:, i] for column, i in several.items()}
    except (OSError, AttributeError) as error:  # no HDF5, or one of groups
        raise UserError(f"{path}: cannot be read as a table ({first_line(error)})") from None
    return pl.DataFrame(columns)


def _one_row_a_star(rows: pl.DataFrame) -> pl.DataFrame:
    """The best row of each star, in the order of the file: one an identifier; of the rest, rows so close are one."""
    keys = [key for key in (_BEST, "feh_err") if key in rows.columns]
    rows = rows.with_row_index(_ROW)
    if keys:
        rows = rows.sort(keys, descending=[key == _BEST for key in keys], nulls_last=True, maintain_order=True)
    identified = pl.col("source_id").is_not_null() if "source_id" in rows.columns else pl.lit(False)
    stars, others = rows.filter(identified), rows.filter(~identified)
    if stars.height:
        stars = stars.unique("source_id", keep="first", maintain_order=True)
    if others.height:
        positions = others["ra"].to_numpy(), others["dec"].to_numpy()
        row, row2, _ = pairs_within(*positions, *positions, SAME_STAR_ARCSEC)
        others = others.with_row_index(_PLACE).filter(~pl.col(_PLACE).is_in(row2[row2 > row].tolist())).drop(_PLACE)
    return pl.concat([stars, others]).sort(_ROW).drop(_ROW, _BEST, strict=False)
