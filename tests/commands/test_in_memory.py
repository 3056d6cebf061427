"""The Python interface: the same answers as the files', as tables."""

import inspect
import json
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import xpfeh
from astropy import units as u
from astropy.table import Table, vstack
from gaiaxpy import calibrate as gaiaxpy_calibrate
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from xpfeh.cli.main import main
from xpfeh.columns import CATALOG, FEATURES, to_arrays
from xpfeh.commands.plot import plot_star
from xpfeh.commands.predict import predict_file, sensitivity_file
from xpfeh.errors import UserError
from xpfeh.evaluate.figures import GREY, ORANGE
from xpfeh.flags import Flag
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.reader import NO_COMPANIONS
from xpfeh.star_figure import star_figure

from tests.genuine import datalink_file


def test_a_table_gets_the_rows_of_its_file(bundle: Path, tmp_path: Path) -> None:
    path = datalink_file("csv", tmp_path)
    predict_file(str(path), bundle, tmp_path / "feh.parquet", NO_COMPANIONS)
    rows = to_arrays(pq.read_table(tmp_path / "feh.parquet"))
    for given in (str(path), Path(path), Table.read(datalink_file("fits", tmp_path))):
        answer = xpfeh.predict(given, model=bundle)
        assert answer.colnames == CATALOG.names
        if isinstance(given, str | Path):
            for name in rows:
                np.testing.assert_array_equal(answer[name], rows[name], err_msg=name)
        else:  # FITS holds the coefficients in single precision
            np.testing.assert_allclose(answer["FEH"], rows["FEH"], atol=1e-4)
    assert answer["TEFF"].unit == u.K
    assert answer["FEH"].description == "[Fe/H] [dex]"
    assert answer["PHOT_G_MEAN_MAG"].unit == u.mag
    assert "calibrated 68 % interval" in answer["FEH_err"].description


