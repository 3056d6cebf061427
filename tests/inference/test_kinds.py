"""Counts of good and other stars: each counts once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from xpfeh.flags import MEANING, is_good
from xpfeh.inference.kinds import DWARF, GOOD, kinds_of

ANY_FLAGS = arrays(np.uint32, st.integers(0, 40), elements=st.integers(0, 2 ** len(MEANING) - 1))


@given(flags=ANY_FLAGS, whole_sky=st.booleans())
def test_each_star_counts_once(flags: np.ndarray, whole_sky: bool) -> None:
    good = is_good(flags, whole_sky)
    kinds = kinds_of({"flags": flags, "good": good})
    assert sum(kinds.values()) == len(flags)
    assert kinds.get(GOOD, 0) == good.sum()
    assert kinds.get(DWARF, 0) <= ((flags & 8) != 0).sum()
