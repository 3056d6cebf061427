from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.catalog.samples import SAMPLES
from xpfeh.columns import FEATURES
from xpfeh.errors import UserError
from xpfeh.evaluate.slices import unflagged
from xpfeh.flags import INFORMATIVE, MEANING, NO_PREDICTION, OUTSIDE_PAPER_SAMPLE, Flag, is_good
from xpfeh.settings import PreprocessSettings
from xpfeh.xp.correction_tables import correction_tables
from xpfeh.xp.photometry import passes_giant
from xpfeh.xp.pixels import normalisation
from xpfeh.xp.preprocess import ERROR_BITS, FLUX_BITS, correct_spectra, deredden_spectra, preprocess
from xpfeh.xp.synthetic_photometry import MAGNITUDES

from tests.xp.made_up_correction_tables import made_up_tables

SETTINGS = PreprocessSettings()
Columns = dict[str, np.ndarray]


def taken(columns: Columns, rows: np.ndarray | slice) -> Columns:
    return {name: values[rows].copy() for name, values in columns.items()}


def assert_same_bytes(one: Columns, other: Columns) -> None:
    for name in one:
        assert one[name].tobytes() == other[name].tobytes(), name


def test_delivers_the_columns_of_the_schema(spectra: Columns) -> None:
    features = preprocess(spectra, SETTINGS)
    assert list(features) == FEATURES.names
    assert features["flux"].shape == (300, 343)
    assert features["flux"].dtype == np.float32
    assert features["source_id"].dtype == np.int64


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 299), min_size=1, max_size=40, unique=True))
def test_a_stars_bytes_do_not_depend_on_its_batch(spectra: Columns, rows: list[int]) -> None:
    chosen = np.array(rows)
    measured = np.linspace(-1, 3, 300)
    spectra = {**spectra, "parallax": measured, "parallax_over_error": 3 * measured}
    for seed, name in enumerate(MAGNITUDES):
        spectra[name] = np.where(np.random.default_rng(seed).random(300) < 0.3, np.nan, spectra[name])
    assert_same_bytes(taken(preprocess(spectra, SETTINGS), chosen), preprocess(taken(spectra, chosen), SETTINGS))


def test_features_do_not_depend_on_the_brightness(spectra: Columns) -> None:
    brighter = {**spectra, "flux": spectra["flux"] * 8, "flux_error": spectra["flux_error"] * 8}
    assert_same_bytes(preprocess(spectra, SETTINGS), preprocess(brighter, SETTINGS))


def test_the_normalised_flux_is_one_around_550_nm(spectra: Columns) -> None:
    features = preprocess(spectra, SETTINGS)
    inside = (np.arange(336, 1021, 2) >= 540) & (np.arange(336, 1021, 2) <= 560)
    np.testing.assert_allclose(features["flux"][:, inside].mean(axis=1), 1, rtol=2.0**-FLUX_BITS)


@pytest.mark.parametrize(("column", "bits"), [("flux", FLUX_BITS), ("flux_error", ERROR_BITS)])
def test_numbers_are_rounded_to_their_bits_far_below_the_noise(spectra: Columns, column: str, bits: int) -> None:
    features, exact = preprocess(spectra, SETTINGS), correct_spectra(spectra, SETTINGS)
    assert not (features[column].view(np.uint32) & ((1 << (23 - bits)) - 1)).any()
    level = normalisation(exact["flux"], SETTINGS.normalise_nm)[:, None]
    rounding = features[column] / (exact[column] / level) - 1
    assert np.abs(rounding).max() <= 1.001 * 2.0 ** -(bits + 1)
    assert abs(rounding.mean()) < 5e-3 * 2.0**-bits, "rounded one way"
    assert (np.abs(rounding * exact[column]) < 0.1 * exact["flux_error"]).all()


