"""The literature's [Fe/H]: its tables, and the rule `literature`, by which it replaces a survey's labels below -2.0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from xpfeh.errors import UserError
from xpfeh.labels.label_table import FEH_RANGE
from xpfeh.tables.checks import columns_of, numbers, truths, with_source_id
from xpfeh.tables.reading import read_table

METAL_POOR = Path(__file__).parent / "data" / "metal_poor.csv"
"""Of 70 stars of the packaged library of spectra; made by `tests/labels/making_metal_poor.py`."""

MAX_LITERATURE_FEH = -2.0
"""Below it the literature wins: APOGEE's grid of model spectra stops at -2.5, and values near its edge are too high."""
COPIED_DEX = 0.005
"""Values of a star closer than this are one: compilations copy each other, and print two decimals, rarely three."""
ZERO_POINT_STARS, ZERO_POINT_SIGMAS = 5, 2.0
"""A reference is shifted if at least 5 stars in common show an offset beyond 2 standard errors."""
SINGLE_ERROR, MIN_ERROR = 0.15, 0.10
"""Error of a star's only value, and the minimum for all, dex. Independent values of the nine packaged stars that have
several scatter by 0.155 dex; a few values may agree by chance, hence the minimum."""
CARBON_RICH_ERROR = 0.30
"""Minimum error of a carbon-rich star, dex: its bands distort the blue, where models came out 0.5 dex too high."""
SURVEY_ERROR, SURVEY_RAMP = 0.25, (-1.8, -2.2)
"""Error added to a survey's label, dex, rising from none to all of it between these [Fe/H]: the rms of APOGEE minus
literature of the 41 packaged stars below APOGEE's -2.0 is 0.24. No shift: the stars in common were selected as
metal-poor."""

_PARAMETERS = ("logg", "teff", "alpha_m")
_MEASURED = ("feh", "feh_err", *_PARAMETERS)
_LITERATURE = {
    "source_id": pl.Int64, "feh": pl.Float64, "feh_err": pl.Float64, **dict.fromkeys(_PARAMETERS, pl.Float64),
    "carbon_rich": pl.Boolean, "limit": pl.String, "reference": pl.String,
}  # fmt: skip
_SURVEY = {name: kind for name, kind in _LITERATURE.items() if name not in ("carbon_rich", "limit")}


@dataclass(frozen=True)
class Merged:
    """Labels by the rule `literature`.

    Attributes
    ----------
    labels : polars.DataFrame
        One row per star, by ``source_id``: ``feh``, ``feh_err``, ``logg``, ``teff``, ``alpha_m``, ``carbon_rich``,
        ``reference`` (all of the value, joined by "; ").
    counts : dict
        Rows of the literature, and stars: requested = delivered + rejected.
    zero_points : polars.DataFrame
        ``reference``, ``stars`` in common with others, ``offset`` (mean, reference minus the others, dex),
        ``standard_error``, ``applied``.
    """

    labels: pl.DataFrame
    counts: dict[str, int]
    zero_points: pl.DataFrame


def read_literature(path: str | Path) -> pl.DataFrame:
    """Read a table for `merge`: ``source_id``, ``feh``, any number of rows per star.

    Parameters
    ----------
    path : str or Path
        Optional columns are ``reference``, ``feh_err``, ``logg``, ``teff``, ``alpha_m``, ``limit`` and ``carbon_rich``.
        Rows without a reference get the file's name.

    Raises
    ------
    UserError
        If it cannot be read, is empty, lacks ``source_id`` or ``feh``, or a cell is invalid for its column.

    Examples
    --------
    >>> read_literature(METAL_POOR).columns
    ['source_id', 'feh', 'feh_err', 'carbon_rich', 'reference']
    """
    table = with_source_id(read_table(path), path)
    names = columns_of(table, path, ["feh"], [*_MEASURED, "limit", "carbon_rich", "reference"])
    if not table.height:
        raise UserError(f"{path}: the table is empty")
    columns = [table["source_id"]]
    columns += [numbers(table, names[name], path).alias(name) for name in _MEASURED if name in names]
    if "limit" in names:
        columns.append(table[names["limit"]].cast(pl.String).alias("limit"))
    if "carbon_rich" in names:
        columns.append(truths(table, names["carbon_rich"], path).alias("carbon_rich"))
    given = pl.col(names["reference"]).cast(pl.String) if "reference" in names else pl.lit(None, pl.String)
    return pl.DataFrame(columns).with_columns(
        table.with_columns(given.fill_null(Path(path).stem).alias("reference"))["reference"]
    )


