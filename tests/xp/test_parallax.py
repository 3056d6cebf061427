"""The zero point of parallaxes against the formula written out star by star, and which of them become distances."""

import math
from pathlib import Path

import numpy as np
import pytest
import zero_point
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.xp.parallax import PARALLAX_INPUTS, corrected_parallax, distance_pc
from xpfeh.xp.parallax import zero_point as zero_point_of

from tests.genuine import gaia_source_rows

NAMES = ("phot_g_mean_mag", *PARALLAX_INPUTS)
TABLES = {31: "z5_200720.txt", 95: "z6_200720.txt"}
TERMS = {31: ("00", "01", "02", "10", "11", "20", "30", "40"), 95: ("00", "01", "02", "10", "11", "12", "20")}


def by_hand(g_mag: float, colour: float, ecl_lat: float, parameters: int) -> float:
    """Lindegren et al. (2021), Eqs. A.3 to A.5: the sum of q_jk(G) c_j(colour) b_k(beta), in mas."""
    file = Path(zero_point.__file__).parent / "coefficients" / TABLES[parameters]
    rows = [[float(cell) for cell in line.split(",")] for line in file.read_text().splitlines()[2:]]
    below = max(row for row in rows[:-1] if row[0] <= g_mag)
    above = rows[rows.index(below) + 1]
    h = (g_mag - below[0]) / (above[0] - below[0])
    c = {
        "0": 1.0,
        "1": -0.24 if colour <= 1.24 else colour - 1.48 if colour <= 1.72 else 0.24,
        "2": 0.24**3 if colour <= 1.24 else (1.48 - colour) ** 3 if colour <= 1.48 else 0.0,
        "3": colour - 1.24 if colour <= 1.24 else 0.0,
        "4": colour - 1.72 if colour > 1.72 else 0.0,
    }
    sine = math.sin(math.radians(ecl_lat))
    b = {"0": 1.0, "1": sine, "2": sine**2 - 1 / 3}
    q = [(1 - h) * low + h * high for low, high in zip(below[1:], above[1:], strict=True)]
    return sum(value * c[j] * b[k] for value, (j, k) in zip(q, TERMS[parameters], strict=True)) / 1000


