"""Match stars of a compilation with stars of Gaia, by position on the sky."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import polars as pl
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.time import Time
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.releases import RELEASES
from xpfeh.typing import Columns

_DR3_EPOCH = RELEASES["dr3"].ref_epoch
_EQUAL_TO_DECIMALS = 6
"""Separations, arcsec, that agree to this many decimals are equal: far below Gaia's errors, far above rounding."""


@dataclass(frozen=True)
class Match:
    """M pairs of a compilation's row and a Gaia star; no row and no star appears in two pairs.

    Attributes
    ----------
    in_compilation, in_gaia : (M,) int64
        Row of the compilation, ascending, and row of its star in Gaia's columns.
    separation : (M,) float64
        Arcseconds, at the compilation's epoch.
    ambiguous : (M,) bool
        The row had a second Gaia star within the radius, or its Gaia star a second row.
    """

    in_compilation: NDArray[np.int64]
    in_gaia: NDArray[np.int64]
    separation: NDArray[np.float64]
    ambiguous: NDArray[np.bool_]


def crossmatch(
    ra: NDArray,
    dec: NDArray,
    gaia: Columns,
    radius_arcsec: float = 2.0,
    epoch: float = 2000.0,
    gaia_epoch: float = _DR3_EPOCH,
) -> Match:
    """Match a compilation with Gaia stars, one to one: of all pairs within the radius the closest wins.

    Parameters
    ----------
    ra, dec : (N,) float64
        The compilation's positions, degrees; a row without a position stays unmatched.
    gaia : mapping of (K,) arrays
        ``source_id``, ``ra``, ``dec`` (degrees) and, where known, ``ref_epoch`` (Julian year, `gaia_epoch`
        where unknown), ``pmra``, ``pmdec`` (mas/yr; a star with NaN in either is not moved).
    radius_arcsec : float
    epoch : float
        Of the compilation's positions, Julian year.
    gaia_epoch : float
        Of Gaia's positions, where they have no ``ref_epoch``: that of their release.

    Raises
    ------
    UserError
        If a column of Gaia is missing, or a source_id appears twice.

    Notes
    -----
    The result does not depend on the order of rows: of equal separations the smaller ``source_id`` wins.

    Examples
    --------
    A star that has moved by 0.8 arcsec since 2000, and one far away:

    >>> columns = {"source_id": [7, 8], "ra": [10.0, 50.0], "dec": [0.8 / 3600, 0.0], "pmra": [0, 0], "pmdec": [50, 0]}
    >>> match = crossmatch([10.0], [0.0], columns)
    >>> match.in_gaia, match.separation.round(6)
    (array([0]), array([0.]))
    """
    if missing := [name for name in ("source_id", "ra", "dec") if name not in gaia]:
        raise UserError(f"Gaia stars: no column {' and '.join(missing)}; a cross-match needs source_id, ra and dec")
    source_id = np.asarray(gaia["source_id"])
    if repeated := source_id.size - np.unique(source_id).size:
        raise UserError(f"Gaia stars: {repeated} rows repeat a source_id; keep one row per star")
    ra, dec = np.asarray(ra, np.float64), np.asarray(dec, np.float64)
    row, star, separation = pairs_within(ra, dec, *_positions_at(gaia, epoch, gaia_epoch), radius_arcsec)
    order = np.lexsort((dec[row], ra[row], source_id[star], separation.round(_EQUAL_TO_DECIMALS)))
    row, star, separation = row[order], star[order], separation[order]
    chosen = _closest_first(row, star)
    several = (np.bincount(row, minlength=ra.size)[row] > 1) | (np.bincount(star, minlength=1)[star] > 1)
    chosen = chosen[np.argsort(row[chosen])]
    return Match(row[chosen], star[chosen], separation[chosen], several[chosen])


def without_common(test: pl.DataFrame, train: pl.DataFrame, radius_arcsec: float = 5.0) -> pl.DataFrame:
    """Return the test stars that are not training stars.

    Parameters
    ----------
    test, train : polars.DataFrame
        With ``source_id``, or ``ra`` and ``dec`` in degrees, or all three. Two stars that both have a
        ``source_id`` are compared by it and by nothing else, all others by position.
    radius_arcsec : float
        Wide on purpose: losing a test star costs less than keeping one that the model was trained on.

    Raises
    ------
    UserError
        If stars have to be compared by position and a table has none.

    Examples
    --------
    >>> test = pl.DataFrame({"source_id": [1, 2, None], "ra": [0.0, 1.0, 9.0], "dec": [0.0, 0.0, 0.0]})
    >>> train = pl.DataFrame({"source_id": [2, 3], "ra": [1.0, 9.0], "dec": [0.0, 0.0]})
    >>> without_common(test, train)["source_id"].to_list()
    [1]
    """
    test_id, train_id = _source_ids(test), _source_ids(train)
    common = test_id.is_in(train_id.drop_nulls().implode()).fill_null(False).to_numpy().copy()
    for test_rows, train_rows in (
        (test_id.is_null(), pl.repeat(True, train.height, eager=True)),
        (test_id.is_not_null(), train_id.is_null()),
    ):
        if test_rows.any() and train_rows.any():
            near = _near(test.filter(test_rows), train.filter(train_rows), radius_arcsec)
            common[test_rows.arg_true().to_numpy()[near]] = True
    return test.filter(pl.Series(~common))


