"""The Python interface: the same answers as the files', as tables."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import xpfeh
from astropy import units as u
from astropy.table import Table
from gaiaxpy import calibrate as gaiaxpy_calibrate
from matplotlib import pyplot as plt
from xpfeh.columns import CATALOG, FEATURES, to_arrays
from xpfeh.commands.plot import plot_star
from xpfeh.commands.predict import predict_file
from xpfeh.errors import UserError
from xpfeh.evaluate.figures import GREY, ORANGE
from xpfeh.flags import Flag
from xpfeh.inference.predictor import Predictor
from xpfeh.sources.reader import NO_COMPANIONS

from tests.genuine import datalink_file


def test_a_table_gets_the_rows_of_its_file(bundle: Path, tmp_path: Path) -> None:
    path = datalink_file("csv", tmp_path)
    predict_file(str(path), bundle, tmp_path / "feh.parquet", NO_COMPANIONS)
    rows = to_arrays(pq.read_table(tmp_path / "feh.parquet"))
    for given in (str(path), Path(path), Table.read(datalink_file("fits", tmp_path))):
        answer = xpfeh.predict(given, model=bundle)
        assert answer.colnames == CATALOG.names
        same = [name for name in rows if name != "model_version"]
        if isinstance(given, str | Path):
            assert all(np.asarray(answer[name]).tobytes() == rows[name].tobytes() for name in same)
        else:  # FITS holds the coefficients in single precision
            np.testing.assert_allclose(answer["FEH"], rows["FEH"], atol=1e-4)
    assert answer["FEH"].unit == u.dex
    assert answer["PHOT_G_MEAN_MAG"].unit == u.mag
    assert "calibrated 68 % interval" in answer["FEH_err"].description


def test_a_loaded_model_answers_alike_and_meta_says_what_made_it(
    bundle: Path, spectra: dict[str, np.ndarray], tmp_path: Path
) -> None:
    predictor = xpfeh.load_model(bundle)
    assert isinstance(predictor, Predictor)
    answer, again = (xpfeh.predict(spectra, model=model) for model in (predictor, str(bundle)))
    assert np.asarray(answer["FEH"]).tobytes() == np.asarray(again["FEH"]).tobytes()
    assert len(answer) == 300
    assert answer.meta["model"] == predictor.version
    assert answer.meta["preprocess"]["dust_map"] == "sfd-nside64"
    assert {"xpfeh", "commit", "onnxruntime"} <= set(answer.meta["made_by"])
    answer.write(tmp_path / "feh.ecsv")
    assert len(Table.read(tmp_path / "feh.ecsv")) == 300


def test_rejected_rows_are_said_and_listed(bundle: Path, spectra: dict[str, np.ndarray]) -> None:
    twice = {name: np.concatenate([values[:3], values[:1]]) for name, values in spectra.items()}
    with pytest.warns(UserWarning, match=r"1 rows were rejected, row 3 is the first \(repeated source_id\)"):
        answer = xpfeh.predict(twice, model=bundle)
    assert len(answer) == 3
    assert answer.meta["rejected"] == [("the table", 3, int(spectra["source_id"][0]), "repeated source_id")]


def test_features_are_those_of_preprocess(spectra: dict[str, np.ndarray]) -> None:
    features = xpfeh.preprocess(spectra, settings=["sun_height_pc=20.8"])
    assert features.colnames == FEATURES.names
    assert features["flux"].shape == (300, 343)
    assert features.meta["preprocess"]["sun_height_pc"] == 20.8
    with pytest.raises(UserError, match="colour"):
        xpfeh.preprocess(spectra, settings=["colour=red"])


@pytest.mark.parametrize("sampling", [None, np.linspace(400, 900, 51)])
def test_calibrate_stands_in_for_gaiaxpys(sampling: np.ndarray | None, tmp_path: Path) -> None:
    path = datalink_file("csv", tmp_path)
    ours, our_grid = xpfeh.calibrate(str(path), sampling=sampling)
    theirs, their_grid = gaiaxpy_calibrate(str(path), sampling=sampling, save_file=False)
    assert list(ours.columns) == list(theirs.columns)
    np.testing.assert_array_equal(our_grid, their_grid)
    np.testing.assert_array_equal(ours["source_id"], theirs["source_id"])
    for name in ("flux", "flux_error"):
        np.testing.assert_allclose(np.stack(ours[name]), np.stack(theirs[name]), rtol=1e-10)
    with pytest.raises(UserError, match="sampled"):
        xpfeh.calibrate({"source_id": [1], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))})


def test_a_picture_of_a_star_names_what_it_shows(bundle: Path, spectra: dict[str, np.ndarray], tmp_path: Path) -> None:
    star = int(spectra["source_id"][7])
    figure = xpfeh.plot(spectra, source_id=star, model=bundle)
    words = " ".join(text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title, axes._right_title))
    assert str(star) in figure.get_suptitle()
    assert "[Fe/H] = " in words
    assert "CUT_NOT_EVALUATED: giant or dwarf is not known" in words.replace("\n", " ")
    figure.savefig(tmp_path / "star.png")
    plt.close(figure)
    with pytest.raises(UserError, match="there are several stars"):
        xpfeh.plot(spectra, model=bundle)
    with pytest.raises(UserError, match="there is no such star, source_id 5"):
        xpfeh.plot(spectra, source_id=5, model=bundle)


def test_a_picture_does_not_warn_of_a_distance_by_parallax(bundle: Path, spectra: dict[str, np.ndarray]) -> None:
    stars = {name: values[:20] for name, values in spectra.items()}
    stars |= {"parallax": np.full(20, 0.2), "parallax_error": np.full(20, 0.01)}
    flags = np.asarray(xpfeh.predict(stars, model=bundle)["flags"])
    calm = int(stars["source_id"][flags == Flag.PARALLAX_DISTANCE][0])
    warned = int(stars["source_id"][flags > Flag.PARALLAX_DISTANCE][0])
    colours = {}
    for star in (calm, warned):
        figure = xpfeh.plot(stars, source_id=star, model=bundle)
        (colours[star],) = (t.get_color() for axes in figure.axes for t in axes.texts if "_DISTANCE:" in t.get_text())
        plt.close(figure)
    assert (colours[calm], colours[warned]) == (GREY, ORANGE)


def test_a_picture_as_a_file(bundle: Path, tmp_path: Path) -> None:
    source = str(datalink_file("csv", tmp_path))
    plot_star(source, None, bundle, tmp_path / "star.svg")
    assert (tmp_path / "star.svg").read_text().startswith("<?xml")
    with pytest.raises(UserError, match=r"star.gif: not a kind of picture .* choose .png, .pdf, .svg"):
        plot_star(source, None, bundle, tmp_path / "star.gif")


def test_photometry_that_changed_on_disk_is_read_anew(bundle: Path, tmp_path: Path) -> None:
    spectrum = str(datalink_file("csv", tmp_path))
    stars = xpfeh.predict(spectrum, model=bundle)
    photometry = tmp_path / "gaia_source.csv"
    for g_mag in (14.0, 15.0):
        columns = {"source_id": stars["source_id"], "ra": [10.0], "dec": [60.0], "phot_g_mean_mag": [g_mag]}
        columns |= {"phot_bp_mean_mag": [15.0], "phot_rp_mean_mag": [14.0], "phot_bp_rp_excess_factor": [1.2]}
        Table(columns).write(photometry, overwrite=True)
        assert xpfeh.predict(spectrum, model=bundle, photometry=[str(photometry)])["PHOT_G_MEAN_MAG"][0] == g_mag


def test_a_reddening_of_ones_own_is_answered_with_and_marked(hint_bundle: Path, spectra: dict[str, np.ndarray]) -> None:
    plain = xpfeh.predict(spectra, model=hint_bundle)
    ebv = np.asarray(plain["EBV"]).copy()
    ebv[::2] = np.nan
    same = xpfeh.predict({**spectra, "ebv": ebv}, model=hint_bundle)
    marked = (np.asarray(same["flags"]) & np.uint32(Flag.OWN_EBV)) > 0
    np.testing.assert_array_equal(marked, np.isfinite(ebv))
    np.testing.assert_array_equal(np.asarray(same["flags"]) & ~np.uint32(Flag.OWN_EBV), plain["flags"])
    for name in set(CATALOG.names) - {"flags", "model_version"}:
        assert np.asarray(same[name]).tobytes() == np.asarray(plain[name]).tobytes(), name
    other = xpfeh.predict({**spectra, "E_BV": ebv + 0.3}, model=hint_bundle)
    np.testing.assert_array_equal(other["EBV"], np.where(marked, ebv + 0.3, plain["EBV"]))
    moved = ~((other["FEH"] == plain["FEH"]) | (np.isnan(other["FEH"]) & np.isnan(plain["FEH"])))
    assert moved[marked].mean() > 0.9
    assert not moved[~marked].any()
    assert np.asarray(xpfeh.preprocess({**spectra, "ebv": ebv})["flags"])[1] & Flag.OWN_EBV
    with pytest.raises(UserError, match="the table: ebv of row 1 is -99, outside 0 to 100"):
        xpfeh.predict({**spectra, "ebv": np.where(np.arange(300) == 1, -99, 0.1)}, model=hint_bundle)


def test_a_catalog_beside_photometry_brings_its_reddening(hint_bundle: Path, tmp_path: Path) -> None:
    """A catalog itself has no BP and RP, and is no photometry; joined with gaia_source its EBV is taken."""
    spectrum = str(datalink_file("csv", tmp_path))
    catalog = xpfeh.predict(spectrum, model=hint_bundle)
    catalog.write(tmp_path / "catalog.ecsv")
    with pytest.raises(UserError, match=r"catalog\.ecsv: no column phot_bp_mean_mag and phot_rp_mean_mag"):
        xpfeh.predict(spectrum, model=hint_bundle, photometry=[str(tmp_path / "catalog.ecsv")])
    for band in ("bp", "rp"):
        catalog[f"phot_{band}_mean_mag"] = 14.0
    catalog["phot_g_mean_mag"] = 14.0
    catalog["EBV"] = 0.25
    catalog.remove_column("PHOT_G_MEAN_MAG")
    catalog.write(tmp_path / "joined.ecsv")
    again = xpfeh.predict(spectrum, model=hint_bundle, photometry=[str(tmp_path / "joined.ecsv")])
    assert again["EBV"].tolist() == [0.25]
    assert again["flags"][0] & Flag.OWN_EBV


def test_another_dust_map_for_models_that_take_it_as_a_hint(
    bundle: Path, hint_bundle: Path, full_map: None, spectra: dict[str, np.ndarray]
) -> None:
    by_full = xpfeh.predict(spectra, model=hint_bundle, dust_map="sfd")
    assert by_full.meta["preprocess"]["dust_map"] == "sfd"
    expected = xpfeh.preprocess(spectra, settings=["dust_map=sfd"])
    np.testing.assert_array_equal(by_full["EBV"], expected["ebv"])
    own = xpfeh.predict(spectra, model=hint_bundle)
    assert own.meta["preprocess"]["dust_map"] == "sfd-nside64"
    assert (np.asarray(own["EBV"]) != by_full["EBV"]).all()
    given_back = xpfeh.predict({**spectra, "ebv": np.asarray(by_full["EBV"])}, model=hint_bundle)
    assert np.asarray(given_back["FEH"]).tobytes() == np.asarray(by_full["FEH"]).tobytes()
    with pytest.raises(UserError, match=r"recipe paper dereddens by the map it was trained with \(sfd-nside64\)"):
        xpfeh.predict(spectra, model=bundle, dust_map="sfd")
