from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from xpfeh.errors import UserError
from xpfeh.sources.companions import Companions, id_range
from xpfeh.xp.parallax import PARALLAX_INPUTS, distance_pc

from tests.genuine import gaia_source_rows

BIG = 5_937_083_312_263_887_617
NAMES = ["source_id", "ra", "dec", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag"]
ROWS = {"source_id": [BIG, 5], "ra": [10.0, 20.0], "dec": [-5.0, 6.0], "phot_g_mean_mag": [12.0, 13.0]}
ROWS |= {"phot_bp_mean_mag": [12.5, 13.6], "phot_rp_mean_mag": [11.3, 12.2]}


def written(folder: Path, suffix: str, rows: dict[str, list]) -> str:
    path = folder / f"gaia{suffix}"
    match suffix:
        case ".parquet":
            pl.DataFrame(rows).write_parquet(path)
        case ".csv":
            pl.DataFrame(rows).write_csv(path)
        case ".ecsv":
            Table(rows).write(path, format="ascii.ecsv")
        case ".fits":
            Table(rows).write(path)
        case ".xml":
            Table(rows).write(path, format="votable")
    return str(path)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".ecsv", ".fits", ".xml"])
def test_every_format_is_joined_by_the_exact_identifier(tmp_path: Path, suffix: str) -> None:
    companions = Companions([written(tmp_path, suffix, ROWS)], [])
    found = companions.of(np.array([5, BIG - 1, BIG]))
    assert found["phot_g_mean_mag"][[0, 2]].tolist() == [13.0, 12.0]
    assert np.isnan(found["phot_g_mean_mag"][1])
    assert np.isnan(found["rgeo"]).all()
    np.testing.assert_allclose(found["phot_bp_rp_excess_factor"][2], 1.2596, atol=0.0002)


def test_a_star_without_a_row_is_placed_by_its_identifier() -> None:
    ids = np.array([5937083312263887616, 4295806720])
    found = Companions([], []).of(ids)
    # Gaia DR3's own positions of the two.
    known = SkyCoord([249.6, 44.996] * u.deg, [-52.0, 0.006] * u.deg)
    apart = SkyCoord(found["ra"] * u.deg, found["dec"] * u.deg).separation(known)
    assert apart[1] < 60 * u.arcsec
    assert np.isfinite(found["ra"]).all()


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_genuine_parallaxes_are_corrected_for_their_zero_point(tmp_path: Path, suffix: str) -> None:
    rows = gaia_source_rows()
    chosen = rows.select(*NAMES, *(name for name in PARALLAX_INPUTS if name in rows.columns)).to_dict(as_series=False)
    found = Companions([written(tmp_path, suffix, chosen)], []).of(rows["source_id"].to_numpy())
    measured = rows["parallax"].to_numpy()
    moved = found["parallax"] - measured
    solved, pseudocolour = rows["astrometric_params_solved"], rows["pseudocolour"].to_numpy()
    np.testing.assert_array_equal(np.isnan(found["parallax"]), (solved == 3).to_numpy())
    bright = ((solved == 31) & (rows["phot_g_mean_mag"] < 18)).to_numpy()
    assert ((moved > 0.02) & (moved < 0.05))[bright].all()
    beyond = (solved == 95).to_numpy() & ((pseudocolour <= 1.24) | (pseudocolour >= 1.72))
    assert beyond.any()
    assert (moved[beyond] == 0).all()
    np.testing.assert_array_equal(found["parallax_over_error"], rows["parallax_over_error"].to_numpy())
    distance = distance_pc(found["parallax"], found["parallax_over_error"])
    np.testing.assert_array_equal(np.isfinite(distance), np.nan_to_num(rows["parallax_over_error"].to_numpy()) > 5)
    del chosen["parallax_over_error"]
    computed = Companions([written(tmp_path, suffix, chosen)], []).of(rows["source_id"].to_numpy())
    np.testing.assert_allclose(computed["parallax_over_error"], found["parallax_over_error"], rtol=1e-6)
    np.testing.assert_array_equal(computed["parallax"], found["parallax"])


def test_tables_with_and_without_parallaxes_can_be_combined(tmp_path: Path) -> None:
    """One of DR4, which has a bias and no number of solved parameters, and one that was fetched without parallaxes."""
    dr4 = {**ROWS, "parallax": [0.5, 1.0], "parallax_error": [0.05, 0.05], "tentative_parallax_bias": [-0.03, None]}
    paths = [written(tmp_path, ".csv", dr4), written(tmp_path, ".parquet", {**ROWS, "source_id": [6, 7]})]
    found = Companions(paths, []).of(np.array([BIG, 5, 6, 8]))
    np.testing.assert_allclose(found["parallax"], [0.53, 1.0, np.nan, np.nan])
    np.testing.assert_allclose(found["parallax_over_error"], [10.0, 20.0, np.nan, np.nan])
    with pytest.raises(UserError, match="parallax of row 0 is 'small', not a number"):
        Companions([written(tmp_path, ".csv", {**ROWS, "parallax": ["small", "1"]})], []).of(np.array([5]))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".fits"])