def pairs_within(
    ra: NDArray, dec: NDArray, ra2: NDArray, dec2: NDArray, radius_arcsec: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return all pairs of positions within a radius of each other.

    Parameters
    ----------
    ra, dec : (N,) float64
        Degrees; NaN is near nothing.
    ra2, dec2 : (K,) float64
    radius_arcsec : float

    Returns
    -------
    row, row2 : (P,) int64
    separation : (P,) float64
        Arcseconds.

    Examples
    --------
    >>> row, row2, separation = pairs_within(np.array([359.9999, 5.0]), np.zeros(2), np.zeros(1), np.zeros(1), 1.0)
    >>> row, row2, separation.round(6)
    (array([0]), array([0]), array([0.36]))
    """
    known, known2 = (np.flatnonzero(np.isfinite(a) & np.isfinite(d)) for a, d in ((ra, dec), (ra2, dec2)))
    first, second = (SkyCoord(a * u.deg, d * u.deg) for a, d in ((ra[known], dec[known]), (ra2[known2], dec2[known2])))
    row, row2, separation, _ = search_around_sky(first, second, radius_arcsec * u.arcsec)
    return known[row], known2[row2], separation.to_value(u.arcsec)


def _positions_at(gaia: Columns, epoch: float, gaia_epoch: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return right ascension and declination (degrees) of Gaia stars at an epoch; without proper motion unchanged."""
    ra, dec = np.array(gaia["ra"], np.float64), np.array(gaia["dec"], np.float64)
    if "pmra" not in gaia or "pmdec" not in gaia:
        return ra, dec
    pmra, pmdec = np.asarray(gaia["pmra"], np.float64), np.asarray(gaia["pmdec"], np.float64)
    ref_epoch = np.broadcast_to(np.asarray(gaia.get("ref_epoch", gaia_epoch), np.float64), ra.shape)
    moving = np.isfinite(ra) & np.isfinite(dec) & np.isfinite(pmra) & np.isfinite(pmdec)
    if not moving.any():  # astropy gives an empty SkyCoord no velocities
        return ra, dec
    stars = SkyCoord(
        ra[moving] * u.deg,
        dec[moving] * u.deg,
        pm_ra_cosdec=pmra[moving] * u.mas / u.yr,
        pm_dec=pmdec[moving] * u.mas / u.yr,
        # Without radial velocities the distance has no effect, but ERFA needs one: small, so that no star is too fast.
        distance=np.full(moving.sum(), 10.0) * u.pc,
        obstime=_julian_year(np.where(np.isnan(ref_epoch), gaia_epoch, ref_epoch)[moving]),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "ERFA function")  # about implausible proper motions
        moved = stars.apply_space_motion(new_obstime=_julian_year(epoch))
    ra[moving], dec[moving] = moved.ra.to_value(u.deg), moved.dec.to_value(u.deg)
    return ra, dec


def _julian_year(epoch: NDArray[np.float64] | float) -> Time:
    return Time(epoch, format="jyear", scale="tcb")  # Gaia's time scale


def _closest_first(row: NDArray[np.int64], star: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices of the pairs that remain, of pairs sorted by separation, when the closest are taken first.

    A pair that is the first of its row and the first of its star is taken, and pairs that share a row or star with it
    are dropped. This is repeated with the rest: few stars crowd within the radius, so there are few rounds.
    """
    left, chosen = np.arange(row.size), [np.empty(0, np.int64)]
    while left.size:
        first = np.zeros((2, left.size), bool)
        for which, key in enumerate((row[left], star[left])):
            first[which, np.unique(key, return_index=True)[1]] = True
        taken = left[first.all(axis=0)]
        chosen.append(taken)
        left = left[~np.isin(row[left], row[taken]) & ~np.isin(star[left], star[taken])]
    return np.concatenate(chosen)


def _source_ids(stars: pl.DataFrame) -> pl.Series:
    if "source_id" not in stars.columns:
        return pl.repeat(None, stars.height, dtype=pl.Int64, eager=True)
    ids = stars["source_id"]
    if not (ids.dtype.is_integer() or ids.dtype == pl.Null):
        raise UserError(f"stars: source_id is {ids.dtype}, which loses digits; use 64-bit integers")
    return ids.cast(pl.Int64)


def _near(stars: pl.DataFrame, others: pl.DataFrame, radius_arcsec: float) -> NDArray[np.int64]:
    for which, frame in (("test", stars), ("training", others)):
        if missing := [name for name in ("ra", "dec") if name not in frame.columns]:
            raise UserError(
                f"{which} stars: no column {' and '.join(missing)}; stars that lack a source_id are compared by ra, dec"
            )
    ra, dec, ra2, dec2 = (frame[name].to_numpy() for frame in (stars, others) for name in ("ra", "dec"))
    return np.unique(pairs_within(ra, dec, ra2, dec2, radius_arcsec)[0])
