"""Which star of Gaia is which star of a catalogue, by place on the sky."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from xpfeh.errors import UserError

GAIA_EPOCH = 2016.0
"""Epoch of the positions of Gaia DR3, Julian year."""

_ARCSEC = np.pi / 180 / 3600
_TIE = 6
"""Separations that agree to so many decimals of an arcsecond are equal."""


@dataclass(frozen=True)
class Match:
    """M pairs of a catalogue's row and a Gaia star; no row and no star stands in two of them.

    Attributes
    ----------
    in_catalog, in_gaia : (M,) int64
        Row of the catalogue, ascending, and row of its star in Gaia's columns.
    separation : (M,) float64
        Arcseconds, at the catalogue's epoch.
    ambiguous : (M,) bool
        The row had a second Gaia star within the radius, or its Gaia star a second row.
    counts : dict
        Rows of the catalogue: ``rows`` = ``matched`` + ``unmatched``; ``ambiguous`` of the matched.
    """

    in_catalog: NDArray[np.int64]
    in_gaia: NDArray[np.int64]
    separation: NDArray[np.float64]
    ambiguous: NDArray[np.bool_]
    counts: dict[str, int]


def unit_vectors(ra: ArrayLike, dec: ArrayLike) -> NDArray[np.float64]:
    """Return positions in degrees, of shape (N,), as unit vectors (N, 3)."""
    ra, dec = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def propagate(
    ra: NDArray, dec: NDArray, pmra: NDArray, pmdec: NDArray, years: NDArray | float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions after so many years.

    Parameters
    ----------
    ra, dec : (N,) float64
        Degrees.
    pmra, pmdec : (N,) float64
        Proper motion, mas/yr, ``pmra`` with cos(dec) as Gaia gives it. Where either is NaN the star stays.
    years : (N,) float64 or float
        Julian years, negative for the past.

    Returns
    -------
    ra, dec : (N,) float64
        Degrees, 0 <= ra < 360.

    Notes
    -----
    Straight motion in space without radial velocity, so poles are places like any other. What radial velocity
    adds in 30 years is below 0.01 arcsec for all but a few of the nearest stars.
    """
    a, d = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    east = np.stack([-np.sin(a), np.cos(a), np.zeros_like(a)], axis=-1)
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)], axis=-1)
    known = np.isfinite(pmra) & np.isfinite(pmdec)
    scale = _ARCSEC / 1000 * np.asarray(years, np.float64)
    to_east, to_north = (np.where(known, pm, 0.0) * scale for pm in (pmra, pmdec))
    x, y, z = (unit_vectors(ra, dec) + to_east[..., None] * east + to_north[..., None] * north).T
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def crossmatch(
    ra: NDArray, dec: NDArray, gaia: Mapping[str, NDArray], radius_arcsec: float = 2.0, epoch: float = 2000.0
) -> Match:
    """Match a catalogue with Gaia stars, one to one: of all pairs within the radius the closest wins.

    Parameters
    ----------
    ra, dec : (N,) float64
        The catalogue's positions, degrees; a row without a position stays unmatched.
    gaia : mapping of (K,) arrays
        ``source_id``, ``ra``, ``dec`` (degrees) and, where there are any, ``ref_epoch`` (Julian year),
        ``pmra``, ``pmdec`` (mas/yr, NaN where unknown).
    radius_arcsec : float
    epoch : float
        Of the catalogue's positions, Julian year.

    Raises
    ------
    UserError
        If a column of Gaia is missing, or holds a star twice.

    Notes
    -----
    The answer does not depend on the order of rows: of equal separations the smaller ``source_id`` wins.
    """
    if missing := [name for name in ("source_id", "ra", "dec") if name not in gaia]:
        raise UserError(f"Gaia stars: no column {' and '.join(missing)}; a cross-match needs source_id, ra and dec")
    source_id = np.asarray(gaia["source_id"])
    if repeated := source_id.size - np.unique(source_id).size:
        raise UserError(f"Gaia stars: {repeated} rows repeat a source_id; keep one row a star")
    ra, dec = np.asarray(ra, np.float64), np.asarray(dec, np.float64)
    row, star, separation = _pairs(ra, dec, *_gaia_at(gaia, epoch), radius_arcsec)
    order = np.lexsort((dec[row], ra[row], source_id[star], separation.round(_TIE)))
    row, star, separation = row[order], star[order], separation[order]
    chosen = _closest_first(row, star)
    several = (np.bincount(row, minlength=ra.size)[row] > 1) | (np.bincount(star, minlength=1)[star] > 1)
    chosen = chosen[np.argsort(row[chosen])]
    counts = {
        "rows": ra.size,
        "matched": chosen.size,
        "ambiguous": int(several[chosen].sum()),
        "unmatched": ra.size - chosen.size,
    }
    return Match(row[chosen], star[chosen], separation[chosen], several[chosen], counts)


