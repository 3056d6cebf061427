"""Where answers end, on made columns and on real stars."""

from pathlib import Path

import numpy as np
import pytest
from xpfeh.flags import Flag
from xpfeh.inference.edges import Edges, edges_of
from xpfeh.inference.estimate import prediction_flags
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample

EDGES = Edges(low=-2.5, high=0.3)


def opened(feh: float) -> dict[str, float | None]:
    """What is left of [Fe/H] +- 0.1 (68 %) and +- 0.2 (95 %); None where that is nothing."""
    offsets = {"FEH": 0, "FEH_lo95": -0.2, "FEH_lo68": -0.1, "FEH_hi68": 0.1, "FEH_hi95": 0.2}
    columns = {name: np.array([feh + offset]) for name, offset in offsets.items()} | {"FEH_err": np.array([0.1])}
    left = {name: float(np.array(values)[0]) for name, values in EDGES.opened(columns).items()}
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
def test_a_limit_beyond_the_labels_is_none_and_far_beyond_there_is_no_answer(feh: float, open_ends: set[str]) -> None:
    left = opened(feh)
    assert {name for name, value in left.items() if value is None} == open_ends
    whole = {"FEH": feh, "FEH_lo95": feh - 0.2, "FEH_lo68": feh - 0.1, "FEH_hi68": feh + 0.1, "FEH_hi95": feh + 0.2}
    assert all(left[name] == pytest.approx(value) for name, value in whole.items() if name not in open_ends)


def test_five_labels_lie_beyond_either_edge() -> None:
    feh = np.random.default_rng(0).permutation(np.r_[-9.0, 9.0, np.linspace(-2, 0, 100)])
    edges = edges_of(feh)
    assert ((feh < edges.low).sum(), (feh > edges.high).sum()) == (5, 5)


def test_real_stars_near_the_edge_are_flagged(bundle: Path, sample: Sample) -> None:
    predictor = Predictor(bundle)
    stars = {name: values.copy() for name, values in sample.columns.items()}
    stars["flux"][0] = np.nan
    predicted, edges = predictor.predict(stars), predictor.card.edges
    flags = prediction_flags(predicted, np.inf)
    poor = predicted["FEH"] < edges.low
    assert poor.any()
    assert (flags[poor] == Flag.FEH_EDGE).all()
    assert 10 < (flags == Flag.FEH_EDGE).sum() < len(flags) / 2
    assert flags[0] == 0  # no flag without a spectrum
    sure = flags[1:] == 0
    assert (predicted["FEH_lo95"][1:][sure] >= edges.low).all()
    assert (predicted["FEH_hi95"][1:][sure] <= edges.high).all()
