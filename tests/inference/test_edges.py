"""The limits of predictions, on made-up columns and on real stars."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.flags import Flag
from xpfeh.inference.edges import Edges, edges_of
from xpfeh.inference.estimate import all_flags
from xpfeh.inference.further_labels import LARGEST
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample

FURTHER = {"TEFF": (4000.0, 5000.0), "LOGG": (0.5, 4.0), "ALPHA_M": (0.0, 0.4)}
EDGES = Edges(low=-2.5, high=0.3, further=FURTHER)


def columns_of(feh: float, **further: float) -> dict[str, np.ndarray]:
    """Return [Fe/H] +- 0.1 (68 %) and +- 0.2 (95 %), and further columns."""
    offsets = {"FEH": 0, "FEH_lo95": -0.2, "FEH_lo68": -0.1, "FEH_hi68": 0.1, "FEH_hi95": 0.2}
    feh_columns = {name: feh + offset for name, offset in offsets.items()} | {"FEH_err": 0.1}
    return {name: np.array([value]) for name, value in {**feh_columns, **further}.items()}


def opened(columns: dict[str, np.ndarray], edges: Edges = EDGES) -> dict[str, float | None]:
    """Return a star's columns after the limits; None for NaN."""
    left = {name: float(np.array(values)[0]) for name, values in edges.open_intervals(columns).items()}
    return {name: None if np.isnan(value) else round(value, 6) for name, value in left.items()}


@pytest.mark.parametrize(
    ("feh", "open_ends"),
    [
        (-1.0, set()),
        (-2.35, {"FEH_lo95"}),
        (-2.45, {"FEH_lo95", "FEH_lo68", "FEH_err"}),
        (-2.9, {"FEH_lo95", "FEH_lo68", "FEH_err"}),
        (0.15, {"FEH_hi95"}),
        (0.25, {"FEH_hi95", "FEH_hi68", "FEH_err"}),
        (-3.1, {"FEH", "FEH_lo95", "FEH_lo68", "FEH_hi68", "FEH_hi95", "FEH_err"}),
        (0.9, {"FEH", "FEH_lo95", "FEH_lo68", "FEH_hi68", "FEH_hi95", "FEH_err"}),
    ],
)
def test_a_limit_beyond_the_labels_is_null_and_far_beyond_so_is_the_prediction(feh: float, open_ends: set[str]) -> None:
    left = opened(columns_of(feh))
    assert {name for name, value in left.items() if value is None} == open_ends
    whole = {"FEH": feh, "FEH_lo95": feh - 0.2, "FEH_lo68": feh - 0.1, "FEH_hi68": feh + 0.1, "FEH_hi95": feh + 0.2}
    assert all(left[name] == pytest.approx(value) for name, value in whole.items() if name not in open_ends)


@pytest.mark.parametrize(
    ("name", "value", "error", "null"),
    [
        ("TEFF", 4500.0, 100.0, set()),
        ("TEFF", 4050.0, 100.0, {"TEFF_err"}),  # its interval ends below 4000 K
        ("TEFF", 4950.0, 100.0, {"TEFF_err"}),
        ("TEFF", 3800.0, 10.0, {"TEFF_err"}),  # beyond, but by less than half of 500 K
        ("TEFF", 3740.0, 10.0, {"TEFF", "TEFF_err"}),
        ("TEFF", 5260.0, 10.0, {"TEFF", "TEFF_err"}),
        ("LOGG", 4.3, 0.1, {"LOGG_err"}),
        ("LOGG", 4.5, 0.1, {"LOGG", "LOGG_err"}),  # half of 0.8 dex beyond
        ("ALPHA_M", 0.2, 0.05, set()),
        ("ALPHA_M", -0.05, 0.01, {"ALPHA_M_err"}),
        ("ALPHA_M", -0.07, 0.01, {"ALPHA_M", "ALPHA_M_err"}),
    ],
)
def test_further_labels_follow_the_same_rules_in_their_own_units(
    name: str, value: float, error: float, null: set[str]
) -> None:
    left = opened(columns_of(-1.0, **{name: value, f"{name}_err": error}))
    assert {each for each, found in left.items() if found is None} == null
    assert left[name] in (None, value)


