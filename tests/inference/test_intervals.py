"""Draws of [Fe/H] reproduce the intervals that they are drawn from."""

import numpy as np
import pyarrow as pa
import pytest
import xpfeh
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ("FEH_lo95", "FEH_lo68", "FEH", "FEH_hi68", "FEH_hi95")
STEPS = st.floats(0.03125, 1.5, width=32)
DRAWS = 40_000


@given(feh=st.floats(-3, 0.5, width=32), steps=st.tuples(*[STEPS] * 4), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_share_within_each_interval_is_its_level(feh: float, steps: tuple[float, ...], seed: int) -> None:
    outer_low, low, high, outer_high = steps
    ends = (feh - low - outer_low, feh - low, feh, feh + high, feh + high + outer_high)
    star = {name: [value] for name, value in zip(NAMES, ends, strict=True)}
    drawn = xpfeh.samples(star, DRAWS, seed)
    assert drawn.shape == (1, DRAWS)
    for share, (start, end) in ((0.95, (0, 4)), (0.68, (1, 3)), (0.34, (1, 2)), (0.34, (2, 3))):
        within = ((drawn > ends[start]) & (drawn < ends[end])).mean()
        assert abs(within - share) < 5 * np.sqrt(share * (1 - share) / DRAWS)


def test_draws_are_repeatable_and_an_open_interval_has_none() -> None:
    stars = pa.table({name: [float(i), float(i)] for i, name in enumerate(NAMES)})
    np.testing.assert_array_equal(xpfeh.samples(stars, 5, 3), xpfeh.samples(stars, 5, 3))
    assert (xpfeh.samples(stars, 5, 3) != xpfeh.samples(stars, 5, 4)).any()
    opened = stars.set_column(0, "FEH_lo95", pa.array([None, 0.0]))
    assert np.isnan(xpfeh.samples(opened, 5)).all(axis=1).tolist() == [True, False]
    with pytest.raises(xpfeh.InputError, match="give a table with the columns FEH_lo95"):
        xpfeh.samples(stars.drop_columns("FEH_hi68"), 5)
