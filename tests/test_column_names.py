"""Columns with the names that users's tables have, in every reader."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.archive.star_lists import read_ids
from xpfeh.column_names import GAIA, find_columns
from xpfeh.errors import UserError
from xpfeh.labels.label_table import read_labels
from xpfeh.labels.literature import read_literature
from xpfeh.labels.neighbourhood import Neighbourhood
from xpfeh.sources.companions import Companions, id_range
from xpfeh.sources.given_table import GivenTable
from xpfeh.tables.checks import with_source_id
from xpfeh.tables.positions import degrees
from xpfeh.tables.reading import read_stars

BIG = 6_917_521_541_514_092_417  # odd and beyond 2^53: a float would change it
VIZIER = ("Source", "RA_ICRS", "DE_ICRS", "Gmag", "BPmag", "RPmag", "E(BP/RP)")
OURS = ("source_id", "ra", "dec", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "phot_bp_rp_excess_factor")
VALUES = (BIG, 10.0, -5.0, 12.0, 12.5, 11.3, 1.2)

CASES: list[Callable[[str], str]] = [str, str.lower, str.upper, str.title, str.swapcase]


def table(path: Path, names: tuple[str, ...], values: tuple[object, ...] = VALUES) -> str:
    pl.DataFrame([values], schema=list(names), orient="row").write_csv(path)
    return str(path)


@given(st.lists(st.sampled_from(CASES), min_size=7, max_size=7), st.sampled_from([VIZIER, OURS]))
def test_case_never_changes_what_is_found(cases: list[Callable[[str], str]], names: tuple[str, ...]) -> None:
    there = [case(name) for case, name in zip(cases, names, strict=True)]
    assert find_columns(there, OURS) == {ours: [name] for ours, name in zip(OURS, there, strict=True)}


def test_no_name_means_two_things() -> None:
    all_names = [name for ours, others in GAIA.items() for name in {ours, *others}]
    assert len(all_names) == len({*all_names})
    assert all(name == name.lower() for name in all_names)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("names", [VIZIER, OURS])
def test_photometry(tmp_path: Path, names: tuple[str, ...], case: Callable[[str], str]) -> None:
    path = table(tmp_path / "gaia.csv", tuple(map(case, names)))
    found = Companions([path], []).of(np.array([BIG]))
    assert [found[name][0] for name in OURS[1:]] == list(VALUES[1:])


@pytest.mark.parametrize(
    ("extra", "ra"),
    [
        (("ra", "dec", "RA_ICRS", "DE_ICRS", "RAJ2000", "DEJ2000"), 1.0),
        (("RAJ2000", "DEJ2000", "RA_ICRS", "DE_ICRS"), 3.0),
        (("_RAJ2000", "_DEJ2000", "_RA", "_DE"), 3.0),
        (("_RAJ2000", "_DEJ2000", "RAJ2000", "DEJ2000"), 3.0),
        (("ra", "RA_ICRS", "DE_ICRS", "note"), 2.0),  # a right ascension without a declination is not a position
        (("RA", "Decl", "_RA", "_DE"), 1.0),
    ],
)
def test_positions_of_several_systems_go_by_the_documented_order(tmp_path: Path, extra: tuple, ra: float) -> None:
    path = table(tmp_path / "stars.csv", ("source_id", *extra), (7, *(1.0 + i for i in range(len(extra)))))
    stars = read_stars(path, ["ra", "dec"])
    assert stars["ra"].to_list() == [ra]
    assert stars["dec"].to_list() == [ra + 1]


def test_positions_of_j2000_first_where_that_is_the_epoch() -> None:
    there = ["RA_ICRS", "DE_ICRS", "RAJ2000", "DEJ2000"]
    assert find_columns(there, ["ra", "dec"], j2000_first=True) == {"ra": ["RAJ2000"], "dec": ["DEJ2000"]}
    assert find_columns([*there, "RA", "DEC"], ["ra", "dec"], j2000_first=True) == {"ra": ["RA"], "dec": ["DEC"]}


def test_a_position_is_never_of_two_systems(tmp_path: Path) -> None:
    path = table(tmp_path / "stars.csv", ("source_id", "RA_ICRS", "DEJ2000"), (7, 1.0, 2.0))
    with pytest.raises(UserError, match=r"stars\.csv: no column dec; there are: source_id, RA_ICRS, DEJ2000"):
        read_stars(path, ["ra", "dec"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".ecsv"])
def test_names_that_differ_only_in_case_must_agree(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"stars{suffix}"

    def write(second: float) -> None:
        frame = pl.DataFrame({"source_id": [7], "RA": [1.0], "ra": [second], "dec": [2.0]})
        if suffix == ".ecsv":
            Table(frame.to_dict(as_series=False)).write(path, format="ascii.ecsv", overwrite=True)
        else:
            (frame.write_csv if suffix == ".csv" else frame.write_parquet)(path)

    write(1.0)
    assert read_stars(path, ["ra", "dec"]).rows() == [(7, 1.0, 2.0)]
    write(1.5)
    with pytest.raises(
        UserError, match="the columns ra and RA differ only in case but hold different values; keep one"
    ):
        read_stars(path, ["ra", "dec"])


def test_two_wanted_names_that_differ_only_in_case_are_two_columns(tmp_path: Path) -> None:
    path = table(tmp_path / "stars.csv", ("source_id", "FEH", "feh"), (7, -1.0, -1.2))
    assert read_stars(path, ["feh", "FEH"]).rows() == [(7, -1.2, -1.0)]


def test_percentiles_are_never_used_as_the_distance(tmp_path: Path) -> None:
    """VizieR's I/352 has the 16th percentile as b_rgeo and the 84th as B_rgeo."""
    path = table(tmp_path / "distances.csv", ("Source", "b_rgeo", "B_rgeo"), (BIG, 900.0, 1100.0))
    with pytest.raises(UserError, match="no column r_med_geo or rgeo with values"):
        Companions([], [path]).of(np.array([BIG]))
    for name in ("rgeo", "RGEO", "r_med_geo", "R_MED_GEO"):
        path = table(tmp_path / "d.csv", ("Source", "b_rgeo", name, "B_rgeo"), (BIG, 900.0, 1000.0, 1100.0))
        assert Companions([], [path]).of(np.array([BIG]))["rgeo"].tolist() == [1000.0]


