"""From one data release's identifiers to the next's: equal numbers are not always the same star.

Gaia's archive has a table of the stars of one release near each star of the previous one: none, one or several. Its
documentation (DR3, dr2_neighbourhood) promises no one-to-one relation, so one is made here by distance, magnitude and,
where the table has it, the archive's own judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from xpfeh.tables.checks import columns_of, numbers, truths, with_source_id
from xpfeh.tables.reading import read_table

IDENTIFIERS = {"dr4": ("dr3_source_id", ("dr4_source_id", "source_id"))}
"""By the newer release, the columns of the older and of the newer identifier. DR3's dr2_neighbourhood names both
releases; in DR4's draft (dr3_neighbourhood) the newer one is plain source_id."""
_FARTHEST_MAS, _LARGEST_MAG = 500.0, 0.5
"""A pair that is farther apart, or differs more in G, is not one star. Our choice: proper motions leave some tens of
mas, a variable giant some tenths of a magnitude."""


@dataclass(frozen=True)
class Moved:
    """A table with the identifiers of the next release, and the outcome for its rows.

    Attributes
    ----------
    table : polars.DataFrame
        The rows that could be moved: ``source_id`` is the new one.
    counts : dict
        rows = moved + ambiguous + without counterpart.
    """

    table: pl.DataFrame
    counts: dict[str, int]


class Neighbourhood:
    """Pairs of stars of two releases, from a file with the columns of the archive's table.

    The columns are ``dr3_source_id``, ``dr4_source_id`` or ``source_id`` (the DR4 one), ``angular_distance`` (mas),
    ``magnitude_difference`` and optionally ``probable_match``. A pair counts

    1. if it is within 500 mas and 0.5 mag, whether or not it is marked as a probable match;
    2. unless it is not marked, and one of its two stars is in a marked pair that passes 1;
    3. if neither of its stars is then in another pair. Two marked pairs of one star make that star ambiguous.

    Parameters
    ----------
    path : str or Path

    Attributes
    ----------
    old_name : str
        The table's name for the older identifier: ``dr3_source_id``.

    Raises
    ------
    UserError
        If the file cannot be read, lacks a column or has an invalid cell.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "made_up.csv")
    ...     names = "source_id,dr3_source_id,angular_distance,magnitude_difference,probable_match"
    ...     _ = path.write_text(f"{names}\\n21,11,0.1,0.0,true\\n22,11,90,0.2,false\\n23,12,700,0.0,true\\n")
    ...     moved = Neighbourhood(path).move(pl.DataFrame({"source_id": [11, 12]}))
    >>> moved.table["source_id"].to_list(), moved.counts["without counterpart"]
    ([21], 1)
    """

    def __init__(self, path: str | Path) -> None:
        pairs = _near(_read(path))
        alone = (pl.len().over("old") == 1) & (pl.len().over("new") == 1)
        self.old_name, _ = IDENTIFIERS["dr4"]
        self._one_to_one = pairs.filter(alone).select("old", "new")
        self._ambiguous = pairs.filter(~alone)["old"].unique()

    def move(self, table: pl.DataFrame) -> Moved:
        """Return the rows of a table that have a newer ``source_id``, with that; the others are counted."""
        moved = (
            table.join(self._one_to_one, left_on="source_id", right_on="old", how="inner", maintain_order="left")
            .with_columns(source_id=pl.col("new"))
            .drop("new")
        )
        ambiguous = int(table["source_id"].is_in(self._ambiguous.implode()).sum())
        counts = {
            "rows": len(table),
            "moved": len(moved),
            "ambiguous": ambiguous,
            "without counterpart": len(table) - len(moved) - ambiguous,
        }
        return Moved(moved, counts)


def _read(path: str | Path) -> pl.DataFrame:
    """Return ``old``, ``new``, ``distance``, ``magnitude`` and ``probable`` of each pair of a file."""
    frame = read_table(path)
    old, news = IDENTIFIERS["dr4"]
    there = {name.lower() for name in frame.columns}
    new = next((name for name in news if name in there), news[0])
    measured = ["angular_distance", "magnitude_difference"]
    names = columns_of(frame, path, [old, new, *measured], ["probable_match"])
    columns = [with_source_id(frame.select(source_id=names[name]), path)["source_id"] for name in (old, new)]
    columns += [numbers(frame, names[name], path) for name in measured]
    marked = names.get("probable_match")
    probable = pl.repeat(False, frame.height, eager=True) if marked is None else truths(frame, marked, path)
    columns.append(probable.fill_null(False))
    return pl.DataFrame(columns, schema=["old", "new", "distance", "magnitude", "probable"]).unique()


def _near(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs that may be one star: near, similar, and without a probable match as a rival."""
    near = pairs.filter(
        (pl.col("distance") <= _FARTHEST_MAS) & (pl.col("magnitude").abs() <= _LARGEST_MAG)  # null passes neither
    )
    rival = pl.col("probable").any().over("old") | pl.col("probable").any().over("new")
    return near.filter(pl.col("probable") | ~rival)
