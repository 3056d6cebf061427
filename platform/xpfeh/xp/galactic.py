"""Galactic coordinates. The rotation is astropy's; its frame objects cost 2 ms per call, a third of one star's time."""

from __future__ import annotations

from functools import cache

import numpy as np
from astropy.coordinates import SkyCoord

from xpfeh.typing import Array


@cache
def _rotation() -> Array:
    """Return the (3, 3) rotation from ICRS to Galactic vectors: the images of the axes."""
    axes = SkyCoord(*np.eye(3), frame="icrs", representation_type="cartesian")
    return np.asarray(axes.galactic.cartesian.xyz.value)


def galactic(ra_deg: Array, dec_deg: Array) -> tuple[Array, ...]:
    """Return Galactic longitude (0 to 360) and latitude of N positions, both (N,) in degrees; NaN stays NaN.

    Parameters
    ----------
    ra_deg, dec_deg : (N,) float64
        ICRS, degrees.

    Examples
    --------
    >>> l_deg, b_deg = galactic(np.array([266.41683]), np.array([-29.00781]))  # Sgr A*
    >>> l_deg.round(2).tolist(), b_deg.round(2).tolist()
    ([359.94], [-0.05])
    """
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    vector = np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)
    # Not a matrix product: BLAS's order of summation depends on the number of stars.
    x, y, z = (a * vector[0] + b * vector[1] + c * vector[2] for a, b, c in _rotation())
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