@given(value=st.floats(-6, 12), error=st.floats(1e-3, 5))
def test_an_error_never_comes_without_its_value(value: float, error: float) -> None:
    left = opened(columns_of(-1.0, LOGG=value, LOGG_err=error))
    assert left["LOGG_err"] is None or left["LOGG"] is not None
    assert left["FEH"] == -1.0


def test_without_feh_the_other_labels_are_still_predicted() -> None:
    left = opened(columns_of(-9.0, TEFF=4500.0, TEFF_err=10.0))
    assert (left["FEH"], left["TEFF"], left["TEFF_err"]) == (None, 4500.0, 10.0)


def test_five_labels_are_beyond_either_edge() -> None:
    feh = np.random.default_rng(0).permutation(np.r_[-9.0, 9.0, np.linspace(-2, 0, 100)])
    edges = edges_of({"feh": feh})
    assert ((feh < edges.low).sum(), (feh > edges.high).sum()) == (5, 5)


def test_edges_of_further_labels_use_known_labels_as_learned() -> None:
    """Labels of hot stars are clipped in training, so nothing hotter is predicted; half have no log g."""
    rng = np.random.default_rng(1)
    labels = {"feh": rng.normal(-1, 0.5, 200), "teff": rng.uniform(4000, 15_000, 200), "logg": rng.uniform(0, 5, 200)}
    labels["logg"][::2] = np.nan
    edges = edges_of(labels)
    assert set(edges.further) == {"TEFF", "LOGG"}
    assert edges.further["TEFF"][1] == 4700 + LARGEST * 500
    low, high = edges.further["LOGG"]
    assert ((labels["logg"] < low).sum(), (labels["logg"] > high).sum()) == (5, 5)
    assert edges_of({"feh": labels["feh"]}).further == {}


@given(value=st.floats(-100, 100), error=st.floats(1e-3, 5))
def test_a_label_without_training_stars_has_no_value_and_no_error(value: float, error: float) -> None:
    edges = edges_of({"feh": np.linspace(-2, 0, 50), "alpha_m": np.full(50, np.nan)})
    left = opened(columns_of(-1.0, ALPHA_M=value, ALPHA_M_err=error), edges)
    assert (left["ALPHA_M"], left["ALPHA_M_err"], left["FEH"]) == (None, None, -1.0)


def test_a_label_with_three_training_stars_has_no_error() -> None:
    edges = edges_of({"feh": np.linspace(-2, 0, 50), "alpha_m": np.r_[0.0, 0.1, 0.2, np.full(47, np.nan)]})
    assert opened(columns_of(-1.0, ALPHA_M=0.1, ALPHA_M_err=0.01), edges)["ALPHA_M_err"] is None


def test_edges_survive_a_card() -> None:
    assert Edges.model_validate_json(EDGES.model_dump_json()) == EDGES


def test_real_stars_near_the_edge_are_flagged(bundle: Path, sample: Sample) -> None:
    predictor = Predictor(bundle)
    stars = {name: values.copy() for name, values in sample.part("train", "validation", "test").columns.items()}
    stars["flux"][0] = np.nan
    predicted, edges = predictor.predict(stars), predictor.card.edges
    features = {"flags": np.zeros(len(stars["feh"]), np.uint32), "m_g": np.zeros(len(stars["feh"]))}
    features["flags"][0] = Flag.BAD_SPECTRUM
    flags = all_flags(features, predicted, np.inf)
    poor = predicted["FEH"] < edges.low
    assert poor.any()
    assert (flags[poor] == Flag.FEH_EDGE).all()
    assert 10 < (flags == Flag.FEH_EDGE).sum() < len(flags) / 2
    assert flags[0] == Flag.BAD_SPECTRUM  # and no flag that follows from a prediction
    sure = flags[1:] == 0
    assert (predicted["FEH_lo95"][1:][sure] >= edges.low).all()
    assert (predicted["FEH_hi95"][1:][sure] <= edges.high).all()