@pytest.mark.parametrize(
    ("column", "value"),
    [("flux", np.nan), ("flux", np.inf), ("flux_error", np.nan), ("flux_error", 0.0), ("flux_error", -1.0)],
)
def test_a_broken_spectrum_is_flagged_and_keeps_its_row(spectra: Columns, column: str, value: float) -> None:
    broken = taken(spectra, slice(0, 3))
    broken[column][1, 100] = value
    features = preprocess(broken, SETTINGS)
    assert np.isnan(features["flux"][1]).all()
    assert [bool(f & Flag.BAD_SPECTRUM) for f in features["flags"]] == [False, True, False]


def test_a_flux_without_level_is_a_bad_spectrum(spectra: Columns) -> None:
    dark = taken(spectra, slice(0, 1))
    dark["flux"] = -np.abs(dark["flux"])
    assert preprocess(dark, SETTINGS)["flags"][0] & Flag.BAD_SPECTRUM


def test_features_hold_the_spectrum_as_observed(spectra: Columns) -> None:
    """Whatever E(B-V) is: nothing but one number is divided by."""
    features = preprocess(spectra, SETTINGS)
    ratio = features["flux"] / spectra["flux"]
    np.testing.assert_allclose(ratio / ratio[:, :1], 1, rtol=2 * 2.0**-FLUX_BITS)
    assert features["ebv"].max() > 1
    intrinsic = deredden_spectra(spectra, SETTINGS)["flux"] / spectra["flux"]
    assert (intrinsic[:, 0] / intrinsic[:, -1])[features["ebv"] > 1].min() > 5


def test_a_distance_decides_on_the_cuts_in_luminosity_and_height(spectra: Columns) -> None:
    stars = taken(spectra, slice(0, 300))
    stars["rgeo"][:] = 5000.0
    stars["rgeo"][0] = np.nan
    features = preprocess(stars, SETTINGS)
    near = np.abs(5000 * np.sin(np.radians(features["b"]))) <= 200
    assert ((features["flags"][1:] & Flag.NEAR_PLANE) > 0).tolist() == near[1:].tolist()
    not_giant = (features["flags"] & np.uint32(Flag.NOT_GIANT)) > 0
    assert 0 < not_giant.sum() < 300
    assert not_giant[1:].tolist() == (~passes_giant(features["m_g"], features["bp_rp0"]))[1:].tolist()
    assert not features["flags"][0] & (Flag.NEAR_PLANE | Flag.NOT_GIANT)


def test_a_good_parallax_stands_in_for_the_distance(spectra: Columns) -> None:
    stars = taken(spectra, slice(0, 300))
    plain = preprocess(stars, SETTINGS)
    stars |= {"parallax": np.full(300, 0.5), "parallax_over_error": np.full(300, 20.0)}
    stars["rgeo"][:3] = [4000.0, -1.0, np.inf]  # the other two are no distances
    stars["parallax"][3], stars["parallax_over_error"][4] = -0.5, 5.0
    found = preprocess(stars, SETTINGS)
    by_parallax = (found["flags"] & np.uint32(Flag.PARALLAX_DISTANCE)) > 0
    assert by_parallax.tolist() == [False, True, True, False, False, *[True] * 295]
    assert np.isnan(found["m_g"]).tolist() == [False, False, False, True, True, *[False] * 295]
    np.testing.assert_array_equal(found["rgeo"], stars["rgeo"])
    given = {name: values for name, values in stars.items() if "parallax" not in name}
    given["rgeo"] = np.where(by_parallax, 2000.0, np.where(stars["rgeo"] == 4000, 4000.0, np.nan))
    expected = preprocess(given, SETTINGS)
    np.testing.assert_array_equal(found["m_g"], expected["m_g"])
    np.testing.assert_array_equal(found["flags"] & ~np.uint32(Flag.PARALLAX_DISTANCE), expected["flags"])
    for name in set(plain) - {"rgeo", "m_g", "flags"}:
        assert found[name].tobytes() == plain[name].tobytes(), name


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 299), min_size=1, max_size=40, unique=True))
def test_a_stars_own_reddening_does_not_affect_others(spectra: Columns, rows: list[int]) -> None:
    """Whatever the other stars are: some have one, and some do not."""
    chosen = np.array(rows)
    stars = {**spectra, "ebv": np.where(np.arange(300) % 3, np.linspace(0, 3, 300), np.nan)}
    assert_same_bytes(taken(preprocess(stars, SETTINGS), chosen), preprocess(taken(stars, chosen), SETTINGS))