def test_a_replaced_file_is_reported(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"predict {datalink_file('csv', tmp_path)} --model {bundle} --out {tmp_path}/feh.vot"
    for ending in ("feh.vot\n", "feh.vot (replaced)\n"):
        with pytest.raises(SystemExit):
            main(shlex.split(command))
        assert capsys.readouterr().out.endswith(ending)
    assert len(Table.read(tmp_path / "feh.vot")) == 1


def test_a_loaded_model_gives_the_same_answers_and_meta_names_it(bundle: Path, spectra: dict[str, np.ndarray]) -> None:
    model = xpfeh.load_model(bundle)
    answers = [model.predict(spectra), xpfeh.predict(spectra, model=model), xpfeh.predict(spectra, model=str(bundle))]
    assert len({np.asarray(answer["FEH"]).tobytes() for answer in answers}) == 1
    assert len(answers[0]) == 300
    assert answers[0].meta["model"] == model.version == model.card.version
    assert json.loads(answers[0].meta["settings"])["dust_map"] == "sfd-nside64"
    assert {"xpfeh", "commit", "onnxruntime"} <= set(json.loads(answers[0].meta["versions"]))
    assert xpfeh.load_model(model) is model


def test_rejected_rows_are_reported_and_listed(bundle: Path, spectra: dict[str, np.ndarray]) -> None:
    twice = {name: np.concatenate([values[:3], values[:1]]) for name, values in spectra.items()}
    with pytest.warns(UserWarning, match="1 row was rejected .*lists them") as warned:
        answer = xpfeh.predict(twice, model=bundle)
    assert warned[0].filename == __file__
    assert len(answer) == 3
    line = f"the table: row 3, source_id {spectra['source_id'][0]}: repeated source_id"
    assert answer.meta["rejected"] == [line]


def test_rejected_rows_are_listed_alike_by_calibrate(tmp_path: Path) -> None:
    star = Table.read(datalink_file("fits", tmp_path))
    with pytest.warns(UserWarning, match="1 row was rejected"):
        found, _ = xpfeh.calibrate(vstack([star, star]))
    assert len(found) == 1
    assert found.attrs["rejected"] == [f"the table: row 1, source_id {star['source_id'][0]}: repeated source_id"]


def test_features_are_those_of_preprocess(spectra: dict[str, np.ndarray]) -> None:
    features = xpfeh.preprocess(spectra, sun_height_pc=20.8)
    assert features.colnames == FEATURES.names
    assert features["flux"].shape == (300, 343)
    assert json.loads(features.meta["settings"])["sun_height_pc"] == 20.8
    assert features.meta["wave_nm"] == np.arange(336.0, 1021.0, 2.0).tolist()
    with pytest.raises(UserError, match=r"setting dust_map: .*'sfd-nside64' or 'sfd' \(given: 'planck'\)"):
        xpfeh.preprocess(spectra, dust_map="planck")  # type: ignore[arg-type]


def test_the_keywords_of_preprocess_are_the_settings() -> None:
    keywords = {
        name: each.default
        for name, each in inspect.signature(xpfeh.preprocess).parameters.items()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert keywords == dict(PreprocessSettings())


def test_sensitivity_is_that_of_the_file(bundle: Path, spectra: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = str(datalink_file("csv", tmp_path))
    slopes = xpfeh.sensitivity(path, model=bundle)
    sensitivity_file(path, bundle, tmp_path / "slopes.fits", NO_COMPANIONS)
    written = Table.read(tmp_path / "slopes.fits")
    np.testing.assert_array_equal(slopes["dfeh_dflux"], written["dfeh_dflux"])
    assert slopes.meta["wave_nm"] == written.meta["WAVE_NM"]
    assert len(slopes.meta["wave_nm"]) == slopes["dfeh_dflux"].shape[1]


@pytest.mark.parametrize("sampling", [None, np.linspace(400, 900, 51)])
def test_calibrate_can_replace_gaiaxpys(sampling: np.ndarray | None, tmp_path: Path) -> None:
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
    assert xpfeh.load_model(bundle).version in " ".join(text.get_text() for text in figure.texts)
    assert "CUT_NOT_EVALUATED: giant or dwarf is not known" in words.replace("\n", " ")
    figure.savefig(tmp_path / "star.png")
    plt.close(figure)
    listed = ", ".join(map(str, spectra["source_id"][:5].tolist()))
    with pytest.raises(xpfeh.InputError, match=f"there are several stars; choose one by its source_id: {listed}, ...$"):
        xpfeh.plot(spectra, model=bundle)
    with pytest.raises(xpfeh.InputError, match=f"no such star, source_id 5: the source has {listed}, ...$"):
        xpfeh.plot(spectra, source_id=5, model=bundle)
    for not_one in ("Sirius", 5.9e18):
        with pytest.raises(
            xpfeh.InputError, match=r"source_id .* is not an identifier; give an integer, or its digits"
        ):
            xpfeh.plot(spectra, source_id=not_one, model=bundle)


def drawn(features: dict[str, np.ndarray], answer: dict[str, np.ndarray], bundle: Path) -> Figure:
    card = xpfeh.load_model(bundle).card
    slopes = np.full((1, card.recipe.n_pixels), np.nan if np.isnan(answer["FEH"][0]) else 0.1, np.float32)
    figure = star_figure(features, answer, slopes, card)
    plt.close(figure)
    return figure


def test_a_picture_shows_only_what_is_known(bundle: Path, spectra: dict[str, np.ndarray]) -> None:
    star = {name: np.array(values[7:8]) for name, values in spectra.items()}
    features = {name: np.asarray(values) for name, values in xpfeh.preprocess(star).items()}
    answer = {name: np.asarray(values) for name, values in xpfeh.predict(star, model=bundle).items()}
    inside = drawn(features, {**answer, "flags": np.array([0])}, bundle)
    outside = drawn(features, {**answer, "flags": np.array([Flag.OUTSIDE_DOMAIN])}, bundle)
    titles = [figure.axes[-1]._right_title for figure in (inside, outside)]
    assert [title.get_weight() for title in titles] == ["bold", "normal"]
    assert titles[1].get_text().startswith("outside the model's domain:")
    assert len(inside.axes) == 3
    nothing = {name: np.full_like(answer[name], np.nan) for name in answer if name.startswith("FEH")}
    flux = np.full((1, 343), np.nan, np.float32)
    flags = np.array([Flag.MISSING_BAND | Flag.BAD_SPECTRUM])
    bad = drawn({**features, "flux": flux, "flux_error": flux}, {**answer, **nothing, "flags": flags}, bundle)
    assert [axes.axison for axes in bad.axes] == [False]


def test_a_picture_does_not_warn_about_a_distance_from_the_parallax(
    bundle: Path, spectra: dict[str, np.ndarray]
) -> None:
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
    gaia = {"source_id": xpfeh.calibrate(source)[0]["source_id"], "ra": [251.0], "dec": [-53.0]}
    gaia |= {"phot_g_mean_mag": [9.75], "phot_bp_mean_mag": [10.5], "phot_rp_mean_mag": [9.0]}
    Table(gaia).write(tmp_path / "gaia.csv")
    with pytest.raises(SystemExit) as done:
        main(shlex.split(f"plot {source} --photometry {tmp_path}/gaia.csv --model {bundle} --out {tmp_path}/star.png"))
    assert done.value.code == 0
    assert (tmp_path / "star.png").stat().st_size > 10_000
    figure = xpfeh.plot(source, model=bundle, photometry=gaia)
    assert "G 9.75" in figure.axes[0]._right_title.get_text()
    plt.close(figure)
    with pytest.raises(UserError, match=r"star.gif: this picture format .* choose .png, .pdf, .svg"):
        plot_star(source, None, bundle, tmp_path / "star.gif")


def test_photometry_that_changed_on_disk_is_read_again(bundle: Path, tmp_path: Path) -> None:
    spectrum = str(datalink_file("csv", tmp_path))
    stars = xpfeh.predict(spectrum, model=bundle)
    photometry = tmp_path / "gaia_source.csv"
    for g_mag in (14.0, 15.0):
        columns = {"source_id": stars["source_id"], "ra": [251.5], "dec": [-51.5], "phot_g_mean_mag": [g_mag]}
        columns |= {"phot_bp_mean_mag": [15.0], "phot_rp_mean_mag": [14.0], "phot_bp_rp_excess_factor": [1.2]}
        Table(columns).write(photometry, overwrite=True)
        assert xpfeh.predict(spectrum, model=bundle, photometry=[str(photometry)])["PHOT_G_MEAN_MAG"][0] == g_mag


def test_a_given_reddening_is_used_and_flagged(hint_bundle: Path, spectra: dict[str, np.ndarray]) -> None:
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


def test_a_catalog_joined_with_photometry_gives_its_reddening(hint_bundle: Path, tmp_path: Path) -> None:
    """A catalog itself has no BP and RP, and is not photometry; joined with gaia_source its EBV is used."""
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
    assert json.loads(by_full.meta["settings"])["dust_map"] == "sfd"
    expected = xpfeh.preprocess(spectra, dust_map="sfd")
    np.testing.assert_array_equal(by_full["EBV"], expected["ebv"])
    own = xpfeh.predict(spectra, model=hint_bundle)
    assert (np.asarray(own["EBV"]) != by_full["EBV"]).all()
    given_back = xpfeh.predict({**spectra, "ebv": np.asarray(by_full["EBV"])}, model=hint_bundle)
    assert np.asarray(given_back["FEH"]).tobytes() == np.asarray(by_full["FEH"]).tobytes()
    with pytest.raises(UserError, match=r"recipe paper dereddens with the map it was trained with \(sfd-nside64\)"):
        xpfeh.predict(spectra, model=bundle, dust_map="sfd")


@pytest.mark.parametrize("sampling", [[300.0, 400.0], [500.0, 400.0], [500.0, 500.0], [], ["blue"], [5000.0]])
def test_a_sampling_that_gaiaxpy_refuses_is_refused(sampling: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^sampling: must be "):
        xpfeh.calibrate(datalink_file("csv", tmp_path), sampling=sampling)


def test_a_sampling_may_have_a_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spectrum = datalink_file("csv", tmp_path)
    in_nm, _ = xpfeh.calibrate(spectrum, sampling=[500.0, 600.0])
    in_angstrom, wavelength_nm = xpfeh.calibrate(spectrum, sampling=[5000.0, 6000.0] * u.AA)
    assert wavelength_nm.tolist() == [500.0, 600.0]
    np.testing.assert_array_equal(in_angstrom["flux"][0], in_nm["flux"][0])
    assert capsys.readouterr().out == "", "GaiaXPy's own progress"


def test_a_position_far_from_that_of_the_identifier_gives_a_warning(bundle: Path, tmp_path: Path) -> None:
    spectrum = datalink_file("csv", tmp_path)
    hours = {"source_id": [5937083312263887616], "ra": [251.5 / 15], "dec": [-51.5]}
    hours |= {"phot_g_mean_mag": [9.75], "phot_bp_mean_mag": [10.5], "phot_rp_mean_mag": [9.0]}
    with pytest.warns(UserWarning, match=r"^1 of 1 star is more than a degree from the position in its source_id"):
        xpfeh.predict(spectrum, model=bundle, photometry=hours)


@pytest.mark.parametrize("n", [0, 2.5, "3"])
def test_draws_are_counted_in_whole_numbers(n: object, bundle: Path, spectra: dict[str, np.ndarray]) -> None:
    stars = xpfeh.predict(spectra, model=bundle)
    with pytest.raises(UserError, match="draw at least one, a whole number"):
        xpfeh.samples(stars, n)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="seed is -1"):
        xpfeh.samples(stars, 3, seed=-1)
