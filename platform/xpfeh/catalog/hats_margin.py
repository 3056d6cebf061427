"""The margin of a HATS catalog: for each pixel of the sky, the stars just outside it.

A cross-match handles one pixel at a time. A star at the border finds a match beyond it only if the margin has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy_healpix import uniq_to_level_ipix
from hats.pixel_math import HealpixPixel, get_margin
from hats.pixel_math.healpix_shim import margin2order
from hats.pixel_math.spatial_index import SPATIAL_INDEX_ORDER
from mocpy import MOC
from numpy.typing import NDArray

THRESHOLD_ARCSEC = 10.0
"""Every star within this distance of a pixel is in its margin, so a cross-match may have this radius.

Matches with spectroscopic surveys need 1 to 3 arcsec; with positions from 50 years ago, for giants that move by 0.2
arcsec per year, 10. The catalogs on data.lsdb.io have margins of 10 as well.
"""

_ORDER = int(margin2order(np.array(THRESHOLD_ARCSEC / 60)))  # 13: its pixels are at least 12.3 arcsec wide


class Margin:
    """The pixels, and around each a ring of small pixels at least as wide as the threshold.

    Parameters
    ----------
    partitions : sequence of HealpixPixel
        The catalog's. The rest of the sky, in the largest pixels without stars, gets margins too: the other catalog may
        have stars there.

    Attributes
    ----------
    pixels : list of HealpixPixel
        The partitions, then the rest of the sky.
    """

    def __init__(self, partitions: Sequence[HealpixPixel]) -> None:
        self.pixels = [*partitions, *_rest_of_the_sky(partitions)]
        rings = [np.array(get_margin(pixel.order, pixel.pixel, _ORDER - pixel.order)) for pixel in self.pixels]
        owners = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
        ring = np.concatenate(rings)
        order = np.argsort(ring, kind="stable")
        self._ring, self._owners = ring[order], owners[order]

    def find(self, healpix_29: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the margins that contain some stars: K pairs of a star's index and a pixel's index in `pixels`.

        Parameters
        ----------
        healpix_29 : (N,) int64
            The stars' pixels of order 29.

        Examples
        --------
        A star at a corner of pixel 0 is in the margins of the three pixels beyond, one at its centre in none:

        >>> margin = Margin([HealpixPixel(0, pixel) for pixel in range(12)])
        >>> stars, pixels = margin.find(np.array([0, 4**28 - 1]))
        >>> stars.tolist(), pixels.tolist()
        ([0, 0, 0], [4, 5, 8])
        """
        small = healpix_29 >> 2 * (SPATIAL_INDEX_ORDER - _ORDER)
        first = np.searchsorted(self._ring, small, side="left")
        times = np.searchsorted(self._ring, small, side="right") - first
        stars = np.repeat(np.arange(len(small)), times)
        which = np.arange(len(stars)) - np.repeat(np.cumsum(times) - times, times)  # 0, 1, ... for each star
        return stars, self._owners[first[stars] + which]


def _rest_of_the_sky(pixels: Sequence[HealpixPixel]) -> list[HealpixPixel]:
    orders = np.array([pixel.order for pixel in pixels])
    covered = MOC.from_healpix_cells(np.array([pixel.pixel for pixel in pixels]), orders, orders.max())
    orders, numbers = uniq_to_level_ipix(covered.complement().uniq_hpx.astype(np.int64))
    return [HealpixPixel(int(order), int(number)) for order, number in zip(orders, numbers, strict=True)]