def test_a_reddening_of_ones_own_takes_the_place_of_the_maps(spectra: Columns) -> None:
    plain, given = preprocess(spectra, SETTINGS), np.linspace(0, 3, 300)
    given[::3] = np.nan
    found = preprocess({**spectra, "ebv": given}, SETTINGS)
    own = np.isfinite(given)
    np.testing.assert_array_equal((found["flags"] & np.uint32(Flag.OWN_EBV)) > 0, own)
    np.testing.assert_array_equal(found["ebv"], np.where(own, given, plain["ebv"]))
    assert_same_bytes(taken(found, ~own), taken(plain, ~own))
    assert ((found["flags"] & np.uint32(Flag.HIGH_EXTINCTION)) > 0)[own].tolist() == (given[own] >= 0.5).tolist()
    np.testing.assert_allclose(found["bp_rp0"][own], (plain["bp_rp"] - (SETTINGS.r_bp - SETTINGS.r_rp) * given)[own])
    for name in ("flux", "flux_error"):  # as observed
        assert found[name].tobytes() == plain[name].tobytes()
    brighter = deredden_spectra({**spectra, "ebv": given}, SETTINGS)["flux"][:, 0] / spectra["flux"][:, 0]
    by_map = deredden_spectra(spectra, SETTINGS)["flux"][:, 0] / spectra["flux"][:, 0]
    assert (brighter > by_map).tolist() == (found["ebv"] > plain["ebv"]).tolist()


def test_the_maps_value_given_back_changes_the_flag_alone(spectra: Columns) -> None:
    plain = preprocess(spectra, SETTINGS)
    found = preprocess({**spectra, "ebv": plain["ebv"]}, SETTINGS)
    np.testing.assert_array_equal(found.pop("flags"), plain.pop("flags") | np.uint32(Flag.OWN_EBV))
    assert_same_bytes(found, plain)


def test_a_star_without_a_position_is_answered_by_its_own_reddening(spectra: Columns) -> None:
    stars = taken(spectra, slice(0, 2))
    stars["ra"][:] = stars["dec"][:] = np.nan
    stars["rgeo"][:] = 2000.0
    stars["ebv"] = np.array([0.02, np.nan])
    found = preprocess(stars, SETTINGS)
    assert np.isfinite(found["ebv"]).tolist() == np.isfinite(found["m_g"]).tolist() == [True, False]
    assert ((found["flags"] & np.uint32(Flag.NO_DUST)) > 0).tolist() == [False, True]
    assert not (found["flags"] & np.uint32(Flag.NEAR_PLANE)).any(), "where it is, is not known"


def test_the_map_is_not_needed_where_every_star_has_a_reddening(
    spectra: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path))
    settings = PreprocessSettings(dust_map="sfd")
    stars = {**taken(spectra, slice(0, 3)), "ebv": np.array([0.1, 0.2, 0.3])}
    assert preprocess(stars, settings)["ebv"].tolist() == [0.1, 0.2, 0.3]
    stars["ebv"][1] = np.nan
    with pytest.raises(UserError, match="get it with: xpfeh fetch sfd"):
        preprocess(stars, settings)


