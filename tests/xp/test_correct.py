"""Against a slow loop over stars, on made-up tables in the layout of the real ones."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.errors import UserError
from xpfeh.xp.correct import colours, correct
from xpfeh.xp.correction_tables import CorrectionTables

from tests.xp.made_up_correction_tables import made_up_tables

MadeUp = dict[str, np.ndarray]
Stars = dict[str, np.ndarray]
EDGES = [-5.0, 2.7, 2.7026, 2.703, 2.9999, 3.0, 5.0005, 9.9994, 9.9996, 10.0, 10.0005, 12.3445, 12.3455, 17.1215]
EDGES += [17.122, 17.1224, 17.1226, 17.3999, 17.4, 17.4004, 17.4996, 17.5, 17.6495, 17.65, 17.6504, 17.7, 18.0, 40.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("made_up_tables")
    yield folder
    shutil.rmtree(folder)  # 50 MB


@pytest.fixture(scope="module")
def made_up(folder: Path) -> MadeUp:
    return made_up_tables(folder)


@pytest.fixture(scope="module")
def tables(folder: Path, made_up: MadeUp) -> CorrectionTables:
    return CorrectionTables.read(folder)


def made_up_stars(g_mag: np.ndarray, seed: int = 1) -> Stars:
    """Made-up spectra whose C2 and C3 lie around and beyond the made-up tables."""
    rng = np.random.default_rng(seed)
    n = len(g_mag)
    flux = 1 + np.cumsum(rng.normal(0, 0.025, (n, 343)), axis=1)
    flux *= 10 ** rng.uniform(-17, -13, (n, 1))
    return {
        "flux": flux,
        "flux_error": np.abs(flux) * rng.uniform(0.002, 0.1, (n, 343)),
        "g_mag": g_mag,
        "bp_rp": rng.uniform(-0.8, 2.3, n),
        "ebv": rng.uniform(0, 1, n),
    }


def flat_stars(g_mag: list[float]) -> Stars:
    """C2 = C3 = 0."""
    ones = np.ones((len(g_mag), 343))
    mild = np.full(len(g_mag), 0.5)
    return {"flux": ones, "flux_error": 0.01 * ones, "g_mag": np.array(g_mag), "bp_rp": mild, "ebv": mild}


def slow_correction(star: Stars, made_up: MadeUp, absolute: bool) -> tuple[np.ndarray | None, float, float]:
    """The rules of GaiaXPcorrection, one star at a time: its factors, or None where it stays as it is; C2; C3."""

    def row(index: str, factors: str, place: float) -> np.ndarray:
        (found,) = np.flatnonzero(np.abs(made_up[index][:, 0] - np.round(place, 3)) < 1e-4)
        return made_up[factors][found]

    def bright_row(place: float) -> np.ndarray:
        return row("untruc_interG_CM.csv", "untruc_interyyG_CM.csv", place)

    flux, error, g = star["flux"], star["flux_error"], float(star["g_mag"])
    if not (np.isfinite(flux).all() and np.isfinite(error).all() and np.isfinite(g)):
        return None, np.nan, np.nan
    angstrom = np.arange(3360, 10201, 20)
    level, level_error = np.mean(flux[62:78]), np.sqrt(sum(e**2 for e in error[62:78])) / 16
    relative = np.sqrt((error / flux) ** 2 + (level_error / level) ** 2)

    def mean(a: int, b: int) -> float:
        return np.polyfit(np.zeros(b - a), flux[a:b] / level, 0, w=relative[a:b] ** -2)[0]

    def slope(a: int, b: int, c: int) -> float:
        return (mean(a, b) - mean(b, c)) / (np.mean(angstrom[a:b]) / 1000 - np.mean(angstrom[b:c]) / 1000)

    c2, c3 = slope(27, 49, 71), slope(71, 102, 133)
    c2_index, c3_index = made_up["untruc_interC2_CM.csv"][:, 0], made_up["untruc_interC3_CM.csv"][:, 0]
    if c2 < c2_index[0] or c2 > c2_index[-1] or c3 < c3_index[0] or c3 > c3_index[-1]:
        return None, c2, c3
    factor = row("untruc_interC2_CM.csv", "untruc_interyyC2_CM.csv", c2)
    factor = factor * row("untruc_interC3_CM.csv", "untruc_interyyC3_CM.csv", c3)
    if g < 2.703:
        return factor * bright_row(2.703), c2, c3
    if g < 10:
        return factor * bright_row(g), c2, c3
    factor = factor * row("interGext_CM.csv", "untruc_interyyGext_CM.csv", 17.4 if g > 17.4 else g)
    factor = factor * np.mean(bright_row(17.122 if g > 17.122 else g)[62:78])
    if absolute:
        place = 17.65 if g > 17.65 else g
        factor[:105] *= row("inter_phot.csv", "inter_BP.csv", place)
        factor[105:] *= row("inter_phot.csv", "inter_RP.csv", place)
    return factor, c2, c3


def slow_caution(star: Stars, factor: np.ndarray | None) -> int:
    if factor is None:
        return 2
    return 0 if -0.5 < star["bp_rp"] < 2 and 3 < star["g_mag"] < 17.5 and star["ebv"] < 0.8 else 1


def of(stars: Stars, i: int) -> Stars:
    return {name: values[i] for name, values in stars.items()}


@pytest.mark.parametrize("absolute", [True, False])
def test_equals_a_slow_loop(tables: CorrectionTables, made_up: MadeUp, absolute: bool) -> None:
    rng = np.random.default_rng(2)
    stars = made_up_stars(np.concatenate([np.repeat(EDGES, 8), rng.uniform(2, 18.5, 300)]))
    stars["flux"][3, 200] = np.nan
    stars["flux_error"][11, 0] = np.inf
    stars["g_mag"][19] = np.nan
    stars["flux"][27] = 0
    flux, flux_error, caution = correct(**stars, tables=tables, absolute=absolute)
    seen = set()
    for i in range(len(flux)):
        star = of(stars, i)
        factor, *_ = (None,) if i == 27 else slow_correction(star, made_up, absolute)
        seen.add((slow_caution(star, factor), star["g_mag"] >= 10))
        assert caution[i] == slow_caution(star, factor), i
        if factor is None:
            assert flux[i].tobytes() == star["flux"].tobytes()
            assert flux_error[i].tobytes() == star["flux_error"].tobytes()
        else:
            np.testing.assert_allclose(flux[i], star["flux"] * factor, rtol=1e-13)
            np.testing.assert_allclose(flux_error[i], star["flux_error"] * factor, rtol=1e-13)
    assert len(seen) == 6
    assert caution[[3, 11, 19, 27]].tolist() == [2, 2, 2, 2]


def test_the_colours_are_polyfits(made_up: MadeUp) -> None:
    stars = made_up_stars(np.full(50, 12.0), seed=3)
    c2, c3 = colours(stars["flux"], stars["flux_error"])
    expected = [slow_correction(of(stars, i), made_up, True)[1:] for i in range(50)]
    np.testing.assert_allclose(np.stack([c2, c3], axis=1), expected, rtol=1e-9, atol=1e-12)


def test_by_hand(tables: CorrectionTables, made_up: MadeUp) -> None:
    """C2 = C3 = 0 are rows 500 and 300; G = 9.123 is row 6420, 17.3 row 8300 of the extended table."""
    flux, _, caution = correct(**flat_stars([9.123, 17.3]), tables=tables, absolute=True)
    colour = made_up["untruc_interyyC2_CM.csv"][500] * made_up["untruc_interyyC3_CM.csv"][300]
    bright = made_up["untruc_interyyG_CM.csv"]
    np.testing.assert_allclose(flux[0], colour * bright[6420], rtol=1e-13)
    faint = colour * made_up["untruc_interyyGext_CM.csv"][8300] * bright[-1, 62:78].mean()
    np.testing.assert_allclose(flux[1, :105], faint[:105] * made_up["inter_BP.csv"][7300], rtol=1e-13)
    np.testing.assert_allclose(flux[1, 105:], faint[105:] * made_up["inter_RP.csv"][7300], rtol=1e-13)
    assert caution.tolist() == [0, 0]


def test_absolute_correction_begins_at_10(tables: CorrectionTables) -> None:
    stars = flat_stars([9.9996, 10.0])
    with_it, without = (correct(**stars, tables=tables, absolute=absolute)[0] for absolute in (True, False))
    assert (with_it == without).all(axis=1).tolist() == [True, False]


@pytest.mark.parametrize(
    ("place", "row"), [(-0.5, 0), (-0.4995, 0), (-0.4985, 2), (0.0005, 500), (0.0015, 502), (0.6994, 1199), (0.7, 1200)]
)
def test_rounds_ties_to_even(tables: CorrectionTables, made_up: MadeUp, place: float, row: int) -> None:
    (found,) = tables.c2.at(np.array([place]))
    assert found.tolist() == made_up["untruc_interyyC2_CM.csv"][row].tolist()


def test_a_table_holds_its_ends(tables: CorrectionTables) -> None:
    places = np.array([-0.5, 0.7, np.nextafter(-0.5, -1), np.nextafter(0.7, 1), np.nan])
    assert tables.c2.holds(places).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("column", "value", "caution"),
    [
        ("bp_rp", -0.5, 1), ("bp_rp", 2.0, 1), ("bp_rp", 1.999, 0), ("bp_rp", np.nan, 1),
        ("ebv", 0.8, 1), ("ebv", 0.0, 0), ("ebv", np.nan, 1),
        ("g_mag", 3.0, 1), ("g_mag", 3.001, 0), ("g_mag", 17.5, 1), ("g_mag", 17.499, 0),
        ("g_mag", np.nan, 2), ("g_mag", np.inf, 2),
    ],
)  # fmt: skip
def test_caution(tables: CorrectionTables, column: str, value: float, caution: int) -> None:
    stars = flat_stars([12.0])
    stars[column] = np.array([value])
    flux, _, found = correct(**stars, tables=tables, absolute=True)
    assert found.tolist() == [caution]
    assert found.dtype == np.uint8
    assert (flux != stars["flux"]).any() == (caution < 2)


@pytest.mark.parametrize("column", ["flux", "flux_error"])
@pytest.mark.parametrize("value", [0.0, np.nan, -np.inf])
def test_a_spectrum_without_colours_is_unchanged(tables: CorrectionTables, column: str, value: float) -> None:
    stars = flat_stars([8.0, 12.0, 17.0])
    stars[column] = stars[column].copy()
    stars[column][1] = value
    flux, flux_error, caution = correct(**stars, tables=tables, absolute=True)
    assert caution.tolist() == [0, 2, 0]
    assert flux[1].tobytes() == stars["flux"][1].tobytes()
    assert flux_error[1].tobytes() == stars["flux_error"][1].tobytes()


def test_no_stars_are_no_error(tables: CorrectionTables) -> None:
    flux, flux_error, caution = correct(**flat_stars([]), tables=tables, absolute=True)
    assert flux.shape == flux_error.shape == (0, 343)
    assert caution.shape == (0,)


MANY = made_up_stars(np.random.default_rng(4).uniform(2, 18.5, 120), seed=5)
MANY["flux"][7, 300] = np.nan


@hypothesis_settings(max_examples=40)
@given(rows=st.lists(st.integers(0, 119), min_size=1, max_size=40), order=st.sampled_from("CF"), absolute=st.booleans())
def test_a_stars_bytes_do_not_depend_on_its_batch(
    tables: CorrectionTables, rows: list[int], order: str, absolute: bool
) -> None:
    before = {name: values.tobytes() for name, values in MANY.items()}
    whole = correct(**MANY, tables=tables, absolute=absolute)
    part = {name: np.array(values[rows], order=order) for name, values in MANY.items()}
    for one, other in zip(whole, correct(**part, tables=tables, absolute=absolute), strict=True):
        assert one[rows].tobytes() == other.tobytes()
    assert before == {name: values.tobytes() for name, values in MANY.items()}


def altered(folder: Path, copy: Path, name: str, change: Callable[[str], str]) -> Path:
    """Make a folder whose files are those of another, but one."""
    for file in folder.iterdir():
        if file.name != name:
            (copy / file.name).symlink_to(file)
    (copy / name).write_text(change((folder / name).read_text()))
    return copy


def test_missing_files_are_all_named(made_up: MadeUp, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        CorrectionTables.read(tmp_path)
    assert all(name in str(error.value) for name in made_up)
    assert str(tmp_path) in str(error.value)


def test_one_missing_file_is_named(folder: Path, made_up: MadeUp, tmp_path: Path) -> None:
    altered(folder, tmp_path, "inter_RP.csv", str)
    (tmp_path / "inter_RP.csv").unlink()
    with pytest.raises(UserError, match=r"has no inter_RP\.csv; get"):
        CorrectionTables.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("untruc_interyyC2_CM.csv", lambda text: "1," + text, "has 344 columns and not 343"),
        ("untruc_interyyC2_CM.csv", lambda text: text + "1,1\n", "is empty or has empty fields"),
        ("untruc_interyyC2_CM.csv", lambda text: text + "1," * 343 + "1\n", "is not 343 columns of numbers"),
        ("untruc_interyyC2_CM.csv", lambda text: text.replace("1.05", "one", 1), "is not 343 columns of numbers"),
        ("untruc_interyyC2_CM.csv", lambda text: text[: text.rindex("\n", 0, -1) + 1], "has 1200 rows and untruc_"),
        ("untruc_interyyC2_CM.csv", lambda text: "", "has 1 columns and not 343"),
        ("untruc_interC2_CM.csv", lambda text: "C2\n" + text, "is not 1 columns of numbers"),
        ("untruc_interC2_CM.csv", lambda text: "", "is empty or has empty fields"),
        ("untruc_interC2_CM.csv", lambda text: text.replace("0.25\n", "0.2504\n"), "does not rise by 0.001"),
        ("inter_phot.csv", lambda text: "".join(f"{g / 1000}\n" for g in range(9900, 17601)), "goes from 9.9 to 17.6"),
    ],
)
def test_a_file_of_another_layout_is_named(
    folder: Path, made_up: MadeUp, tmp_path: Path, name: str, change: Callable[[str], str], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        CorrectionTables.read(altered(folder, tmp_path, name, change))
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_index_may_be_written_with_rounding_errors(folder: Path, made_up: MadeUp, tmp_path: Path) -> None:
    """As the real ones are: -0.00999999999999995."""
    altered(folder, tmp_path, "untruc_interC3_CM.csv", lambda text: text.replace("-0.01\n", "-0.00999999999999995\n"))
    assert CorrectionTables.read(tmp_path).c3.at(np.array([-0.01])).tolist() == [
        made_up["untruc_interyyC3_CM.csv"][290].tolist()
    ]


def test_a_factor_that_is_not_a_number_leaves_the_star_unchanged(folder: Path, made_up: MadeUp, tmp_path: Path) -> None:
    altered(folder, tmp_path, "inter_RP.csv", lambda text: "NaN\n" + text.split("\n", 1)[1])
    stars = flat_stars([9.0, 10.0, 10.001])
    flux, _, caution = correct(**stars, tables=CorrectionTables.read(tmp_path), absolute=True)
    assert caution.tolist() == [0, 2, 0]
    assert (flux[1] == 1).all()


def test_the_fingerprint_is_of_the_bytes(
    folder: Path, made_up: MadeUp, tables: CorrectionTables, tmp_path: Path
) -> None:
    bytes_of_all = b"".join((folder / name).read_bytes() for name in sorted(made_up))
    assert tables.fingerprint == hashlib.sha256(bytes_of_all).hexdigest()
    altered(folder, tmp_path, "inter_BP.csv", lambda text: "1.2345\n" + text.split("\n", 1)[1])
    (tmp_path / "readme").write_text("not a table")
    assert CorrectionTables.read(tmp_path).fingerprint != tables.fingerprint
