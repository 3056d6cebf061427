"""The margin of a HATS catalog compared with distances from borders drawn by another library."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from hats.pixel_math import HealpixPixel
from hats.pixel_math.spatial_index import compute_spatial_index
from scipy.spatial import cKDTree
from xpfeh.catalog.hats_margin import THRESHOLD_ARCSEC, Margin

_STEPS = 4096  # of a pixel's side: 0.2 arcsec at order 8
_WIDEST_ARCSEC = 60.0  # across a small pixel of the ring, corner to corner

# Order 8: at the north pole, at the corner where three base pixels meet, at the equator, in a polar cap, at a seam of
# the base pixels; and larger ones of orders 7 and 6 next to some.
PIXELS = [
    *(HealpixPixel(8, p) for p in (4**8 - 1, 2 * 4**8 - 1, 0, 4 * 4**8, 5 * 4**8 + 12_345, 4**8 - 300, 8 * 4**8 - 1)),
    HealpixPixel(7, 4**7 - 2),
    HealpixPixel(6, 3 * 4**6 - 1),
]


def vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    return SkyCoord(ra * u.deg, dec * u.deg).cartesian.xyz.value.T  # (N, 3)


def border(pixel: HealpixPixel) -> SkyCoord:
    lon, lat = HEALPix(2**pixel.order, order="nested").boundaries_lonlat([pixel.pixel], step=_STEPS)
    return SkyCoord(lon[0], lat[0])


def inside(pixel: HealpixPixel, stars: SkyCoord) -> np.ndarray:
    return HEALPix(2**pixel.order, order="nested").lonlat_to_healpix(stars.ra, stars.dec) == pixel.pixel


@pytest.fixture(scope="module")
def stars() -> SkyCoord:
    """Return made-up stars within 30 arcsec of borders, and at the corners."""
    rng = np.random.default_rng(3)
    places = []
    for pixel in PIXELS:
        corners = border(pixel)[::_STEPS]
        near = border(pixel)[rng.integers(0, 4 * _STEPS, 400)]
        for start, reach in ((near, 30), (near, 10.5), (corners, 10), (corners, 1)):
            angle = rng.uniform(0, 360, len(start)) * u.deg
            places.append(start.directional_offset_by(angle, rng.uniform(0, reach, len(start)) * u.arcsec))
    return SkyCoord([place.ra.deg for all_ in places for place in all_] * u.deg,
                    [place.dec.deg for all_ in places for place in all_] * u.deg)  # fmt: skip


@pytest.fixture(scope="module")
def margin() -> Margin:
    return Margin(PIXELS)


def test_every_star_within_the_threshold_of_a_pixel_is_in_its_margin(stars: SkyCoord, margin: Margin) -> None:
    rows, owners = margin.find(compute_spatial_index(stars.ra.deg, stars.dec.deg))
    found = set(zip(rows.tolist(), owners.tolist(), strict=True))
    assert len(found) == len(rows), "a star is in a margin once"
    small = [number for number, pixel in enumerate(margin.pixels) if pixel.order >= 6]  # borders of few points
    assert len(small) > 2 * len(PIXELS), "the sky around the partitions has margins too"
    near = 0
    positions = vectors(stars.ra.deg, stars.dec.deg)
    for number in small:
        pixel = margin.pixels[number]
        tree = cKDTree(vectors(border(pixel).ra.deg, border(pixel).dec.deg))
        chord, _ = tree.query(positions, distance_upper_bound=np.radians(_WIDEST_ARCSEC / 3600))
        distance = np.degrees(chord) * 3600  # arcsec; infinite beyond the widest
        beyond = ~inside(pixel, stars)
        expected = set(np.flatnonzero(beyond & (distance <= THRESHOLD_ARCSEC - 0.01)).tolist())
        held = {row for row, owner in found if owner == number}
        assert expected <= held, pixel
        assert beyond[list(held)].all(), pixel
        assert (distance[list(held)] < _WIDEST_ARCSEC).all(), pixel
        near += len(expected)
    assert near > 5_000


def test_the_pixels_of_margins_cover_the_sky_once(margin: Margin) -> None:
    sky = np.concatenate([[p.pixel << 2 * (8 - p.order), (p.pixel + 1) << 2 * (8 - p.order)] for p in margin.pixels])
    starts, ends = np.sort(sky[::2]), np.sort(sky[1::2])
    assert starts[0] == 0
    assert ends[-1] == 12 * 4**8
    assert np.array_equal(starts[1:], ends[:-1])
