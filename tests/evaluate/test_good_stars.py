"""The numbers of good stars, checked by hand."""

import numpy as np
import pytest
from xpfeh.evaluate.good_stars import OF_GOOD_STARS, good_numbers
from xpfeh.evaluate.sections.through_the_plane import good_by_dust

from tests.evaluate.made_up import ONE_CELL, whole_sky

UNKNOWN = np.nan


def made_up(copies: int = 1) -> dict[str, np.ndarray]:
    """Six good stars (one of them a dwarf, one of unknown log g, one of unknown [Fe/H]), and three that are not."""
    stars = {
        "good": [True, True, True, True, True, True, False, False, False],
        "logg": [2.0, 2.5, 1.0, 4.4, UNKNOWN, 3.0, 2.0, 3.4, 4.5],
        "feh": [0.0, -1.0, -2.0, 0.2, 0.1, UNKNOWN, 0.0, 0.0, 0.0],
        "residual": [0.1, -0.1, 0.3, 0.0, 0.5, 0.0, 9.0, UNKNOWN, 9.0],
    }
    columns = {name: np.tile(values, copies) for name, values in stars.items()}
    answers = {"FEH": columns["feh"] + columns.pop("residual")}
    answers |= {f"FEH_{end}{level}": answers["FEH"] + sign * width
                for level, width in ((68, 0.15), (95, 0.35)) for end, sign in (("lo", -1), ("hi", 1))}  # fmt: skip
    return {**columns, **answers, "source_id": np.arange(9 * copies) * ONE_CELL}


def test_good_stars_by_hand() -> None:
    numbers = good_numbers(made_up())
    assert numbers["n"] == 5  # whose [Fe/H] is known
    assert numbers["mae"] == pytest.approx(1.0 / 5)
    assert (numbers["coverage_68"], numbers["coverage_95"]) == (3 / 5, 4 / 5)
    assert (numbers["dwarfs"], numbers["completeness"]) == (1 / 5, 4 / 6)
    assert all(np.isnan(numbers[f"{name}_se"]) for name in OF_GOOD_STARS), "nine cells are too few for an error"


def test_errors_are_by_cell() -> None:
    numbers, few = good_numbers(made_up(50)), good_numbers(made_up())
    assert [numbers[name] for name in OF_GOOD_STARS] == pytest.approx([few[name] for name in OF_GOOD_STARS])
    assert numbers["completeness_se"] == pytest.approx(np.sqrt(2 / 9 / 300), rel=0.1)  # binomial, 300 giants


def test_numbers_are_split_by_dust() -> None:
    sky = whole_sky()
    groups = good_by_dust(sky)
    assert [groups[name]["n"] for name in ("ebv<0.5", "ebv>=0.5")] == [
        (sky["good"] & (sky["ebv"] < 0.5)).sum(), (sky["good"] & (sky["ebv"] >= 0.5)).sum()
    ]  # fmt: skip
    assert groups["all"] == good_numbers(sky)


def test_a_model_without_good_stars_has_no_accuracy() -> None:
    stars = made_up(50)
    numbers = good_numbers(stars | {"good": np.zeros(450, dtype=bool)})
    assert (numbers["n"], numbers["completeness"]) == (0, 0.0)
    assert np.isnan([numbers["mae"], numbers["mae_se"], numbers["coverage_95"], numbers["dwarfs"]]).all()
