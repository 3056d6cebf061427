"""The number of good stars in a catalog, and of others by reason, in words for summaries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xpfeh.flags import BEYOND_PAPER, Flag

GOOD, DWARF = "good", "dwarf"

_REASONS = {
    "without a usable spectrum": Flag.BAD_SPECTRUM | Flag.MISSING_BAND,
    "without E(B-V)": Flag.NO_DUST,
    "outside the model's domain": Flag.OUTSIDE_DOMAIN,
    DWARF: Flag.NOT_GIANT,
    "giant or dwarf unknown": Flag.CUT_NOT_EVALUATED,
    "near or beyond the end of the labels": Flag.FEH_EDGE,
    "with a noisy or odd spectrum": Flag.LOW_SN | Flag.ODD_SN,
    "beyond the systematics correction": Flag.CORRECTION_RANGE,
    "outside the paper's sample": BEYOND_PAPER,
}
"""Why a star is not good: the first that applies counts, so reasons that make others meaningless come first.

Every flag that a good star cannot have is listed here.
"""


def kinds_of(stars: Mapping[str, NDArray]) -> dict[str, int]:
    """Return how many of N stars are good, and how many are not, by reason; each star counts once.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``good`` and ``flags`` of a catalog.

    Examples
    --------
    >>> flags = np.array([0, Flag.FAINT, Flag.NOT_GIANT, Flag.NOT_GIANT | Flag.OUTSIDE_DOMAIN], dtype=np.uint32)
    >>> kinds_of({"good": np.array([True, True, False, False]), "flags": flags})
    {'good': 2, "outside the model's domain": 1, 'dwarf': 1}
    """
    left, counts = ~stars["good"], {GOOD: int(stars["good"].sum())}
    for reason, bits in _REASONS.items():
        applies = left & ((stars["flags"] & np.uint32(bits)) != 0)
        counts[reason] = int(applies.sum())
        left = left & ~applies
    return {kind: count for kind, count in counts.items() if count}
