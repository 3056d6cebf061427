"""Compilations of the literature: tables under many column names read, several rows a star merged to one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from astropy.coordinates import Angle
from astropy.io.votable import parse_single_table
from astropy.table import Table
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from xpfeh.errors import UserError
from xpfeh.labels.crossmatch import Match, unit_vectors

Merge = Literal["median", "latest"]

FEH_RANGE = (-6.0, 1.5)
"""What `xpfeh.labels.label_table.read_labels` accepts, dex."""
SAME_STAR_ARCSEC = 1.0
"""Rows so close are one star. In PASTEL no two stars are closer than 2.07 arcsec."""

ALIASES = {
    "ra": ("ra", "raj2000", "radeg", "raicrs", "ra2000"),
    "dec": ("dec", "decl", "de", "dej2000", "decj2000", "dedeg", "decdeg", "deicrs", "decicrs", "dec2000"),
    "feh": ("feh",),
    "logg": ("logg",),
    "name": ("object", "name", "id", "star", "mainid", "objectname"),
    "bibcode": ("bibcode", "bibref"),
    "year": ("year", "pubyear"),
    "limit": ("lfeh", "ulfeh", "limitfeh", "flagfeh"),
}
"""How tables call the columns, in small letters and digits only: [Fe/H], __Fe_H_ and FEH are all ``feh``."""
_MISSING = ["", "-", "--", "---", "...", "nan", "NaN", "null", "None", "N/A", "NA"]


@dataclass(frozen=True)
class Compilation:
    """Stars of a compilation of the literature.

    Attributes
    ----------
    stars : polars.DataFrame
        One row a star: ``name`` (null where the table has none), ``ra``, ``dec`` (degrees), ``feh``, ``feh_err``
        (standard deviation of the merged rows, null where there is one), ``logg`` (null where unknown), ``n_rows``
        (merged).
    counts : dict
        Rows left after each step, by name, and at last the stars.
    """

    stars: pl.DataFrame
    counts: dict[str, int]


def to_labels(stars: pl.DataFrame, match: Match, source_id: NDArray[np.int64]) -> pl.DataFrame:
    """Return the matched stars as a table of labels.

    Parameters
    ----------
    stars : polars.DataFrame
        `Compilation.stars`, whose ``ra``, ``dec`` were matched.
    match : Match
    source_id : (K,) int64
        Of the Gaia stars that were matched.

    Returns
    -------
    polars.DataFrame
        ``source_id``, then the columns of ``stars``. Written as Parquet or CSV,
        `xpfeh.labels.label_table.read_labels` reads it.
    """
    matched = pl.Series("source_id", np.asarray(source_id)[match.in_gaia], pl.Int64)
    return stars[match.in_catalog].insert_column(0, matched)


def read_rows(path: str | Path) -> pl.DataFrame:
    """Read a table under the names of `ALIASES`; ``ra``, ``dec`` become degrees, all else stays text.

    A column that the table lacks is null, but position and [Fe/H] must be there.
    """
    table = _read_table(Path(path))
    plain = {re.sub("[^a-z0-9]", "", name.lower()): name for name in reversed(table.columns)}
    found = {name: next((plain[a] for a in aliases if a in plain), None) for name, aliases in ALIASES.items()}
    needed = {"ra": "RA", "dec": "Dec", "feh": "[Fe/H]"}
    if missing := [told for name, told in needed.items() if found[name] is None]:
        raise UserError(
            f"{path}: no column for {' and '.join(missing)}; a compilation needs RA, Dec and [Fe/H], "
            f"this has: {', '.join(table.columns[:30])}"
        )
    text = {name: pl.lit(None, pl.String) if column is None else pl.col(column) for name, column in found.items()}
    rows = table.select(
        expression.cast(pl.String)
        .str.strip_chars()
        .str.replace("^[−–]", "-")
        .str.replace(r"^\+", "")
        .replace(_MISSING, None)
        .alias(name)
        for name, expression in text.items()
    )
    return rows.with_columns(_degrees(rows["ra"], "hourangle", path), _degrees(rows["dec"], "deg", path))


def number(column: pl.Series, path: str | Path) -> pl.Series:
    """Return a column of text as float64; null and NaN become null, and what is no number is refused."""
    values = column.cast(pl.Float64, strict=False)
    if (wrong := column.is_not_null() & values.is_null()).any():
        row = wrong.arg_true()[0]
        raise UserError(f"{path}: {column.name} of row {row} is '{column[row]}', which is no number; mend the row")
    return values.fill_nan(None)


def keep(rows: pl.DataFrame, counts: dict[str, int], step: str, passes: pl.Expr) -> pl.DataFrame:
    """Return the rows that pass, and count them in ``counts`` under the step's name."""
    rows = rows.filter(passes)
    counts[step] = rows.height
    return rows


