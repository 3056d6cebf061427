"""Purity and completeness of selections of metal-poor stars from a catalog, and the base rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from xpfeh.evaluate.slices import BOTH_SAMPLES, slices_of
from xpfeh.typing import Columns

LIMITS = (-2.0, -2.5, -3.0)
"""Selections are of stars with true [Fe/H] below these, dex: very metal-poor, APOGEE's limit, extremely metal-poor."""
CUT_ON: dict[Literal["point", "interval"], str] = {"point": "FEH", "interval": "FEH_hi68"}
"""The column of each cut: either the star's point value is below the limit, or its whole 68 % interval."""


@dataclass(frozen=True)
class MetalPoorSelection:
    """Stars selected as metal-poor.

    Attributes
    ----------
    stars : str
        The sample selected from, "all" or "unflagged".
    below : float
        [Fe/H], dex.
    by : str
        "point" if FEH is below, "interval" if FEH_hi68 is.
    n, truly, selected, right : int
        Stars in the sample; truly below; selected; both.
    base_rate : float
        Share of the sample that is truly below: the purity of a random selection.
    purity : float
        Share of the selected stars that are truly below; NaN if no star is selected.
    completeness : float
        Share of the stars truly below that are selected; NaN if there are no such stars.
    """

    stars: str
    below: float
    by: Literal["point", "interval"]
    n: int
    truly: int
    selected: int
    right: int
    base_rate: float
    purity: float
    completeness: float


def selections(stars: Columns) -> list[MetalPoorSelection]:
    """Return the selections below `LIMITS`, by point and by interval, from all stars and from the unflagged.

    A star without [Fe/H], or without an upper limit, is not selected.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``feh`` (true), ``FEH``, ``FEH_hi68``, and the columns for `xpfeh.evaluate.slices.slices_of`.
    """
    slices = slices_of(stars)
    found = []
    for sample in BOTH_SAMPLES:
        truth = stars["feh"][slices[sample]]
        for below in LIMITS:
            for by, column in CUT_ON.items():
                selected = stars[column][slices[sample]] < below
                n = len(truth)
                truly, chosen, right = (
                    int(np.sum(each)) for each in (truth < below, selected, (truth < below) & selected)
                )
                shares = _share(truly, n), _share(right, chosen), _share(right, truly)
                found.append(MetalPoorSelection(sample, below, by, n, truly, chosen, right, *shares))
    return found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
