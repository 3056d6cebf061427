"""The networks' inputs compared with features from when these were dereddened."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.columns import to_arrays
from xpfeh.dataset.dataset import Dataset
from xpfeh.inference.inputs import INPUTS, network_inputs
from xpfeh.settings import PreprocessSettings, Recipe
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.pixels import edges
from xpfeh.xp.preprocess import deredden_spectra, preprocess

SETTINGS = PreprocessSettings()
REMOVED = Recipe()
HINT = Recipe(dust="hint", n_pixels=343)
Columns = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def features(features_dir: Path) -> Columns:
    return to_arrays(Dataset.at(features_dir).read(INPUTS))


def dereddened_pixels(raw: Columns, settings: PreprocessSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and error (N, 60) star by star: spectrum dereddened, scaled to 1 around 550 nm, medians, rms."""
    spectrum = deredden_spectra(raw, settings)
    low, high = settings.normalise_nm
    inside = [i for i, nm in enumerate(WAVELENGTH_NM) if low <= nm <= high]
    ranges = [slice(first, last) for first, last in zip(edges(60)[:-1], edges(60)[1:], strict=True)]
    flux, flux_error = [], []
    for one, error in zip(spectrum["flux"], spectrum["flux_error"], strict=True):
        level = sum(one[i] for i in inside) / len(inside)
        flux.append([np.median(one[each]) / level for each in ranges])
        flux_error.append([np.sqrt(np.mean(error[each] ** 2)) / level for each in ranges])
    return np.array(flux), np.array(flux_error)


@pytest.mark.parametrize("settings", [SETTINGS, PreprocessSettings(normalise_nm=(600.0, 650.0))])
def test_dereddened_inputs_equal_dereddened_features(spectra: Columns, settings: PreprocessSettings) -> None:
    """Within the rounding of features: 2^-13 of a flux, 2^-9 of an error; relatively more for a flux near 0."""
    found = network_inputs(preprocess(spectra, settings), REMOVED, settings)
    flux, flux_error = dereddened_pixels(spectra, settings)
    assert found["ebv"].max() > 1
    np.testing.assert_allclose(found["flux"], flux, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["flux_error"], flux_error, rtol=4e-3)
    near = np.abs(flux) > 0.05
    assert near.mean() > 0.9
    assert np.abs(found["flux"] / flux - 1)[near].max() < 2e-3
    assert np.median(np.abs(found["flux_error"] / flux_error - 1)) < 1e-3


@pytest.mark.parametrize("n_pixels", [60, 343])
def test_a_hint_leaves_the_spectrum_as_observed(features: Columns, n_pixels: int) -> None:
    found = network_inputs(features, HINT.model_copy(update={"n_pixels": n_pixels}), SETTINGS)
    cuts = edges(n_pixels)
    for pixel in (0, n_pixels // 3, n_pixels - 1):
        part = slice(cuts[pixel], cuts[pixel + 1])
        np.testing.assert_allclose(found["flux"][:, pixel], np.median(features["flux"][:, part], axis=1), rtol=1e-6)
        rms = np.sqrt(np.mean(np.square(features["flux_error"][:, part], dtype=np.float64), axis=1))
        np.testing.assert_allclose(found["flux_error"][:, pixel], rms, rtol=1e-6)
    assert found["ebv"] is features["ebv"]


def test_only_removed_dust_changes_the_spectrum(features: Columns) -> None:
    more = {**features, "ebv": features["ebv"] + 0.1}
    for recipe, changes in ((HINT, False), (REMOVED, True)):
        one, other = (network_inputs(stars, recipe, SETTINGS)["flux"] for stars in (features, more))
        assert (not np.array_equal(one, other)) is changes


@pytest.mark.parametrize("recipe", [REMOVED, HINT, Recipe(dust="hint")], ids=["removed", "hint", "hint in 60"])
@hypothesis_settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 5999), min_size=1, max_size=40, unique=True))
def test_a_stars_bytes_do_not_depend_on_its_batch(features: Columns, recipe: Recipe, rows: list[int]) -> None:
    chosen = np.array(rows)
    neighbours = np.union1d(chosen, np.arange(0, 6000, 37))
    some, others = (
        network_inputs({name: values[these] for name, values in features.items()}, recipe, SETTINGS)
        for these in (chosen, neighbours)
    )
    places = np.searchsorted(neighbours, chosen)
    for name, values in some.items():
        assert values.tobytes() == others[name][places].tobytes(), name


def test_a_star_of_unknown_dust_is_nan_and_others_are_unchanged(features: Columns) -> None:
    few = {name: values[:3].copy() for name, values in features.items()}
    good = network_inputs(few, REMOVED, SETTINGS)
    few["ebv"][1] = np.nan
    found = network_inputs(few, REMOVED, SETTINGS)
    for name in INPUTS:
        assert np.isnan(found[name][1]).all()
        assert found[name][[0, 2]].tobytes() == good[name][[0, 2]].tobytes()
    hint = network_inputs(few, HINT, SETTINGS)
    assert np.isnan(hint["ebv"]).tolist() == [False, True, False]
    assert np.isfinite(hint["flux"]).all()


def test_noise_without_light_behind_dust_is_nan() -> None:
    """As observed it is 1 around 550 nm; dereddened, it is negative where dust dims most."""
    flux = np.where(WAVELENGTH_NM < 545, -1.0, 1.0)
    flux /= flux[(WAVELENGTH_NM >= 540) & (WAVELENGTH_NM <= 560)].mean()
    star = {"flux": np.float32(flux[None]), "flux_error": np.full((1, 343), 0.1, np.float32), "ebv": np.array([30.0])}
    for name in ("flux", "flux_error"):
        assert np.isnan(network_inputs(star, REMOVED, SETTINGS)[name]).all()
        assert np.isfinite(network_inputs(star, HINT, SETTINGS)[name]).all()


def test_the_darkest_cloud_of_the_map_does_not_overflow() -> None:
    star = {"flux": np.ones((1, 343), np.float32), "flux_error": np.ones((1, 343), np.float32), "ebv": np.array([50.0])}
    assert np.isfinite(network_inputs(star, REMOVED, SETTINGS)["flux"]).all()


def test_types_match_the_graph(features: Columns) -> None:
    for recipe in (REMOVED, HINT):
        found = network_inputs(features, recipe, SETTINGS)
        assert tuple(found) == INPUTS
        assert found["flux"].dtype == found["flux_error"].dtype == np.float32
        assert found["flux"].shape == (6000, recipe.n_pixels)


def test_a_spectrum_that_overflows_is_nan_without_a_warning() -> None:
    star = {"flux": np.ones((2, 343), np.float32), "flux_error": np.full((2, 343), 0.01, np.float32)}
    inputs = network_inputs({**star, "ebv": np.array([0.1, 99.0])}, Recipe(), PreprocessSettings())
    assert np.isfinite(inputs["flux"][0]).all()
    assert np.isnan(inputs["flux"][1]).all()
    assert np.isnan(inputs["flux_error"][1]).all()
