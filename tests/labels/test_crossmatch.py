"""Stars and catalogues here are made up."""

from pathlib import Path
from random import Random

import astropy.units as u
import numpy as np
import polars as pl
import pytest
from astropy.coordinates import SkyCoord, angular_separation
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.errors import UserError
from xpfeh.labels.compilation import to_labels
from xpfeh.labels.crossmatch import crossmatch, without_common
from xpfeh.labels.label_table import read_labels

BIG = 6_917_521_541_514_092_417
ARCSEC = 1 / 3600


def gaia(ra: list[float] | np.ndarray, dec: list[float] | np.ndarray, **columns: object) -> dict[str, np.ndarray]:
    stars = {"ra": ra, "dec": dec, "source_id": BIG + np.arange(len(ra)), **columns}
    return {name: np.asarray(values) for name, values in stars.items()}


def field(rng: np.random.Generator, middle: SkyCoord, size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Places within 15 arcsec of the middle, degrees."""
    places = middle.directional_offset_by(rng.uniform(0, 360, size) * u.deg, rng.uniform(0, 15, size) * u.arcsec)
    return places.ra.deg, places.dec.deg


def slow_match(ra: np.ndarray, dec: np.ndarray, stars: dict[str, np.ndarray], radius: float) -> dict[int, int]:
    """One to one by a loop: take the closest pair of all that are left, until none is."""
    pairs = []
    for i in range(len(ra)):
        for j in range(len(stars["ra"])):
            angle = angular_separation(*np.radians([ra[i], dec[i], stars["ra"][j], stars["dec"][j]]))
            if np.degrees(angle) * 3600 <= radius:
                pairs.append((angle, i, j))
    answer: dict[int, int] = {}
    for _, i, j in sorted(pairs):
        if i not in answer and j not in answer.values():
            answer[i] = j
    return answer


@pytest.mark.parametrize("centre", [(180.0, 20.0), (0.0, 0.0), (77.0, 89.9995), (200.0, -89.9995)])
def test_the_match_is_that_of_a_slow_loop(centre: tuple[float, float]) -> None:
    """Crowded fields, where right ascension wraps and around the poles too."""
    rng = np.random.default_rng(5)
    middle = SkyCoord(*centre, unit="deg")
    ra, dec = field(rng, middle)
    ra2, dec2 = field(rng, middle)
    stars = gaia(ra2, dec2)
    match = crossmatch(ra, dec, stars, radius_arcsec=2.0)
    assert dict(zip(match.in_compilation.tolist(), match.in_gaia.tolist(), strict=True)) == slow_match(
        ra, dec, stars, 2.0
    )
    assert match.ambiguous.any()
    assert match.in_gaia.size < 60


def straight_on(ra: float, dec: float, pmra: float, pmdec: float, years: float) -> SkyCoord:
    """The position of a star after `years` of straight motion across the line of sight, by vectors."""
    a, d = np.radians([ra, dec])
    towards = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    east, north = (
        np.array([-np.sin(a), np.cos(a), 0]),
        np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)]),
    )
    x, y, z = towards + np.radians(ARCSEC / 1000 * years) * (pmra * east + pmdec * north)
    return SkyCoord(np.arctan2(y, x) * u.rad, np.arctan2(z, np.hypot(x, y)) * u.rad)


@pytest.mark.parametrize(
    ("ra", "dec"), [(10.0, 0.0), (359.9999, -45.0), (123.0, 89.99999), (321.0, -90.0), (0.0, 90.0)]
)
@pytest.mark.parametrize("epoch", [2000.0, 2046.0])
def test_a_star_is_matched_where_its_proper_motion_takes_it(ra: float, dec: float, epoch: float) -> None:
    there = straight_on(ra, dec, 3000.0, -5000.0, epoch - 2016)
    assert there.separation(SkyCoord(ra, dec, unit="deg")).arcsec == pytest.approx(5.8310 * abs(epoch - 2016), rel=1e-4)
    star = gaia([ra], [dec], pmra=[3000.0], pmdec=[-5000.0])
    for known in (star, {**star, "ref_epoch": np.array([2016.0])}, {**star, "ref_epoch": np.array([np.nan])}):
        match = crossmatch(np.array([there.ra.deg]), np.array([there.dec.deg]), known, epoch=epoch)
        assert match.separation.tolist() == [pytest.approx(0, abs=1e-4)]
    assert (star["ra"][0], star["dec"][0]) == (ra, dec)


def test_a_star_without_proper_motion_stays() -> None:
    ra, dec = np.array([0.1, 359.3]), np.array([90.0, -3.7])
    match = crossmatch(ra, dec, gaia(ra, dec, pmra=[np.nan, 1000.0], pmdec=[1000.0, np.nan]))
    assert match.in_gaia.tolist() == [0, 1]
    np.testing.assert_allclose(match.separation, 0, atol=1e-9)


@pytest.mark.parametrize("pm", [0.0, 1e-12, 1e6, 1e9])
def test_no_proper_motion_is_worth_a_warning(pm: float) -> None:
    """Those that no star has, too: what a damaged table holds matches nothing, or something near by chance."""
    assert crossmatch(np.zeros(1), np.zeros(1), gaia([0.0], [0.0], pmra=[pm], pmdec=[pm])).in_gaia.size <= 1


def test_stars_are_matched_where_they_were_at_the_catalogues_epoch() -> None:
    """A fast star has left its position of 2000, and a standing one now looks nearer."""
    position = {"ra": [50.0, 50.0], "dec": [-30.0 + 16 * ARCSEC, -30.0 + 1 * ARCSEC], "ref_epoch": [2016.0, 2016.0]}
    moving = gaia(**position, pmra=[0.0, np.nan], pmdec=[1000.0, np.nan])
    catalog = np.array([50.0]), np.array([-30.0])
    match = crossmatch(*catalog, moving)
    assert match.in_gaia.tolist() == [0]
    assert match.separation[0] == pytest.approx(0.0, abs=1e-6)
    assert crossmatch(*catalog, gaia(**position)).in_gaia.tolist() == [1]
    assert crossmatch(*catalog, moving, epoch=2016.0).in_gaia.tolist() == [1]


def test_of_two_the_closest_wins_and_the_other_takes_what_is_left() -> None:
    """Row 0 is near star 0, but row 1 is nearer; row 0 falls back on star 1; row 2 gets nothing."""
    ra, dec = np.array([0.0, 0.0, 0.0]), np.array([0.0, 0.9, 30.0]) * ARCSEC
    match = crossmatch(ra, dec, gaia([0.0, 0.0], np.array([0.5, -1.5]) * ARCSEC), radius_arcsec=2.0)
    assert match.in_compilation.tolist() == [0, 1]
    assert match.in_gaia.tolist() == [1, 0]
    np.testing.assert_allclose(match.separation, [1.5, 0.4], atol=1e-6)
    assert match.ambiguous.tolist() == [True, True]


def test_equal_places_match_and_rows_without_a_place_do_not() -> None:
    match = crossmatch(np.array([np.nan, 7.0]), np.array([1.0, 7.0]), gaia([7.0, 8.0], [7.0, np.nan]))
    assert match.in_compilation.tolist() == [1]
    assert match.separation.tolist() == [0.0]
    assert match.ambiguous.tolist() == [False]


@pytest.mark.parametrize(("rows", "stars"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_matches_nothing(rows: int, stars: int) -> None:
    match = crossmatch(np.zeros(rows), np.zeros(rows), gaia(np.ones(stars), np.ones(stars)))
    assert match.in_compilation.size == match.in_gaia.size == 0


grid = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=12, unique=True)


@given(grid, grid, st.randoms(use_true_random=False))
def test_the_match_does_not_depend_on_the_order_of_rows(rows: list, stars: list, random: Random) -> None:
    """Places on a grid of 0.7 arcsec across right ascension 0, so equal separations abound."""
    ra, dec = np.array(rows).T * 0.7 * ARCSEC % 360
    dec = (dec + 180) % 360 - 180
    ra2, dec2 = np.array(stars).T * 0.7 * ARCSEC % 360
    dec2 = (dec2 + 180) % 360 - 180
    known = gaia(ra2, dec2)
    order, order2 = list(range(len(rows))), list(range(len(stars)))
    random.shuffle(order)
    random.shuffle(order2)

    def pairs(ra: np.ndarray, dec: np.ndarray, known: dict[str, np.ndarray]) -> set[tuple[float, float, int]]:
        match = crossmatch(ra, dec, known)
        ids = known["source_id"][match.in_gaia].tolist()
        assert len(set(ids)) == len(set(match.in_compilation.tolist())) == len(ids)
        return set(zip(ra[match.in_compilation], dec[match.in_compilation], ids, strict=True))

    shuffled = {name: values[order2] for name, values in known.items()}
    assert pairs(ra, dec, known) == pairs(ra[order], dec[order], shuffled)


def test_gaia_stars_need_their_columns_and_stand_once() -> None:
    with pytest.raises(UserError, match="no column source_id and dec"):
        crossmatch(np.zeros(1), np.zeros(1), {"ra": np.zeros(1)})
    with pytest.raises(UserError, match="1 rows repeat a source_id"):
        crossmatch(np.zeros(1), np.zeros(1), gaia([0.0, 1.0], [0.0, 0.0], source_id=[3, 3]))


def test_test_stars_that_also_teach_are_removed_by_source_id() -> None:
    """Both have ids, so a position in common counts for nothing."""
    test = pl.DataFrame({"source_id": [BIG, BIG + 1], "ra": [1.0, 2.0], "dec": [0.0, 0.0]})
    train = pl.DataFrame({"source_id": [BIG + 1, BIG + 2], "ra": [50.0, 1.0], "dec": [0.0, 0.0]})
    assert without_common(test, train)["source_id"].to_list() == [BIG]
    assert without_common(test.select("source_id"), train.select("source_id"))["source_id"].to_list() == [BIG]


def test_without_ids_test_stars_are_removed_by_position() -> None:
    train = pl.DataFrame({"source_id": [1, None], "ra": [359.9999, 40.0], "dec": [0.0, 89.9999]})
    test = pl.DataFrame(
        {"source_id": [None, 2, 3, None], "ra": [0.0003, 220.0, 0.0003, 9.0], "dec": [0.0, 89.9999, 0.0, 9.0]}
    )
    assert without_common(test, train, 2.0)["ra"].to_list() == [0.0003, 9.0]
    assert without_common(test.drop("source_id"), train, 2.0)["ra"].to_list() == [9.0]
    assert without_common(test, train.drop("source_id"), 0.1).height == 4
    assert without_common(test, train.clear(), 2.0).height == 4
    assert without_common(test.clear(), train, 2.0).height == 0
    with pytest.raises(UserError, match="training stars: no column ra and dec"):
        without_common(test, pl.DataFrame({"feh": [0.0]}), 2.0)
    with pytest.raises(UserError, match="loses digits"):
        without_common(pl.DataFrame({"source_id": [1.5]}), train, 2.0)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_matched_stars_are_labels(tmp_path: Path, suffix: str) -> None:
    stars = pl.DataFrame(
        {
            "name": ["a", "b", "c"], "ra": [10.0, 20.0, 30.0], "dec": [0.0, 0.0, 0.0], "feh": [-1.0, -2.0, -3.0],
            "feh_err": [0.1, None, None], "logg": [None, 2.0, 1.0], "n_rows": [2, 1, 1],
        }
    )  # fmt: skip
    known = gaia([30.0, 10.0], [0.0, 0.0])
    match = crossmatch(stars["ra"].to_numpy(), stars["dec"].to_numpy(), known)
    frame = to_labels(stars, match, known["source_id"])
    assert frame.schema["source_id"] == pl.Int64
    path = tmp_path / f"labels{suffix}"
    (frame.write_parquet if suffix == ".parquet" else frame.write_csv)(path)
    labels = read_labels(path)
    assert labels.source_id.tolist() == [BIG + 1, BIG]
    assert labels.feh.tolist() == [-1.0, -3.0]
    np.testing.assert_array_equal(labels.feh_err, [0.1, np.nan])
    np.testing.assert_array_equal(labels.logg, [np.nan, 1.0])