def stars(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Made-up astrometry over the whole range of the zero point, half of it with six parameters."""
    rng = np.random.default_rng(seed)
    six = rng.random(n) < 0.5
    parallax, error = rng.normal(0.5, 1, n), rng.uniform(0.01, 0.3, n)
    return {
        "phot_g_mean_mag": rng.uniform(6.01, 20.99, n),
        "parallax": parallax,
        "parallax_error": error,
        "parallax_over_error": parallax / error,
        "nu_eff_used_in_astrometry": np.where(six, np.nan, rng.uniform(1.11, 1.89, n)),
        "pseudocolour": np.where(six, rng.uniform(1.25, 1.71, n), np.nan),
        "ecl_lat": rng.uniform(-90, 90, n),
        "astrometric_params_solved": np.where(six, 95.0, 31.0),
        "tentative_parallax_bias": np.full(n, np.nan),
    }


def test_the_zero_point_is_that_of_the_formula() -> None:
    some = stars(2000)
    colour = np.fmax(some["nu_eff_used_in_astrometry"], some["pseudocolour"])
    columns = (some["phot_g_mean_mag"], colour, some["ecl_lat"], some["astrometric_params_solved"])
    expected = [by_hand(*star) for star in zip(*(column.tolist() for column in columns), strict=True)]
    np.testing.assert_allclose(zero_point_of(some), expected, atol=6e-7)  # the package rounds to 1e-6 mas


def test_genuine_stars_get_the_zero_point_of_the_formula() -> None:
    columns = ("phot_g_mean_mag", "nu_eff_used_in_astrometry", "pseudocolour", "ecl_lat", "astrometric_params_solved")
    rows = gaia_source_rows().select("parallax", *columns)
    found = zero_point_of({name: rows[name].to_numpy() for name in rows.columns})
    compared = 0
    for row, bias in zip(rows.iter_rows(named=True), found.tolist(), strict=True):
        g_mag, nu_eff, pseudocolour, ecl_lat, parameters = (row[name] for name in columns)
        if parameters == 31 or (parameters == 95 and 1.24 < pseudocolour < 1.72):
            assert bias == pytest.approx(by_hand(g_mag, nu_eff or pseudocolour, ecl_lat, parameters), abs=6e-7)
            compared += 1
        else:
            assert bias == 0
    assert compared > 30


def test_the_zero_point_by_a_pocket_calculator() -> None:
    """At G = 10.8 and colour 1.48 on the ecliptic: (-27.23 - 23.04 / 3) microarcsec."""
    star = {"parallax": [1.0], "phot_g_mean_mag": [10.8], "nu_eff_used_in_astrometry": [1.48], "ecl_lat": [0.0]}
    star["astrometric_params_solved"] = [31]
    np.testing.assert_allclose(zero_point_of(star), -0.03491, atol=1e-6)


@pytest.mark.parametrize(
    "changed",
    [
        {"phot_g_mean_mag": 5.9},
        {"phot_g_mean_mag": 21.5},
        {"phot_g_mean_mag": np.nan},
        {"nu_eff_used_in_astrometry": 1.95},
        {"nu_eff_used_in_astrometry": np.nan},
        {"nu_eff_used_in_astrometry": 1e308},
        {"astrometric_params_solved": 95.0, "pseudocolour": 1.2},
        {"astrometric_params_solved": 3.0},
        {"astrometric_params_solved": np.nan},
        {"ecl_lat": np.inf},
    ],
)
def test_without_a_known_zero_point_the_parallax_is_as_measured(changed: dict[str, float]) -> None:
    star = {"parallax": 2.0, "phot_g_mean_mag": 12.0, "nu_eff_used_in_astrometry": 1.5, "ecl_lat": 30.0}
    star |= {"astrometric_params_solved": 31.0}
    alone = {name: np.array([value]) for name, value in (star | changed).items()}
    assert corrected_parallax(alone)["parallax"].tolist() == [2.0]
    assert corrected_parallax({name: np.array([value]) for name, value in star.items()})["parallax"][0] > 2.02


def test_the_bias_of_dr4_is_subtracted_and_goes_first() -> None:
    """A negative bias means that the parallax is too small."""
    some = {**stars(3), "parallax": np.ones(3), "tentative_parallax_bias": np.array([-0.04, 0.01, np.nan])}
    found = corrected_parallax(some)["parallax"]
    np.testing.assert_allclose(found[:2], [1.04, 0.99])
    assert found[2] == corrected_parallax(stars(3) | {"parallax": np.ones(3)})["parallax"][2] != 1.0
    bare = {name: some[name] for name in ("parallax", "parallax_error", "tentative_parallax_bias")}  # DR4 has no other
    np.testing.assert_allclose(corrected_parallax(bare)["parallax"], [1.04, 0.99, 1.0])


def test_parallax_over_error_is_that_of_the_archive() -> None:
    some = stars(50)
    given = corrected_parallax(some)["parallax_over_error"]
    np.testing.assert_array_equal(given, some["parallax_over_error"])
    del some["parallax_over_error"]
    np.testing.assert_array_equal(corrected_parallax(some)["parallax_over_error"], given)
    some["parallax_error"][:2] = [0.0, np.nan]
    assert np.isnan(corrected_parallax(some)["parallax_over_error"]).tolist() == [True, True, *[False] * 48]


def test_only_a_good_parallax_is_a_distance() -> None:
    parallax = np.array([2.0, 2.0, 0.0, -1.0, np.nan, 2.0, np.inf, 5e-324])
    over_error = np.array([5.1, 5.0, 9.0, 9.0, 9.0, np.nan, 9.0, 9.0])
    np.testing.assert_array_equal(distance_pc(parallax, over_error), [500.0, *[np.nan] * 7])


ANY = st.floats(width=64) | st.sampled_from([31.0, 95.0, 12.0, 1.5, 30.0])


@hypothesis_settings(max_examples=200)
@given(rows=st.lists(st.tuples(*[ANY] * len(NAMES)), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_any_numbers_are_taken_and_a_star_does_not_depend_on_its_batch(
    rows: list[tuple[float, ...]], seed: int
) -> None:
    some = {
        name: np.r_[np.array([row[i] for row in rows]), stars(7, seed)[name]]  # (stars,)
        for i, name in enumerate(NAMES)
    }
    together = corrected_parallax(some)
    distance = distance_pc(*together.values())
    for i in range(len(rows) + 7):
        alone = corrected_parallax({name: values[i : i + 1] for name, values in some.items()})
        assert {name: values.tobytes() for name, values in alone.items()} == {
            name: values[i : i + 1].tobytes() for name, values in together.items()
        }
        assert distance_pc(*alone.values()).tobytes() == distance[i : i + 1].tobytes()


def test_no_stars_at_all() -> None:
    assert corrected_parallax(stars(0))["parallax"].size == 0
