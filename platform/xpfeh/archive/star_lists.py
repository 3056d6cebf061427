"""Lists of stars: identifiers from a file, a query, a cone, or the positions of a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from astropy.table import Table
from numpy.typing import NDArray

from xpfeh.archive.archives import PUBLIC, Services
from xpfeh.archive.around import stars_near
from xpfeh.archive.availability import with_spectra
from xpfeh.archive.gaia_tap import GaiaTap
from xpfeh.archive.tap import to_frame
from xpfeh.errors import UserError
from xpfeh.files import filesystem, read_bytes
from xpfeh.labels.crossmatch import crossmatch
from xpfeh.releases import RELEASES
from xpfeh.tables.checks import DESIGNATION, bare, columns_of, with_source_id
from xpfeh.tables.positions import degrees
from xpfeh.tables.reading import read_table

_J2000 = 2000.0  # Julian year
"""Default of a match by position: as for compilations of the literature."""
_ALTERNATIVE = "run it on the archive's web page"


def ids_by_adql(query: str, release: str = "dr3", services: Services = PUBLIC) -> NDArray[np.int64]:
    """Return the ``source_id`` column (N,) of an ADQL query of the Gaia archive.

    Raises
    ------
    UserError
        If no archive responds, the query is refused, or finds no star.
    """
    found = GaiaTap(release, services).ask("the query", lambda *_: query, _ALTERNATIVE, refusal_is_final=True)
    return _find_ids(found.table, "the query")


def ids_by_cone(
    ra: float, dec: float, radius: float, release: str = "dr3", services: Services = PUBLIC
) -> NDArray[np.int64]:
    """Return the stars with XP spectra of a release within `radius` of a position, all in degrees (ICRS).

    If an archive has no column that marks stars with spectra, stars without one are returned, too.

    Raises
    ------
    UserError
        If it is not a position; otherwise as for `ids_by_adql`.
    """
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 < radius <= 180):  # false for NaN, too
        raise UserError(f"--cone {ra:g} {dec:g} {radius:g}: RA 0 to 360, DEC -90 to 90, RADIUS above 0, all in degrees")
    inside = f"CONTAINS(POINT('ICRS', g.ra, g.dec), CIRCLE('ICRS', {ra}, {dec}, {radius})) = 1"
    return _find_ids(with_spectra(GaiaTap(release, services), "SELECT g.source_id", inside), "the cone")


def _find_ids(table: Table, what: str) -> NDArray[np.int64]:
    if not len(table):
        raise UserError(f"{what} finds no star")
    return _int64(to_frame(table), f"{what}'s table")


def read_ids(path: str | Path) -> NDArray[np.int64]:
    """Return the identifiers (N,) of a text file, one per line, or of any table with a column of them.

    `xpfeh.column_names.GAIA` lists the possible names of the column.

    Raises
    ------
    UserError
        If the file is missing or holds anything but 64-bit integers.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "ids.txt").write_text("5937083312263887616\\n4295806720\\n")
    ...     read_ids(f"{folder}/ids.txt")
    array([5937083312263887616,          4295806720])
    """
    fs, inside = filesystem(path)
    if not fs.get_file_info(inside).is_file:
        raise UserError(f"{path}: no such file")
    content = read_bytes(fs, inside)
    if only_numbers := re.fullmatch(rb"(?i)\s*(?:source_id\s)?([\d\s]*)", content):
        frame = pl.DataFrame({"source_id": only_numbers[1].decode().split()}, schema={"source_id": pl.String})
    elif lines := _lines(content):
        frame = pl.DataFrame({"source_id": [text for _, text in lines]})
        if len(wrong := bare(frame["source_id"]).cast(pl.Int64, strict=False).is_null().arg_true()):
            number, text = lines[wrong[0]]
            raise UserError(f"{path}: line {number} is {text!r}, not a source_id")
    else:
        frame = read_table(path)
    ids = _int64(frame, path)
    if not ids.size:
        raise UserError(f"{path}: holds no source_id")
    return ids


def _lines(content: bytes) -> list[tuple[int, str]]:
    """Return the numbered lines of a list of identifiers or designations; none if the first is neither."""
    numbered = enumerate(content.decode("utf-8", "replace").splitlines(), 1)
    lines = [(number, text.strip()) for number, text in numbered if text.strip()]
    if lines and lines[0][1].lower() == "source_id":
        lines = lines[1:]
    return lines if lines and re.fullmatch(rf"({DESIGNATION})?\d+", lines[0][1]) else []


@dataclass(frozen=True)
class Around:
    """The rows of a table that match a star of Gaia by position.

    Attributes
    ----------
    matched : polars.DataFrame
        The table's own columns and ``source_id``, ``separation_arcsec``, ``ambiguous`` (another star or row was within
        the radius).
    rows : int
        Of the table: rows = matched + unmatched.
    """

    matched: pl.DataFrame
    rows: int


def stars_around(
    table: str | Path,
    radius_arcsec: float = 2.0,
    epoch: float = _J2000,
    release: str = "dr3",
    services: Services = PUBLIC,
) -> Around:
    """Match the rows of a table of positions with stars of Gaia, one to one, the closest first.

    Stars around each position are requested, as far out as a star may have moved since; their proper motions then
    take them back to the table's epoch. See `xpfeh.archive.around`.

    Parameters
    ----------
    table : str or Path
        With ``ra`` and ``dec``, ICRS, degrees or sexagesimal, or their other names in `xpfeh.column_names.GAIA`; if
        there are several, those at J2000 if that is the epoch.
    radius_arcsec : float
    epoch : float
        Of the table's positions, Julian year.
    release : {"dr3", "dr4"}
    services : Services

    Raises
    ------
    UserError
        If the table has no positions, none is a star of Gaia, or the archive does not respond.
    """
    frame = read_table(table)
    names = columns_of(frame, table, ["ra", "dec"], j2000_first=epoch == _J2000)
    positions = {kind: degrees(frame[name], kind, table) for kind, name in names.items()}
    known = pl.DataFrame(positions).drop_nulls()
    if not len(known):
        raise UserError(f"{table}: no row has both ra and dec")
    gaia = stars_near(known, radius_arcsec, epoch, release, services)
    ra, dec = (values.cast(pl.Float64).fill_null(np.nan).to_numpy() for values in positions.values())
    match = crossmatch(ra, dec, gaia, radius_arcsec, epoch, RELEASES[release].ref_epoch)
    if not match.in_gaia.size:
        where = "its one position is not" if len(known) == 1 else f"none of its {len(known):,} positions is"
        raise UserError(f"{table}: {where} a star of {RELEASES[release].title}")
    found = {
        "source_id": gaia["source_id"][match.in_gaia],
        "separation_arcsec": match.separation,
        "ambiguous": match.ambiguous,
    }
    return Around(frame.drop("source_id", strict=False)[match.in_compilation].with_columns(**found), len(frame))


def _int64(frame: pl.DataFrame, where: str | Path) -> NDArray[np.int64]:
    return with_source_id(frame, where)["source_id"].to_numpy()
