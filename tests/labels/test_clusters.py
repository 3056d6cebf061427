"""Members of globular clusters: chosen by place and luminosity alone, field stars counted."""

from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.labels.clusters import RADII, RING, Cluster, members, read_clusters

from tests.genuine import shared

HEADER = "name,ra,dec,rhalf,distance_modulus,metallicity,metallicity_spectroscopic_sigma"
MADE_UP = Cluster("made up", ra=0.02, dec=30.0, rhalf=2.0, distance_modulus=14.0, feh=-1.5, feh_spread=0.03)


def around(n: int, cluster_stars: int, seed: int = 0) -> dict[str, np.ndarray]:
    """An even field of red giants 3 degrees wide, across RA 0, and some more in the cluster's middle."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1.5, 1.5, (2, n))
    u, v = rng.normal(0, MADE_UP.rhalf / 60, (2, cluster_stars))
    dec = MADE_UP.dec + np.r_[y, v]
    return {
        "ra": (MADE_UP.ra + np.r_[x, u] / np.cos(np.radians(dec))) % 360,
        "dec": dec,
        "g0": np.full(n + cluster_stars, 12.0),
        "bp_rp0": np.full(n + cluster_stars, 1.2),
    }


def test_the_field_is_counted_in_the_ring() -> None:
    found = members(MADE_UP, around(40_000, 300))
    area = np.pi * (RADII * MADE_UP.rhalf / 60) ** 2
    assert abs(found.field - 40_000 * area / 9) < 15  # of some 390, by the error of the ring's count
    assert abs(len(found.rows) - found.field - 300) < 4 * np.sqrt(len(found.rows))
    np.testing.assert_allclose(found.m_g, -2.0)


def test_stars_that_are_not_giants_at_the_clusters_distance_are_not_members() -> None:
    stars = around(0, 100)
    stars["g0"][:30] = 19.0  # on the main sequence there
    stars["bp_rp0"][30:40] = 0.3
    assert len(members(MADE_UP, stars).rows) == len(members(MADE_UP, around(0, 100)).rows[40:])


def test_rows_do_not_depend_on_the_order_of_stars() -> None:
    stars = around(5_000, 100)
    order = np.random.default_rng(1).permutation(5_100)
    again = members(MADE_UP, {name: values[order] for name, values in stars.items()})
    assert set(order[again.rows]) == set(members(MADE_UP, stars).rows)
    assert RING[0] > RADII


def test_the_published_table_is_read() -> None:
    clusters = {each.name: each for each in read_clusters(shared("clusters/gc_harris.csv"))}
    omega = clusters["NGC 5139"]
    assert (round(omega.feh, 2), round(omega.rhalf, 2)) == (-1.53, 4.79)
    assert abs(clusters["NGC 6397"].distance_modulus - 11.97) < 0.1  # 2.48 kpc
    assert clusters["NGC 2808"].feh_spread == 0.055
    assert len(clusters) > 100


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,ra,dec\nNGC 0,1,2\n", "no column rhalf and distance_modulus"),
        (
            f"{HEADER}\nA,x,2,1,14,-1,\n",
            "ra of row 0",
        ),
        (
            f"{HEADER}\nA,1,95,1,14,-1,\n",
            "outside -90",
        ),
    ],
)
def test_an_invalid_table_is_refused_in_one_line(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "clusters.csv").write_text(text)
    with pytest.raises(UserError, match=complaint):
        read_clusters(tmp_path / "clusters.csv")