def merge(survey: pl.DataFrame, literature: Sequence[pl.DataFrame]) -> Merged:
    """Merge a survey's labels with rows of the literature.

    Parameters
    ----------
    survey : polars.DataFrame
        Columns of `xpfeh.labels.label_table.Labels`, one row per star. A star without ``feh`` keeps its other columns.
    literature : sequence of polars.DataFrame
        ``source_id``, ``feh``, ``reference``, several rows per star; optionally ``feh_err``, ``logg``, ``teff``,
        ``alpha_m``, ``limit`` ("<" where ``feh`` is an upper limit) and ``carbon_rich``.

    Examples
    --------
    >>> survey = pl.DataFrame({"source_id": [1, 2], "feh": [-2.1, -1.0], "reference": ["APOGEE", "APOGEE"]})
    >>> rows = pl.DataFrame({"source_id": [1, 1, 2], "feh": [-2.75, -2.25, -1.2], "reference": ["a", "b", "a"]})
    >>> merge(survey, [rows]).labels.select("source_id", "feh", "feh_err", "reference").rows()
    [(1, -2.5, 0.25, 'a; b'), (2, -1.0, None, 'APOGEE')]
    """
    rows = pl.concat([_columns(table, _LITERATURE) for table in literature])
    survey = _columns(survey, _SURVEY)
    surveyed = survey.filter(pl.col("feh").is_not_null())
    requested = pl.concat([surveyed["source_id"], rows["source_id"]]).n_unique()
    counts = {"rows of the literature": rows.height}
    for reason, passes in {
        "without [Fe/H]": pl.col("feh").is_not_null(),
        "upper limits": ~pl.col("limit").fill_null("").str.contains("[<>≤≥]"),
        "[Fe/H] outside {:g} to {:g}".format(*FEH_RANGE): pl.col("feh").is_between(*FEH_RANGE),
    }.items():
        counts[f"rejected rows: {reason}"] = rows.height - (rows := rows.filter(passes)).height
    counts["rows that count"] = rows.height

    values = _independent_values(rows)
    zero_points = _zero_points(values)
    stars = _stars(_on_common_scale(values, zero_points), rows)
    labels = _winners(survey, stars)
    with_feh = labels.filter(pl.col("feh").is_not_null())
    by_winner = dict(with_feh.group_by("winner").len().iter_rows())
    delivered = {f"of the {name}": by_winner.get(name, 0) for name in ("literature", "survey")}
    grown = (pl.col("winner") == "survey") & (pl.col("feh") < SURVEY_RAMP[0])
    counts |= {
        "copies that count once": rows.select("source_id", "reference").n_unique() - values.height,
        "stars requested": requested,
        "stars rejected": requested - with_feh.height,
        "stars delivered": with_feh.height,
        **delivered,
        "stars without [Fe/H], kept for their other labels": labels.height - with_feh.height,
        f"of the survey below {SURVEY_RAMP[0]}, error enlarged": labels.filter(grown).height,
        "carbon-rich": int(labels["carbon_rich"].sum()),
    }
    return Merged(labels.drop("winner"), counts, zero_points)


