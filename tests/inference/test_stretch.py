"""The stretch: only below -2, monotone and continuous; and its factor from made-up numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.inference.stretch import UNSTRETCHED, Stretch, stretch_of

FACTORS = st.floats(1.0, 3.0)
POOR = np.repeat([-2.5, -3.0], 10)


@given(FACTORS, st.floats(-5.0, 1.0), st.floats(-5.0, 1.0))
def test_is_monotone_and_continuous(factor: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    apart = np.diff(np.array(Stretch(factor=factor).feh(np.array([low, high]))))[0]
    assert high - low - 1e-9 <= apart <= factor * (high - low) + 1e-9


@given(FACTORS, st.floats(-2.0, 1.0, allow_subnormal=False))
def test_changes_nothing_above_the_bend(factor: float, feh: float) -> None:
    stretch, above = Stretch(factor=factor), np.array([feh])
    assert np.array(stretch.feh(above))[0] == feh
    assert np.array(stretch.errors(above, np.array([0.1])))[0] == 0.1


@given(FACTORS, st.floats(0.001, 2.0))
def test_distances_below_the_bend_and_errors_there_are_stretched(factor: float, beyond: float) -> None:
    stretch, below = Stretch(factor=factor), np.array([-2 - beyond])
    np.testing.assert_allclose(np.array(stretch.feh(below)), -2 - factor * beyond, rtol=1e-6)
    np.testing.assert_allclose(np.array(stretch.errors(below, np.array([0.1]))), 0.1 * factor, rtol=1e-6)


def test_the_factor_is_the_ratio_of_the_ranges() -> None:
    half = np.where(POOR == -3.0, -2.5, -2.25)
    errors = np.where(np.arange(20) % 3, np.nan, 0.2)  # unknown counts as 0
    assert stretch_of(half, POOR, errors).factor == pytest.approx(2)
    rich = np.linspace(-2.0, 0.5, 500)  # irrelevant below the bend
    assert stretch_of(np.r_[half, rich - 1], np.r_[POOR, rich], np.r_[errors, 0 * rich]).factor == pytest.approx(2)
    assert stretch_of(half, 2 * POOR + 2, errors).factor == pytest.approx(4)


def test_too_metal_poor_predictions_are_not_compressed() -> None:
    assert stretch_of(2 * POOR + 2, POOR, np.zeros(20)) == UNSTRETCHED


def test_uncertain_labels_do_not_count() -> None:
    predicted, feh = np.r_[POOR, POOR], np.r_[2 * POOR + 2, 9 * POOR]
    assert stretch_of(predicted, feh, np.repeat([0.1, 0.21], 20)).factor == pytest.approx(2)


def test_too_few_stars_give_no_stretch() -> None:
    nine, ten = (stretch_of(POOR[:n], 2 * POOR[:n] + 2, np.zeros(n)).factor for n in (9, 10))
    assert (nine, ten) == (1.0, pytest.approx(2))
    assert stretch_of(np.full(20, -1.9), POOR, np.zeros(20)) == UNSTRETCHED
