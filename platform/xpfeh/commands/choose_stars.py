"""The user's choice of stars in the archive: a list, a query, a cone, or positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.archive.archives import PUBLIC, Services
from xpfeh.errors import UserError
from xpfeh.files import whole_file


@dataclass(frozen=True)
class StarChoice:
    """One way to choose stars; the others are None.

    Attributes
    ----------
    ids : Path or tuple of int
        A text file of identifiers, or a table with ``source_id``; or identifiers.
    adql : str
        A query of the archive that returns ``source_id``.
    cone : tuple of float
        Right ascension, declination and radius, degrees.
    around : Path
        A table with ``ra`` and ``dec``, degrees.
    radius_arcsec, epoch : float
        For `around`: maximum separation, and Julian year of the positions; by default 2 and 2000.
    """

    ids: Path | tuple[int, ...] | None = None
    adql: str | None = None
    cone: tuple[float, float, float] | None = None
    around: Path | None = None
    radius_arcsec: float | None = None
    epoch: float | None = None

    def __post_init__(self) -> None:
        if self.around is None and (self.radius_arcsec is not None or self.epoch is not None):
            raise UserError("--radius and --epoch are for --around")

    @property
    def made(self) -> bool:
        """Whether any choice was made."""
        return any((self.ids, self.adql, self.cone, self.around))


def choose_stars(choice: StarChoice, release: str, out: str | Path, services: Services = PUBLIC) -> NDArray[np.int64]:
    """Return the identifiers of the chosen stars (N,); OUT.matched.csv gets the star of each row of `around`.

    Parameters
    ----------
    choice : StarChoice
    release : {"dr3", "dr4"}
    out : str or Path
        The output that the stars are for.
    services : Services

    Raises
    ------
    UserError
        If not exactly one choice was made, a table cannot be read, no star is found, or the archive does not respond.
    """
    if sum(map(bool, (choice.ids, choice.adql, choice.cone, choice.around))) != 1:
        raise UserError("choose stars: give one of --ids, --adql, --cone, --around")
    from xpfeh.archive import star_lists  # pyvo and requests, which a file of spectra does not need

    if choice.cone:
        return star_lists.ids_by_cone(*choice.cone, release, services)
    if choice.adql:
        return star_lists.ids_by_adql(choice.adql, release, services)
    if isinstance(choice.ids, tuple):
        return np.array(choice.ids, dtype=np.int64)
    if choice.ids:
        return star_lists.read_ids(choice.ids)
    assert choice.around is not None
    radius_arcsec, epoch = choice.radius_arcsec or 2.0, choice.epoch or 2000.0
    around = star_lists.stars_around(choice.around, radius_arcsec, epoch, release, services)
    with whole_file(f"{out}.matched.csv") as temporary:
        plain = [name for name, kind in around.matched.schema.items() if not kind.is_nested()]
        around.matched.select(plain).write_csv(temporary)
    return around.matched["source_id"].cast(pl.Int64).to_numpy()
