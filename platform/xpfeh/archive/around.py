"""Gaia's stars around a table of positions: by an uploaded table, or, where uploads are refused, by cone searches."""

from __future__ import annotations

from functools import partial

import polars as pl
from astropy.table import Table
from numpy.typing import NDArray
from rich.progress import Progress

from xpfeh.archive.archives import GaiaArchive, Services
from xpfeh.archive.gaia_tap import SOURCES, GaiaTap, Tables, first_answer
from xpfeh.archive.http import RefusedError
from xpfeh.archive.tap import to_frame
from xpfeh.releases import RELEASES

_STARS = {"source_id": pl.Int64, **dict.fromkeys(("ra", "dec", "pmra", "pmdec", "ref_epoch"), pl.Float64)}
_POSITIONS_PER_REQUEST = 1_000  # each is a separate search in the archive, and a synchronous query may take a minute
_CONES_PER_REQUEST = 50  # makes a query of about 5 kB
_FASTEST_ARCSEC_PER_YEAR = 2.0  # a few hundred stars in the sky are faster, all of them nearby dwarfs


def stars_near(
    positions: pl.DataFrame, radius_arcsec: float, epoch: float, release: str, services: Services
) -> dict[str, NDArray]:
    """Return positions and proper motions of the stars that may be within a radius of some positions at an epoch.

    The positions are uploaded to the archive. All anonymous users share one quota for uploads: where it is full, or an
    archive accepts no uploads, cone searches are used instead, fifty per request.

    Parameters
    ----------
    positions : polars.DataFrame
        ``ra`` and ``dec``, ICRS, degrees.
    radius_arcsec : float
    epoch : float
        Of the positions, Julian year.
    release : {"dr3", "dr4"}
    services : Services

    Returns
    -------
    dict of (K,) arrays
        ``source_id``, ``ra``, ``dec`` (degrees), ``pmra``, ``pmdec`` (mas/yr) and ``ref_epoch``, each star once.

    Raises
    ------
    UserError
        If no archive responds.
    """
    reach = (radius_arcsec + abs(RELEASES[release].ref_epoch - epoch) * _FASTEST_ARCSEC_PER_YEAR) / 3600
    tap = GaiaTap(release, services)
    frames = first_answer(
        "stars around the positions",
        lambda archive: _stars_at(archive, tap, positions, reach),
        services,
        "match them in TOPCAT",
    )
    stars = pl.concat([pl.DataFrame(schema=_STARS), *frames]).unique("source_id", maintain_order=True)
    return {name: stars[name].to_numpy() for name in stars.columns}


def _stars_at(archive: GaiaArchive, tap: GaiaTap, positions: pl.DataFrame, reach: float) -> list[pl.DataFrame]:
    """Return the stars around the positions, found by uploads until one is refused, and then by cone searches."""
    frames, first, uploads = [], 0, True
    with Progress() as progress:
        bar = progress.add_task("positions", total=len(positions))
        while first < len(positions):
            count = _POSITIONS_PER_REQUEST if uploads else _CONES_PER_REQUEST
            try:
                chunk = positions.slice(first, count)
                if uploads:
                    found = tap.ask_one(archive, partial(_join, reach=reach), _upload(chunk))
                else:
                    found = tap.ask_one(archive, partial(_inside_cones, positions=chunk, reach=reach))
            except RefusedError as refused:
                if not uploads:
                    raise
                uploads = False
                hint = "; xpfeh archive login gives you your own quota" if archive.login else ""
                tap.services.state.notice(
                    f"{archive.title} refuses the upload of positions ({refused}); using cone searches instead, "
                    f"{_CONES_PER_REQUEST} per request{hint}"
                )
                continue
            if len(found.table):
                frames.append(to_frame(found.table, _STARS))  # without a proper motion a star stays put
            first += count
            progress.update(bar, completed=min(first, len(positions)))
    return frames


def _upload(positions: pl.DataFrame) -> dict[str, Table]:
    return {"positions": Table({name: positions[name].cast(pl.Float64).to_numpy() for name in ("ra", "dec")})}


def _join(_: GaiaArchive, tables: Tables, reach: float) -> str:
    columns = ", ".join(f"g.{name}" for name in tables.among(SOURCES, _STARS))
    # ADQL 2.0, which AIP uses, requires the coordinate system that is optional in 2.1; ESA and ARI accept both.
    return (
        f"SELECT {columns} FROM TAP_UPLOAD.positions AS p JOIN {tables.full_name(SOURCES)} AS g "
        f"ON CONTAINS(POINT('ICRS', g.ra, g.dec), CIRCLE('ICRS', p.ra, p.dec, {reach:.8f})) = 1"
    )


def _inside_cones(_: GaiaArchive, tables: Tables, positions: pl.DataFrame, reach: float) -> str:
    columns = ", ".join(f"g.{name}" for name in tables.among(SOURCES, _STARS))
    cones = " OR ".join(
        f"CONTAINS(POINT('ICRS', g.ra, g.dec), CIRCLE('ICRS', {ra:.8f}, {dec:.8f}, {reach:.8f})) = 1"
        for ra, dec in positions.select("ra", "dec").iter_rows()
    )
    return f"SELECT {columns} FROM {tables.full_name(SOURCES)} AS g WHERE {cones}"