def test_own_reddenings_come_with_the_photometry(tmp_path: Path, suffix: str) -> None:
    first = written(tmp_path, suffix, {**ROWS, "E(B-V)": [0.03, np.nan]})
    second = written(tmp_path, ".ecsv", {**ROWS, "source_id": [6, 7]})
    found = Companions([first, second], []).of(np.array([BIG, 5, 6, 8]))
    np.testing.assert_array_equal(found["ebv"], [0.03, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("name", ["r_med_geo", "rgeo"])
def test_distances_by_either_name(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, ".csv", {"source_id": [BIG], name: [2500.0]})
    assert Companions([], [path]).of(np.array([BIG]))["rgeo"].tolist() == [2500.0]


def test_limits_of_the_distance_are_not_used_as_the_distance(tmp_path: Path) -> None:
    """I/352's b_rgeo and B_rgeo differ from each other in case only."""
    rows = {"Source": [BIG], "b_rgeo": [1.0], "rgeo": [2.0], "B_rgeo": [3.0]}
    assert Companions([], [written(tmp_path, ".csv", rows)]).of(np.array([BIG]))["rgeo"].tolist() == [2.0]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({k: v for k, v in ROWS.items() if k != "dec"}, "no column dec; there are: source_id, ra, phot_g"),
        ({k: v for k, v in ROWS.items() if k != "source_id"}, "no column source_id; there are: ra, dec"),
        ({**ROWS, "source_id": [1.5e18, 2.5]}, "loses digits"),
        ({**ROWS, "source_id": ["5", "Gaia DR2 5"]}, "source_id of row 1 is 'Gaia DR2 5'"),
        ({**ROWS, "source_id": [5, None]}, "source_id of row 1 is missing"),
        ({**ROWS, "source_id": [5, 5]}, "1 row repeats a source_id, row 1 is the first"),
        ({**ROWS, "dec": [0.0, 95.0]}, "dec of row 1 is 95, outside -90 to 90"),
        ({**ROWS, "ra": [-0.5, 0.0]}, "ra of row 0 is -0.5, outside 0 to 360"),
        ({**ROWS, "EBV": [0.1, -99.0]}, "EBV of row 1 is -99, outside 0 to 100"),
        ({**ROWS, "ebv": [100.1, 0.0]}, "ebv of row 0 is 100.1, outside 0 to 100"),
        ({**ROWS, "e_bv": ["much", "0.1"]}, "e_bv of row 0 is 'much', not a number"),
        ({**ROWS, "phot_g_mean_mag": ["bright", "12.5"]}, "phot_g_mean_mag of row 0 is 'bright', not a number"),
        ({name: [] for name in ROWS}, "empty|loses digits"),
    ],
)
def test_wrong_photometry_gets_one_line(tmp_path: Path, suffix: str, rows: dict[str, list], message: str) -> None:
    path = written(tmp_path, suffix, rows)
    with pytest.raises(UserError, match=message) as error:
        Companions([path], []).of(np.array([5, BIG]))
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"source_id": [BIG], "r_med_geo": ["2.5 kpc"]}, "r_med_geo of row 0 is '2.5 kpc', not a number"),
        ({"source_id": [BIG], "r_med_geo": ["--"]}, "no column r_med_geo or rgeo with values"),
        (ROWS, "no column r_med_geo or rgeo"),
    ],
)
def test_wrong_distances_get_one_line(tmp_path: Path, rows: dict[str, list], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Companions([], [written(tmp_path, ".parquet", rows)]).of(np.array([BIG]))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        Companions([str(tmp_path / "none.csv")], []).of(np.array([BIG]))


def test_dashes_and_gaps_are_unknown(tmp_path: Path) -> None:
    """A star without a position is placed by its identifier, one without magnitudes has no excess factor."""
    rows = {**ROWS, "ra": ["10.0", "--"], "dec": ["-5.0", None], "phot_bp_mean_mag": ["-", "13.6"]}
    found = Companions([written(tmp_path, ".csv", rows)], []).of(np.array([BIG, 5]))
    assert found["ra"][0] == 10.0
    assert found["ra"][1] == pytest.approx(45, abs=0.1)
    assert np.isnan(found["phot_bp_rp_excess_factor"]).tolist() == [True, False]


def test_the_first_file_that_has_a_star_decides(tmp_path: Path) -> None:
    first = written(tmp_path, ".csv", {**ROWS, "phot_g_mean_mag": [9.0, 9.0]})
    later = written(tmp_path, ".parquet", {**ROWS, "source_id": [5, 6]})
    found = Companions([first, later], []).of(np.array([5, 6]))
    assert found["phot_g_mean_mag"].tolist() == [9.0, 13.0]


def test_only_files_that_can_hold_the_stars_are_read(tmp_path: Path) -> None:
    """Of Gaia's bulk files by their names, of Parquet by its statistics, of others never knowing."""
    pixel = 2**43
    bulk = tmp_path / "GaiaSource_000000-000001.csv"
    pl.DataFrame({**ROWS, "source_id": [5, 2 * pixel - 1]}).write_csv(bulk)
    (tmp_path / "far").mkdir()
    later = tmp_path / "far" / "GaiaSource_000002-000003.csv"
    later.write_text("this is read only for its own stars")
    parquet = written(tmp_path, ".parquet", {**ROWS, "source_id": [4 * pixel, 4 * pixel + 9]})
    assert id_range(str(bulk)) == (0, 2 * pixel - 1)
    assert id_range(parquet) == (4 * pixel, 4 * pixel + 9)
    assert id_range("stars_000002-000003.csv") == (-(2**63), 2**63 - 1)
    for ids in (["5", "6"], [5.0, 6.0], [None, None]):  # no integers: read, and refused, whatever the stars
        refused = written(tmp_path / "far", ".parquet", {**ROWS, "source_id": ids})
        assert id_range(refused) == (-(2**63), 2**63 - 1)
    companions = Companions([str(bulk), str(later), parquet], [])
    for ids in ([5, 2 * pixel - 1], [4 * pixel], [5]):
        assert np.isfinite(companions.of(np.array(ids))["phot_g_mean_mag"]).all()
    with pytest.raises(UserError, match="GaiaSource_000002-000003"):
        companions.of(np.array([2 * pixel]))