def test_a_reddening_is_not_the_excess_factor() -> None:
    assert find_columns(["E(BP-RP)"], ["phot_bp_rp_excess_factor"]) == {}
    assert find_columns(["E_BP-RP_"], ["phot_bp_rp_excess_factor"]) == {}


@pytest.mark.parametrize("name", ["ebv", "EBV", "e_bv", "E_BV", "E(B-V)", "E_B-V_"])
def test_reddenings(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "gaia.csv", (*OURS, name), (*VALUES, 0.03))
    assert Companions([path], []).of(np.array([BIG]))["ebv"].tolist() == [0.03]


@pytest.mark.parametrize("name", ["e_B-V", "B-V", "E(BP-RP)", "ebpminrp_gspphot", "azero_gspphot", "e_ebv", "A_V"])
def test_other_columns_are_not_used_as_a_reddening(tmp_path: Path, name: str) -> None:
    """VizieR's e_B-V is the error of a colour; E(BP-RP) and A0 are on other scales than SFD98's."""
    path = table(tmp_path / "gaia.csv", (*OURS, name), (*VALUES, 0.03))
    assert np.isnan(Companions([path], []).of(np.array([BIG]))["ebv"]).all()


@pytest.mark.parametrize("name", ["Source_ID", "source", "GaiaDR3", "GAIAEDR3", "gaiadr3_source_id"])
def test_identifiers(tmp_path: Path, name: str) -> None:
    assert with_source_id(pl.DataFrame({name: [BIG]}), "stars.csv")["source_id"].to_list() == [BIG]
    assert read_ids(table(tmp_path / "ids.csv", (name, "ra"), (BIG, 1.0))).tolist() == [BIG]
    pl.DataFrame({name: [5, BIG]}).write_parquet(tmp_path / "gaia.parquet")
    assert id_range(str(tmp_path / "gaia.parquet")) == (5, BIG)


