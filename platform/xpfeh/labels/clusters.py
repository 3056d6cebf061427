"""Globular clusters: many stars of one known [Fe/H], chosen without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from xpfeh.tables.checks import POSITION_RANGES, check_range, numbers, require
from xpfeh.tables.reading import read_table
from xpfeh.typing import Columns
from xpfeh.xp import photometry

DOWNLOAD = (
    "gc_harris.csv of the Local Volume Database (Pace 2024, arXiv:2411.07424; GitHub apace7/local_volume_database): "
    "`xpfeh validate --clusters gc_harris.csv`"
)
"""Shown in a report without clusters."""
RADII = 5.0
"""Half-light radii within which a star counts as a member: most members, and few field stars."""
RING = (15.0, 30.0)
"""Half-light radii between which field stars are counted."""

_COLUMNS = ("ra", "dec", "rhalf", "distance_modulus", "metallicity", "metallicity_spectroscopic_sigma")


@dataclass(frozen=True)
class Cluster:
    """A cluster of stars.

    Attributes
    ----------
    name : str
    ra, dec : float
        Degrees.
    rhalf : float
        Half-light radius, arcmin.
    distance_modulus : float
        Without extinction, mag.
    feh, feh_spread : float
        [Fe/H] of the literature and its intrinsic scatter from star to star, dex; the scatter is NaN where unknown.
    """

    name: str
    ra: float
    dec: float
    rhalf: float
    distance_modulus: float
    feh: float
    feh_spread: float


@dataclass(frozen=True)
class Members:
    """The stars of a cluster.

    Attributes
    ----------
    cluster : Cluster
    rows : (M,) int64
        Indices of the members among the given stars.
    m_g : (M,) float64
        Absolute magnitude at the cluster's distance.
    field : float
        Expected number of field stars among them, from the number of stars in the ring around the cluster.
    """

    cluster: Cluster
    rows: NDArray[np.int64]
    m_g: NDArray[np.float64]
    field: float


def read_clusters(path: str | Path) -> list[Cluster]:
    """Read the globular clusters of the Local Volume Database; those without a size, distance or [Fe/H] are left out.

    Raises
    ------
    UserError
        If the table cannot be read, lacks a column, or a value is not a number or not a position.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "made_up.csv")
    ...     rows = f"name,{','.join(_COLUMNS)}", "NGC 0,10,-20,1.5,14.2,-1.5,0.03", "NGC 1,11,-20,,14.2,-1.5,"
    ...     _ = path.write_text("\\n".join(rows))
    ...     read_clusters(path)
    [Cluster(name='NGC 0', ra=10.0, dec=-20.0, rhalf=1.5, distance_modulus=14.2, feh=-1.5, feh_spread=0.03)]
    """
    table = read_table(path)
    require(table, ["name", *_COLUMNS], path)
    columns = {name: numbers(table, name, path) for name in _COLUMNS}
    for name, limits in POSITION_RANGES.items():
        check_range(columns[name], *limits, path)
    rows = zip(table["name"].to_list(), *(columns[name].to_list() for name in _COLUMNS), strict=True)
    return [
        Cluster(str(name), ra, dec, rhalf, modulus, feh, float("nan") if spread is None else spread)
        for name, ra, dec, rhalf, modulus, feh, spread in rows
        if None not in (ra, dec, rhalf, modulus, feh)
    ]


def members(cluster: Cluster, stars: Columns) -> Members:
    """Return the red giants within 5 half-light radii, by the paper's cut 2 at the cluster's distance.

    [Fe/H] and velocities are not used: where the field is dense, some field stars are among them. Their number is
    estimated from such stars between 15 and 30 half-light radii.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``ra``, ``dec`` (degrees), ``g0``, ``bp_rp0`` (mag).

    Examples
    --------
    >>> stars = {"ra": np.array([10.0, 10.05, 10.5]), "dec": np.full(3, -20.0)}
    >>> stars |= {"g0": np.full(3, 13.0), "bp_rp0": np.full(3, 1.2)}
    >>> found = members(Cluster("NGC 0", 10.0, -20.0, 1.5, 14.2, -1.5, 0.03), stars)
    >>> found.rows.tolist(), found.m_g.round(1).tolist(), round(found.field, 3)
    ([0, 1], [-1.2, -1.2], 0.037)
    """
    centre = SkyCoord(cluster.ra * u.deg, cluster.dec * u.deg)
    m_g = stars["g0"] - cluster.distance_modulus
    giant = photometry.passes_giant(m_g, stars["bp_rp0"]) & photometry.passes_colour(stars["bp_rp0"])
    near, far = RING
    around = np.flatnonzero(giant & (np.abs(stars["dec"] - cluster.dec) < far * cluster.rhalf / 60))
    places = SkyCoord(stars["ra"][around] * u.deg, stars["dec"][around] * u.deg)
    radii = centre.separation(places).to_value(u.arcmin) / cluster.rhalf
    rows = around[radii < RADII]
    in_ring = int(((radii > near) & (radii < far)).sum())
    return Members(cluster, rows, m_g[rows], in_ring * RADII**2 / (far**2 - near**2))
