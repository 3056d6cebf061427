"""The scale on which networks learn T_eff, log g and [alpha/M], and the origin of their columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.columns import CATALOG
from xpfeh.inference.answers import answers_of
from xpfeh.inference.further_labels import FURTHER_LABELS, LARGEST, network_labels
from xpfeh.inference.predictor import COLUMNS, columns_of, with_all_columns
from xpfeh.inference.stretch import UNSTRETCHED, Stretch
from xpfeh.labels.label_table import Labels
from xpfeh.settings import Recipe


@given(st.floats(-LARGEST, LARGEST), st.sampled_from(FURTHER_LABELS))
def test_the_scale_is_invertible(units: float, label: object) -> None:
    star = {each.name: np.array([each.centre + units * each.unit]) for each in FURTHER_LABELS}
    np.testing.assert_allclose(network_labels(star), np.float32(units), atol=1e-5)


def test_labels_of_hot_stars_are_clipped_and_unknown_labels_stay_unknown() -> None:
    star = {"teff": np.array([15_000.0, 1000.0]), "logg": np.array([np.nan, 2.2]), "alpha_m": np.array([0.22, np.nan])}
    np.testing.assert_allclose(network_labels(star), [[LARGEST, np.nan, 1], [-LARGEST, 0, np.nan]], atol=1e-6)


@pytest.mark.parametrize(("name", "giant", "dwarf"), [("teff", 4700, 5800), ("logg", 2.2, 4.4), ("alpha_m", 0.1, 0.0)])
def test_usual_stars_are_within_a_few_units_of_giants(name: str, giant: float, dwarf: float) -> None:
    (label,) = [each for each in FURTHER_LABELS if each.name == name]
    assert abs(giant - label.centre) <= 0.5 * label.unit
    assert abs(dwarf - label.centre) < LARGEST * label.unit


def test_each_has_its_columns_in_labels_and_catalogs() -> None:
    for label in FURTHER_LABELS:
        assert label.name in Labels.__dataclass_fields__
        assert {label.column, label.error_column} <= set(CATALOG.names) & set(COLUMNS)
        assert CATALOG.field(label.column).metadata[b"unit"] == CATALOG.field(label.error_column).metadata[b"unit"]
    assert CATALOG.field("TEFF").metadata[b"unit"] == b"K"
    assert all(CATALOG.field(name).nullable for name in COLUMNS)


def test_a_recipe_without_further_labels_has_null_for_them() -> None:
    plain, all_of_them = columns_of(Recipe()), columns_of(Recipe(further_labels=0.1))
    assert plain == all_of_them[: len(plain)]
    assert all_of_them == COLUMNS
    columns = {name: np.full(3, i, np.float32) for i, name in enumerate(plain)}
    found = with_all_columns(columns)
    assert tuple(found) == COLUMNS
    for name, values in found.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, columns.get(name, np.full(3, np.nan)))
    found["FEH"][0] = 9.0
    found["TEFF"][0] = 9.0
    assert columns["FEH"][0] == 0.0
    assert np.isnan(found["LOGG"]).all()  # no two columns share an array


def members(labels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, sigma and deviation, (6, L)."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(6, labels))
    mean[:, 0] = [-3.0, -2.5, -2.0, -1.0, 0.0, 0.4]
    return mean, rng.uniform(0.1, 1, (6, labels)), rng.uniform(0.1, 1, (6, labels))


INPUTS = {"flux": np.full((6, 4), 2.0), "flux_error": np.full((6, 4), 0.5), "ebv": np.linspace(0, 1, 6)}


def test_answers_have_names_and_the_first_is_stretched() -> None:
    mean, sigma, deviation = members(4)
    found = answers_of(mean, sigma, deviation, INPUTS, Stretch(factor=1.5))
    longer = np.where(mean[:, 0] < -2, 1.5, 1.0)
    np.testing.assert_allclose(found["feh"], np.minimum(mean[:, 0], -2 + 1.5 * (mean[:, 0] + 2)))
    np.testing.assert_allclose(found["aleatoric"], longer * sigma[:, 0])
    np.testing.assert_allclose(found["epistemic"], longer * deviation[:, 0])
    np.testing.assert_array_equal(found["ebv"], INPUTS["ebv"])
    for i, label in enumerate(FURTHER_LABELS, start=1):
        np.testing.assert_array_equal(found[label.name], mean[:, i])
        np.testing.assert_array_equal(found[f"{label.name}_aleatoric"], sigma[:, i])
        np.testing.assert_array_equal(found[f"{label.name}_epistemic"], deviation[:, i])


def test_answers_for_one_label_have_no_others() -> None:
    found = answers_of(*members(1), INPUTS, UNSTRETCHED)
    assert set(found) == {"feh", "aleatoric", "epistemic", "noise", "ebv"}


def test_noise_is_relative_to_the_total_flux_not_to_the_scale() -> None:
    """Behind dust a spectrum that is 1 around 550 nm is bright in the red, and its errors are large there."""
    found, same = (
        answers_of(
            *members(1), {**INPUTS, "flux": f * INPUTS["flux"], "flux_error": f * INPUTS["flux_error"]}, UNSTRETCHED
        )
        for f in (1.0, 7.0)
    )
    np.testing.assert_allclose(found["noise"], 0.25)
    np.testing.assert_allclose(same["noise"], 0.25)
    dark = answers_of(*members(1), {**INPUTS, "flux": -INPUTS["flux"]}, UNSTRETCHED)
    assert (np.isfinite(dark["noise"]) & (dark["noise"] > 100)).all()