def test_without_a_magnitude_nothing_is_by_the_parallax(spectra: Columns) -> None:
    stars = taken(spectra, slice(0, 2)) | {"parallax": np.ones(2), "parallax_over_error": np.full(2, 50.0)}
    stars["phot_g_mean_mag"][0] = stars["flux"][0] = np.nan
    flags = preprocess(stars, SETTINGS)["flags"]
    assert ((flags & np.uint32(Flag.PARALLAX_DISTANCE)) > 0).tolist() == [False, True]


def test_the_flag_of_a_parallax_is_nothing_to_beware_of() -> None:
    assert Flag.PARALLAX_DISTANCE == 131072
    assert not Flag.PARALLAX_DISTANCE & (NO_PREDICTION | OUTSIDE_PAPER_SAMPLE)
    flags = np.array([Flag.PARALLAX_DISTANCE], dtype=np.uint32)
    assert unflagged(flags).all()
    for sample in SAMPLES.values():
        star = {"flags": pa.array(flags), "good": is_good(flags, whole_sky=False), "FEH": [-1.0]}
        assert sample.holds(pa.RecordBatch.from_pydict(star)).all()


def without_photometry(stars: Columns) -> Columns:
    """As a star without a row of gaia_source."""
    unknown = np.full(len(stars["source_id"]), np.nan)
    return {**stars, **dict.fromkeys((*MAGNITUDES, "phot_bp_rp_excess_factor"), unknown)}


def has(features: Columns, flag: Flag) -> list[bool]:
    return ((features["flags"] & np.uint32(flag)) > 0).tolist()


def test_without_photometry_colour_and_magnitude_come_from_the_spectrum(spectra: Columns) -> None:
    spectra = {**spectra, "rgeo": np.full(300, 4000.0)}
    given, made = preprocess(spectra, SETTINGS), preprocess(without_photometry(spectra), SETTINGS)
    for name in ("phot_g_mean_mag", "bp_rp", "bp_rp0", "g0", "m_g"):
        assert np.median(np.abs(made[name] - given[name])) < 0.01, name
    assert np.isnan(made["phot_bp_rp_excess_factor"]).all()
    for name in ("flux", "flux_error", "ra", "ebv", "rgeo"):
        assert made[name].tobytes() == given[name].tobytes(), name
    assert not any(has(given, Flag.NO_PHOTOMETRY))
    assert all(has(made, Flag.NO_PHOTOMETRY))
    assert any(has(given, Flag.BAD_PHOTOMETRY))
    assert not any(has(made, Flag.BAD_PHOTOMETRY))
    for flag in (Flag.COLOUR_RANGE, Flag.NOT_GIANT, Flag.ODD_SN):
        assert np.mean(np.array(has(made, flag)) == has(given, flag)) > 0.95, flag
    assert sum(has(given, Flag.COLOUR_RANGE)) > 50


def test_a_faint_star_without_photometry_is_known_to_be_faint(spectra: Columns) -> None:
    dimmed = {**spectra, "flux": spectra["flux"] / 1000, "flux_error": spectra["flux_error"] / 1000}
    assert not any(has(preprocess(without_photometry(spectra), SETTINGS), Flag.FAINT))
    assert all(has(preprocess(without_photometry(dimmed), SETTINGS), Flag.FAINT))


def test_only_without_a_colour_the_giant_cut_stays_open(spectra: Columns) -> None:
    """What a distance would decide, a prediction does where there is none; the excess factor says nothing of giants."""
    stars = without_photometry(taken(spectra, slice(0, 3)))
    stars["rgeo"] = np.array([4000.0, np.nan, 4000.0])
    assert has(preprocess(stars, SETTINGS), Flag.CUT_NOT_EVALUATED) == [False, False, False]
    stars["flux"][2] = np.nan
    assert has(preprocess(stars, SETTINGS), Flag.CUT_NOT_EVALUATED) == [False, False, True]
    no_excess = {**taken(spectra, slice(0, 2)), "rgeo": np.array([4000.0, np.nan])}
    no_excess["phot_bp_rp_excess_factor"] = np.full(2, np.nan)
    assert has(preprocess(no_excess, SETTINGS), Flag.CUT_NOT_EVALUATED) == [False, False]


