import numpy as np
import pytest
from xpfeh.evaluate.sections.selecting import selections
from xpfeh.flags import Flag

from tests.evaluate.made_up import held_out


def test_purity_and_completeness_by_hand() -> None:
    nan = np.nan
    stars = {name: values[:6] for name, values in held_out().items()}
    stars |= {
        "feh": np.array([-2.7, -2.6, -2.1, -1.9, -0.5, -3.5]),
        "FEH": np.array([-2.6, -2.3, -1.8, -2.2, -0.6, nan]),
        "FEH_hi68": np.array([-2.4, -2.1, -1.5, -1.9, -0.5, -2.9]),  # the last: no prediction, but certainly below
        "flags": np.array([0, 0, 0, 0, 0, Flag.FEH_EDGE], dtype=np.uint32),
    }
    found = {(each.stars, each.below, each.by): each for each in selections(stars)}
    assert len(found) == 12
    point = found["all", -2.0, "point"]
    assert (point.n, point.truly, point.selected, point.right) == (6, 4, 3, 2)
    assert (point.base_rate, point.purity, point.completeness) == (4 / 6, 2 / 3, 2 / 4)
    sure = found["all", -2.0, "interval"]
    assert (sure.selected, sure.right, sure.purity, sure.completeness) == (3, 3, 1.0, 0.75)
    very = found["all", -2.5, "interval"]
    assert (very.truly, very.selected, very.right) == (3, 1, 1)
    unflagged = found["unflagged", -2.5, "interval"]
    assert (unflagged.n, unflagged.truly, unflagged.selected, unflagged.completeness) == (5, 2, 0, 0.0)
    assert np.isnan(unflagged.purity)


@pytest.mark.parametrize("by", ["point", "interval"])
def test_perfect_predictions_are_pure_and_complete(by: str) -> None:
    stars = held_out()
    stars |= {"FEH": stars["feh"], "FEH_hi68": stars["feh"]}
    for each in selections(stars):
        if each.by == by and each.truly:
            assert (each.purity, each.completeness) == (1.0, 1.0)