def without_common(test: pl.DataFrame, train: pl.DataFrame, radius_arcsec: float = 5.0) -> pl.DataFrame:
    """Return the test stars that are no training star.

    Parameters
    ----------
    test, train : polars.DataFrame
        With ``source_id``, or ``ra`` and ``dec`` in degrees, or all three. Two stars that both have a
        ``source_id`` are compared by it and by nothing else, all others by position.
    radius_arcsec : float
        Wide on purpose: a test star lost costs less than one the model has seen.

    Raises
    ------
    UserError
        If stars have to be compared by position and a table has none.
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


def _gaia_at(gaia: Mapping[str, NDArray], epoch: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ra, dec = np.asarray(gaia["ra"], np.float64), np.asarray(gaia["dec"], np.float64)
    if "pmra" not in gaia or "pmdec" not in gaia:
        return ra, dec
    years = epoch - np.asarray(gaia.get("ref_epoch", GAIA_EPOCH), np.float64)
    return propagate(ra, dec, gaia["pmra"], gaia["pmdec"], years)


def _pairs(
    ra: NDArray, dec: NDArray, ra2: NDArray, dec2: NDArray, radius_arcsec: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All pairs within the radius: row of the first, row of the second, separation in arcsec."""
    placed, placed2 = (np.flatnonzero(np.isfinite(a) & np.isfinite(d)) for a, d in ((ra, dec), (ra2, dec2)))
    first = KDTree(unit_vectors(ra[placed], dec[placed]))
    second = KDTree(unit_vectors(ra2[placed2], dec2[placed2]))
    pairs = first.sparse_distance_matrix(second, 2 * np.sin(radius_arcsec * _ARCSEC / 2), output_type="ndarray")
    separation = 2 * np.arcsin(pairs["v"] / 2) / _ARCSEC
    return placed[pairs["i"]], placed2[pairs["j"]], separation


def _closest_first(row: NDArray[np.int64], star: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of pairs sorted by separation, return the indices of those that stand when each closest pair is taken.

    A pair that is the first of its row and the first of its star stands; those that share a row or star with it
    fall; and so on with the rest. Stars that crowd within the radius are few, and so are the rounds.
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
        raise UserError(f"stars: source_id is {ids.dtype}, which loses digits; make it a 64-bit integer")
    return ids.cast(pl.Int64)


def _near(stars: pl.DataFrame, others: pl.DataFrame, radius_arcsec: float) -> NDArray[np.int64]:
    for which, frame in (("test", stars), ("training", others)):
        if missing := [name for name in ("ra", "dec") if name not in frame.columns]:
            raise UserError(
                f"{which} stars: no column {' and '.join(missing)}; stars that lack a source_id are compared by ra, dec"
            )
    ra, dec, ra2, dec2 = (frame[name].to_numpy() for frame in (stars, others) for name in ("ra", "dec"))
    return np.unique(_pairs(ra, dec, ra2, dec2, radius_arcsec)[0])