def _columns(table: pl.DataFrame, columns: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    table = table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in columns.items()
    )
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def _independent_values(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each independent value of a star, with the references that have it."""
    by_reference = (
        rows.group_by("source_id", "reference")
        .agg(pl.median("feh"), pl.max("feh_err"))
        .sort("source_id", "feh", "reference")
    )
    # Rounded, because -3.73 and -3.725 as floats differ by slightly more than 0.005.
    new = (pl.col("feh").diff().over("source_id").round(6) > COPIED_DEX).fill_null(True)
    return (
        by_reference.with_columns(new.cum_sum().over("source_id").alias("value"))
        .group_by("source_id", "value", maintain_order=True)
        .agg(pl.mean("feh"), pl.max("feh_err"), "reference")
    )


def _zero_points(values: pl.DataFrame) -> pl.DataFrame:
    of_star = pl.col("feh").sum().over("source_id"), pl.len().over("source_id")
    others = (of_star[0] - pl.col("feh")) / (of_star[1] - 1)
    offsets = values.with_columns(offset=pl.col("feh") - others).filter(of_star[1] > 1).explode("reference")
    offset = pl.col("offset")
    found = offsets.group_by("reference").agg(
        stars=offset.len(), offset=offset.mean(), standard_error=offset.std() / offset.len().sqrt()
    )
    beyond = pl.col("offset").abs() > ZERO_POINT_SIGMAS * pl.col("standard_error")
    return found.with_columns(applied=((pl.col("stars") >= ZERO_POINT_STARS) & beyond).fill_null(False)).sort(
        "reference"
    )


def _on_common_scale(values: pl.DataFrame, zero_points: pl.DataFrame) -> pl.DataFrame:
    """Return the values on the common scale; a value of several references is shifted by their mean."""
    shift = pl.when("applied").then("offset").otherwise(0.0).mean()
    shifts = (
        values.explode("reference")
        .join(zero_points, on="reference", how="left", nulls_equal=True)
        .group_by("source_id", "value")
        .agg(shift.alias("shift"))
    )
    return values.join(shifts, on=["source_id", "value"]).with_columns(pl.col("feh") - pl.col("shift"))


def _stars(values: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    n = pl.len()
    error = pl.when(n == 1).then(pl.col("feh_err").first().fill_null(SINGLE_ERROR)).otherwise(pl.std("feh") / n.sqrt())
    stars = values.group_by("source_id").agg(pl.mean("feh"), feh_err=pl.max_horizontal(error, MIN_ERROR))
    carbon_rich = pl.col("carbon_rich").fill_null(False) | pl.col("reference").str.contains("CEMP").fill_null(False)
    names = pl.col("reference").drop_nulls().str.split("; ").explode().unique().sort().str.join("; ")
    facts = rows.group_by("source_id").agg(pl.median(*_PARAMETERS), carbon_rich.any().alias("carbon_rich"), names)
    return stars.join(facts, on="source_id")


def _winners(survey: pl.DataFrame, stars: pl.DataFrame) -> pl.DataFrame:
    both = survey.join(stars, on="source_id", how="full", coalesce=True, suffix="_literature")
    literature = (pl.col("feh_literature") < MAX_LITERATURE_FEH).fill_null(False) | (
        pl.col("feh").is_null() & pl.col("feh_literature").is_not_null()
    )
    high, low = SURVEY_RAMP
    gained = SURVEY_ERROR * ((high - pl.col("feh")) / (high - low)).clip(0.0, 1.0)
    survey_error = (
        pl.when(gained > 0).then((pl.col("feh_err").fill_null(0.0) ** 2 + gained**2).sqrt()).otherwise("feh_err")
    )
    carbon_rich = pl.col("carbon_rich").fill_null(False)
    error = pl.when(literature).then("feh_err_literature").otherwise(survey_error)
    return (
        both.filter(pl.any_horizontal(pl.col("feh", "feh_literature", *_PARAMETERS).is_not_null()))
        .select(
            "source_id",
            pl.when(literature).then("feh_literature").otherwise("feh").alias("feh"),
            pl.when(carbon_rich).then(pl.max_horizontal(error, CARBON_RICH_ERROR)).otherwise(error).alias("feh_err"),
            *(pl.coalesce(name, f"{name}_literature") for name in _PARAMETERS),
            carbon_rich,
            pl.when(literature).then("reference_literature").otherwise("reference").fill_null("").alias("reference"),
            pl.when(literature).then(pl.lit("literature")).otherwise(pl.lit("survey")).alias("winner"),
        )
        .sort("source_id")
    )
