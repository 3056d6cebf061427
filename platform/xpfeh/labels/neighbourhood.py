"""From one data release's identifiers to the next's: equal numbers are not always the same star.

Gaia's archive has a table of which stars of the release before lie near which of this: none, one or several. Its
documentation (DR3, dr2_neighbourhood) promises no one-to-one relation, so one is made here by distance and magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from xpfeh.errors import UserError
from xpfeh.sources.releases import RELEASES
from xpfeh.tables import numbers, read_table, require, with_source_id

_FARTHEST_MAS, _LARGEST_MAG = 500.0, 0.5
"""A pair that is farther apart, or differs more in G, is not taken for one star. Ours: proper motions leave some tens
of mas, a variable giant some tenths of a magnitude."""


@dataclass(frozen=True)
class Moved:
    """A table with the identifiers of the next release, and what became of its rows.

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

    Parameters
    ----------
    path : str or Path
    release : {"dr4"}
        The newer one.

    Raises
    ------
    UserError
        If the file cannot be read or lacks a column, or the release has no such table.
    """

    def __init__(self, path: str | Path, release: str = "dr4") -> None:
        names = RELEASES[release].neighbours
        if names is None:
            raise UserError(f"{RELEASES[release].title} has no table of the stars of the release before")
        frame = read_table(path)
        require(frame, (*names, "angular_distance", "magnitude_difference"), path)
        old, new = (with_source_id(frame.select(source_id=pl.col(name)), path)["source_id"] for name in names)
        distance, magnitude = (numbers(frame, name, path) for name in ("angular_distance", "magnitude_difference"))
        pairs = pl.DataFrame({"old": old, "new": new, "distance": distance, "magnitude": magnitude}).unique()
        near = pairs.filter(
            (pl.col("distance") <= _FARTHEST_MAS) & (pl.col("magnitude").abs() <= _LARGEST_MAG)  # null is neither
        )
        alone = (pl.len().over("old") == 1) & (pl.len().over("new") == 1)
        self._one_to_one = near.filter(alone).select("old", "new")
        self._ambiguous = near.filter(~alone)["old"].unique()

    def move(self, table: pl.DataFrame) -> Moved:
        """Return the rows of a table with ``source_id`` under the newer identifiers; the others are counted."""
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