@pytest.mark.parametrize("missing", MAGNITUDES)
def test_one_missing_magnitude_is_synthesised_and_the_others_are_kept(spectra: Columns, missing: str) -> None:
    stars = taken(spectra, slice(0, 4))
    stars[missing][1] = np.nan
    given, found = correct_spectra(taken(spectra, slice(0, 4)), SETTINGS), correct_spectra(stars, SETTINGS)
    for name in MAGNITUDES:
        changed = found[name] != given[name]
        assert changed.tolist() == [False, name == missing, False, False]
        assert np.abs(found[name] - given[name]).max() < 0.03
    assert has(preprocess(stars, SETTINGS), Flag.NO_PHOTOMETRY) == [False, True, False, False]


@pytest.mark.parametrize(("column", "value"), [("flux", np.nan), ("flux_error", 0.0), ("flux", -1e-16)])
def test_an_unusable_spectrum_gives_no_magnitude(spectra: Columns, column: str, value: float) -> None:
    stars = without_photometry(taken(spectra, slice(0, 2)))
    stars[column][1] = value
    features = preprocess(stars, SETTINGS)
    for name in ("phot_g_mean_mag", "bp_rp", "bp_rp0", "g0"):
        assert np.isnan(features[name]).tolist() == [False, True], name
    assert has(features, Flag.NO_PHOTOMETRY) == [True, True]
    assert has(features, Flag.CUT_NOT_EVALUATED) == [False, True]


def test_flux_without_its_unit_gives_no_magnitude(spectra: Columns) -> None:
    """Features need no absolute flux, magnitudes do."""
    given = without_photometry(spectra)
    scaled = {**given, "flux": given["flux"] * 1e16, "flux_error": given["flux_error"] * 1e16}
    features = preprocess(scaled, SETTINGS)
    assert np.isnan(features["phot_g_mean_mag"]).all()
    assert not any(has(features, Flag.BAD_SPECTRUM))
    assert all(has(features, Flag.CUT_NOT_EVALUATED))


def test_the_flag_of_synthesised_photometry_is_nothing_to_beware_of() -> None:
    assert Flag.NO_PHOTOMETRY == 1024
    assert Flag.NO_PHOTOMETRY & INFORMATIVE
    assert unflagged(np.array([Flag.NO_PHOTOMETRY], dtype=np.uint32)).all()


def test_every_flag_has_a_meaning() -> None:
    assert set(MEANING) == set(Flag)


def test_the_correction_is_applied_where_its_tables_are(
    spectra: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made-up tables: that they act, are flagged out of range, and that their absence is a `UserError`."""
    correction_tables.cache_clear()
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path))
    chosen = PreprocessSettings(correction="huang2024")
    with pytest.raises(UserError, match="corrections"):
        preprocess(spectra, chosen)
    (tmp_path / "corrections").mkdir()
    made_up_tables(tmp_path / "corrections")
    plain, changed = preprocess(spectra, SETTINGS), preprocess(spectra, chosen)
    outside = (changed["flags"] & np.uint32(Flag.CORRECTION_RANGE)) > 0
    assert not (plain["flags"] & np.uint32(Flag.CORRECTION_RANGE)).any()
    assert 0 < outside.sum() < 300
    assert (np.abs(changed["flux"] - plain["flux"]).max(axis=1)[~outside] > 0).all()
    # Without photometry, the correction is by the magnitudes of the spectra.
    synthesised = preprocess(without_photometry(spectra), chosen)
    assert np.mean(np.array(has(synthesised, Flag.CORRECTION_RANGE)) == outside) > 0.95
    np.testing.assert_allclose(np.median(np.abs(synthesised["flux"] - changed["flux"])), 0, atol=0.001)
    correction_tables.cache_clear()