def test_identifiers_of_dr2_are_not_dr3s() -> None:
    with pytest.raises(UserError, match="no column source_id; there are: GaiaDR2"):
        with_source_id(pl.DataFrame({"GaiaDR2": [BIG]}), "stars.csv")


def test_a_bare_list_under_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text(f"SOURCE_ID\n{BIG}\n")
    assert read_ids(tmp_path / "ids").tolist() == [BIG]


def test_labels(tmp_path: Path) -> None:
    names = ("SOURCE_ID", "FeH", "feh_ERR", "LOGG", "Reference")
    labels = read_labels(table(tmp_path / "labels.csv", names, (BIG, -1.5, 0.1, 2.0, "Me 2026")))
    assert (labels.source_id.tolist(), labels.feh.tolist(), labels.feh_err.tolist()) == ([BIG], [-1.5], [0.1])
    assert (labels.logg.tolist(), labels.reference.tolist()) == ([2.0], ["Me 2026"])
    literature = read_literature(tmp_path / "labels.csv")
    assert literature.select("source_id", "feh", "reference").rows() == [(BIG, -1.5, "Me 2026")]


def test_a_neighbourhood(tmp_path: Path) -> None:
    names = ("DR3_SOURCE_ID", "DR4_SOURCE_ID", "ANGULAR_DISTANCE", "MAGNITUDE_DIFFERENCE")
    pairs = Neighbourhood(table(tmp_path / "pairs.csv", names, (7, BIG, 0.1, 0.0)))
    assert pairs.move(pl.DataFrame({"source_id": [7]})).table["source_id"].to_list() == [BIG]


@pytest.mark.parametrize("kind", [Table, pl.DataFrame, dict])
@pytest.mark.parametrize("case", CASES)
def test_tables_in_memory(kind: type, case: Callable[[str], str]) -> None:
    names = (*VIZIER, "r_med_geo")
    columns = {case(name): [value] for name, value in zip(names, (*VALUES, 900.0), strict=True)}
    columns |= {case(name): [[1.0] * 343] for name in ("flux", "flux_error")}
    (batch,) = GivenTable(kind(columns)).read()
    found = {name: batch.columns[name][0] for name in (*OURS, "rgeo")}
    assert found == dict(zip((*OURS, "rgeo"), (*VALUES, 900.0), strict=True))


def test_units_of_tables_in_memory_under_other_names() -> None:
    stars = Table({"Source": [7], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343)), "r_med_geo": [0.9]})
    stars["r_med_geo"].unit = "kpc"
    (batch,) = GivenTable(stars).read()
    assert batch.columns["rgeo"].tolist() == [900.0]
    with pytest.raises(UserError, match="the table: the columns flux and FLUX differ only in case"):
        GivenTable({**{name: stars[name] for name in stars.colnames}, "FLUX": np.zeros((1, 343))})


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        (["01 02 00", "15.5", None], "ra", [15.5, 15.5, None]),
        (["-00:30:00", "+1"], "dec", [-0.5, 1.0]),
        ([1.5, float("nan")], "dec", [1.5, None]),
    ],
)
def test_positions_in_degrees_or_sexagesimal(cells: list, kind: str, expected: list) -> None:
    assert degrees(pl.Series("DE", cells), kind, "stars.csv").to_list() == pytest.approx(expected)


def test_an_invalid_position_is_reported_with_the_tables_name() -> None:
    with pytest.raises(UserError, match=r"^stars\.csv: DEJ2000 of row 0 is 'north', neither degrees nor sexagesimal"):
        degrees(pl.Series("DEJ2000", ["north"]), "dec", "stars.csv")
    with pytest.raises(UserError, match=r"^stars\.csv: DEJ2000 of row 0 is 91, outside -90 to 90"):
        degrees(pl.Series("DEJ2000", [91]), "dec", "stars.csv")
