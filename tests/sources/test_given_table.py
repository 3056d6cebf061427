"""A table in memory is read as the file that it could be."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table
from xpfeh.columns import SPECTRA, to_table
from xpfeh.errors import UserError
from xpfeh.sources.coefficients import KINDS, NO_ID
from xpfeh.sources.reader import NO_COMPANIONS, find_spectra, read

from tests.genuine import datalink_file

MAGNITUDES = tuple(f"phot_{band}_mean_mag" for band in ("g", "bp", "rp"))


def columns_of(source: object) -> tuple[dict[str, np.ndarray], list]:
    (file,) = find_spectra(source)
    (batch,) = read(file, 0, None, NO_COMPANIONS)
    return batch.columns, batch.rejected


def of_kind(kind: str, columns: dict[str, np.ndarray]) -> object:
    lists = {name: [*values] if values.ndim == 2 else values for name, values in columns.items()}
    return {
        "astropy": lambda: Table(columns),
        "pandas": lambda: pd.DataFrame(lists),
        "polars": lambda: pl.DataFrame(lists),
        "arrow": lambda: pa.table({name: [*map(np.asarray, values)] if name in ("flux", "flux_error") else values
                                   for name, values in lists.items()}),
        "fixed-size arrow": lambda: to_table(columns, SPECTRA),
        "arrays": lambda: columns,
    }[kind]()  # fmt: skip


@pytest.mark.parametrize("kind", ["astropy", "pandas", "polars", "arrow", "fixed-size arrow", "arrays"])
def test_every_kind_of_table_gives_the_same_stars(kind: str, spectra: dict[str, np.ndarray]) -> None:
    given = {name: values[:20] for name, values in spectra.items()}
    found, rejected = columns_of(of_kind(kind, given))
    assert rejected == []
    own = ("source_id", "flux", "flux_error") if kind == "fixed-size arrow" else given
    for name in own:
        np.testing.assert_array_equal(found[name], given[name], err_msg=name)
    assert set(found) - set(given) == {"parallax", "parallax_over_error", "ebv"}
    assert np.isnan([found["parallax"], found["ebv"]]).all()


def test_coefficients_of_a_table_are_those_of_its_file(tmp_path: Path) -> None:
    path = datalink_file("fits", tmp_path)
    from_file, _ = columns_of(str(path))
    table = Table.read(path)
    found, rejected = columns_of(table)
    assert rejected == []
    for name, values in from_file.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    without = table.copy()
    without.remove_columns([f"{band}_coefficient_correlations" for band in ("bp", "rp")])
    assert np.isnan(columns_of(without)[0]["bp_coefficient_correlations"]).all()


def test_a_broken_first_row_is_rejected_alone() -> None:
    rows = [54, 55, 55]
    bands = {f"{band}_{kind}": [[1.0] * n for n in rows] for band in ("bp", "rp") for kind in KINDS[:2]}
    found, rejected = columns_of({"source_id": [1, 2, 3], **bands})
    assert found["source_id"].tolist() == [2, 3]
    assert [(each.row, each.reason) for each in rejected] == [(0, "bp_coefficients: 54 numbers, not 55")]


def test_photometry_of_the_table_is_taken_and_the_rest_is_found(spectra: dict[str, np.ndarray]) -> None:
    given = {name: spectra[name][:5] for name in ("source_id", "flux", "flux_error", *MAGNITUDES)}
    given["rgeo"] = MaskedColumn([1000.0] * 5, mask=[False, True, False, False, False])
    found, _ = columns_of(Table(given))
    np.testing.assert_allclose(found["ra"], spectra["ra"][:5], atol=0.03)  # the centre of the identifier's pixel
    np.testing.assert_array_equal(np.isnan(found["rgeo"]), [False, True, False, False, False])
    np.testing.assert_allclose(found["phot_bp_rp_excess_factor"], spectra["phot_bp_rp_excess_factor"][:5])
    given["phot_bp_rp_excess_factor"] = np.array([1.25, *[np.nan] * 4])  # as a request with one star's own has it
    found, _ = columns_of(Table(given))
    expected = [1.25, *spectra["phot_bp_rp_excess_factor"][1:5]]
    np.testing.assert_allclose(found["phot_bp_rp_excess_factor"], expected)


def test_each_row_is_delivered_or_rejected_with_its_reason(spectra: dict[str, np.ndarray]) -> None:
    ids = [17, 18, 17, None, 20]
    flux = [np.ones(343), np.ones(60), np.ones(343), np.ones(343), np.ones(343)]
    found, rejected = columns_of(pl.DataFrame({"source_id": ids, "flux": flux, "flux_error": [np.ones(343)] * 5}))
    assert found["source_id"].tolist() == [17, 20]
    assert [(each.row, each.source_id, each.reason) for each in rejected] == [
        (1, 18, "flux: 60 numbers, not 343"),
        (2, 17, "repeated source_id"),
        (3, None, NO_ID),
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (7, "no table in int"),
        ({"flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}, "no column source_id"),
        ({"source_id": [1]}, "holds no spectra; for those of Gaia.s archive give the identifiers"),
        (
            {"source_id": [1], "bp_coefficients": [[1.0]]},
            "not a file of XP .* lacks bp_coefficient_errors",
        ),
        ({"source_id": [1.5], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}, "source_id is Float64"),
        ({"source_id": [1, 2], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}, "one row per star"),
        (
            Table({"source_id": [1], "flux": np.ones((1, 343)) * u.mag, "flux_error": np.ones((1, 343))}),
            "flux is in mag; give it in W",
        ),
        ({"source_id": [1], "flux": ["much"], "flux_error": np.ones((1, 343))}, ""),
        (
            {"source_id": [1], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343)), "dec": [9.0]},
            "only one of ra and dec",
        ),
        (
            {"source_id": [1], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343)), "ra": [1.0], "dec": [99.0]},
            "dec of row 0",
        ),
        (
            {"source_id": [1], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343)), "phot_g_mean_mag": [-9999]},
            "the table: phot_g_mean_mag of row 0 is -9999, outside -5 to 30",
        ),
        (
            {"source_id": [1], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343)), "rgeo": [-999.0]},
            "the table: rgeo of row 0 is -999, outside 0.1 to 1e\\+07",
        ),
        (
            Table({"source_id": [1], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343)), "Gmag": [14] * u.Jy}),
            "phot_g_mean_mag is in Jy; give it in mag",
        ),
        (pd.DataFrame({"source_id": [], "flux": [], "flux_error": []}), "the table: holds no star"),
        (
            {"source_id": [1], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343)), "ebv": [-0.01]},
            "the table: ebv of row 0 is -0.01, outside 0 to 100",
        ),
        (
            {"source_id": [1], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343)), "ebv": ["much"]},
            "the table: ebv of row 0 is 'much', not a number",
        ),
    ],
)
def test_what_holds_no_spectra_is_refused_in_one_line(table: object, message: str) -> None:
    if message:
        with pytest.raises(UserError, match=message):
            columns_of(table)
    else:
        _, rejected = columns_of(table)
        assert len(rejected) == 1


def test_a_list_may_have_gaps() -> None:
    flux = np.ones((2, 343))
    given = {"source_id": ["17", "18"], "flux": [[*row] for row in flux], "flux_error": flux, "ebv": [0.1, None]}
    columns, rejected = columns_of(given)
    assert (columns["source_id"].tolist(), rejected) == ([17, 18], [])
    np.testing.assert_array_equal(columns["ebv"], [0.1, np.nan])
    columns, rejected = columns_of({**given, "flux": [[*flux[0]], None], "source_id": np.array(["17", "18"], object)})
    assert columns["source_id"].tolist() == [17]
    assert [each.source_id for each in rejected] == [18]


def test_parallaxes_of_a_table_lose_their_zero_point(spectra: dict[str, np.ndarray]) -> None:
    given = Table({name: spectra[name][:3] for name in ("source_id", "flux", "flux_error", *MAGNITUDES)})
    given["parallax"] = [1e-6, 2e-6, np.nan] * u.arcsec
    given["parallax_error"] = [0.1, 0.1, 0.1] * u.mas
    given["tentative_parallax_bias"] = MaskedColumn([-0.04, 0.0, -0.04], mask=[False, True, False], unit=u.mas)
    found, _ = columns_of(given)
    np.testing.assert_allclose(found["parallax"], [0.041, 0.002, np.nan])
    np.testing.assert_allclose(found["parallax_over_error"], [0.01, 0.02, np.nan])
    with pytest.raises(UserError, match="parallax is in pc; give it in mas"):
        columns_of(Table({**given, "parallax": [1.0, 2.0, 3.0] * u.pc}))


def test_units_of_a_table_are_heeded(spectra: dict[str, np.ndarray]) -> None:
    given = {name: spectra[name][:5] for name in ("source_id", "flux", "flux_error")}
    table = Table(given)
    for name in ("flux", "flux_error"):
        table[name] = (table[name].data * u.Unit("W m-2 nm-1")).to("erg s-1 cm-2 AA-1")
    table["rgeo"] = np.arange(1, 6) * u.kpc
    table["E(B-V)"] = [30, 40, 50, 60, 70] * u.mmag
    found, _ = columns_of(table)
    np.testing.assert_allclose(found["ebv"], [0.03, 0.04, 0.05, 0.06, 0.07])
    np.testing.assert_allclose(found["flux"], given["flux"], rtol=1e-12)
    np.testing.assert_allclose(found["rgeo"], np.arange(1, 6) * 1000)


@pytest.mark.parametrize("kind", ["astropy", "pandas", "polars", "arrow", "arrays"])
def test_reddenings_of_a_table_are_taken_where_they_are_known(kind: str, spectra: dict[str, np.ndarray]) -> None:
    given = {name: spectra[name][:3] for name in ("source_id", "flux", "flux_error")}
    found, rejected = columns_of(of_kind(kind, {**given, "EBV": np.array([0.0, np.nan, 0.4])}))
    assert rejected == []
    np.testing.assert_array_equal(found["ebv"], [0.0, np.nan, 0.4])