def merged(rows: pl.DataFrame, counts: dict[str, int], merge: Merge = "median") -> Compilation:
    """Merge rows to stars, in the order of their first rows; a star keeps the position of its first row."""
    rows = rows.with_columns(pl.Series("of", _star_of(rows), pl.Int64))
    if merge == "latest":
        rows = rows.filter(pl.col("year").fill_null(0) == pl.col("year").fill_null(0).max().over("of"))
    stars = (
        rows.group_by("of", maintain_order=True)
        .agg(
            pl.first("name", "ra", "dec"),
            pl.median("feh"),
            pl.std("feh").alias("feh_err"),
            pl.median("logg"),
            pl.len().cast(pl.Int64).alias("n_rows"),
        )
        .drop("of")
    )
    return Compilation(stars, {**counts, "stars": stars.height})


def _star_of(rows: pl.DataFrame) -> NDArray[np.int32]:
    """Number of the star of each row: rows of one name are one star, and rows within `SAME_STAR_ARCSEC`."""
    if not rows.height:
        return np.empty(0, np.int32)
    chord = np.radians(SAME_STAR_ARCSEC / 3600)
    near = KDTree(unit_vectors(rows["ra"].to_numpy(), rows["dec"].to_numpy())).query_pairs(chord, output_type="ndarray")
    index, of_name = pl.col("index").cast(pl.Int64), pl.col("index").cast(pl.Int64).first().over("name")
    first = rows.with_row_index().select(pl.when(pl.col("name").is_null()).then(index).otherwise(of_name)).to_series()
    one, other = np.concatenate([near, np.column_stack([np.arange(rows.height), first.to_numpy()])]).T
    links = coo_array((np.ones(one.size, np.int8), (one, other)), shape=(rows.height, rows.height))
    return connected_components(links, directed=False)[1]


def _read_table(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        match path.suffix.lower():
            case ".fits" | ".fit":
                return _from_astropy(Table.read(path, format="fits"))
            case ".vot" | ".votable" | ".xml":
                return _from_astropy(parse_single_table(path).to_table(use_names_over_ids=True))
            case ".csv" | ".tsv" | ".txt" | ".tab" | ".dat":
                return _read_text(path)
    except (OSError, ValueError, IndexError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read as a table ({_first_line(error)})") from None
    raise UserError(f"{path}: read are .fits, .vot, .xml, .csv, .tsv and .txt")


def _from_astropy(table: Table) -> pl.DataFrame:
    """The columns of one value a row; masked values become null."""
    table.convert_bytestring_to_unicode()
    columns = {}
    for name in table.colnames:
        if table[name].ndim == 1:
            values = np.ma.asarray(table[name])
            native = values.data.astype(str if values.dtype.kind in "OU" else values.dtype.newbyteorder("="))
            columns[name] = pl.Series(native).set(pl.Series(np.ma.getmaskarray(values)), None)
    return pl.DataFrame(columns)


def _read_text(path: Path) -> pl.DataFrame:
    """Text as VizieR or SAGA exports it: comments, perhaps lines of units and dashes, UTF-8 or Latin-1."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    separator = max("\t,;|", key=lines[0].count) if lines else ","
    for ruler in range(1, min(3, len(lines))):
        if re.fullmatch(rf"-+(\s*[{separator}]\s*-+)*\s*", lines[ruler]):
            del lines[1 : ruler + 1]
            break
    table = pl.read_csv(
        BytesIO("\n".join(lines).encode()), separator=separator, infer_schema=False, truncate_ragged_lines=True
    )
    return table.rename({name: name.strip().strip('"') for name in table.columns})


def _degrees(column: pl.Series, sexagesimal_unit: str, path: str | Path) -> pl.Series:
    values = column.cast(pl.Float64, strict=False).fill_nan(None)
    sexagesimal = (column.is_not_null() & values.is_null()).arg_true()
    if len(sexagesimal):
        try:
            parsed = Angle(column[sexagesimal].to_numpy().astype(str), unit=sexagesimal_unit).degree
        except ValueError as error:
            raise UserError(
                f"{path}: a {column.name} is neither degrees nor sexagesimal ({_first_line(error)})"
            ) from None
        values = values.scatter(sexagesimal, parsed)
    low, high = (-90.0, 90.0) if column.name == "dec" else (0.0, 360.0)
    if len(wrong := (~values.is_between(low, high)).fill_null(False).arg_true()):
        row = wrong[0]
        raise UserError(f"{path}: {column.name} of row {row} is {values[row]} deg, outside {low:g} to {high:g}")
    return values


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
