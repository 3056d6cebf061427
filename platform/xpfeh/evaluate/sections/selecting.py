"""Purity and completeness of selections of metal-poor stars, by threshold, and the base rate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from xpfeh.evaluate.figures import BLUE, GREY, ORANGE, styled
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.section import Picture, Section, text_of
from xpfeh.evaluate.slices import BOTH_SAMPLES, slices_of
from xpfeh.evaluate.study import Study
from xpfeh.flags import Flag
from xpfeh.typing import Columns

LIMITS = (-2.0, -2.5, -3.0)
"""Selections are of stars with true [Fe/H] below these, dex: very metal-poor, APOGEE's limit, extremely metal-poor."""
CUT_ON: dict[Literal["point", "interval"], str] = {"point": "FEH", "interval": "FEH_hi68"}
"""The column of each cut: either the star's point value is below the limit, or its whole 68 % interval."""

_THRESHOLDS = np.arange(-3.2, -0.99, 0.05)
_MIN_FOR_A_SHARE = 5  # with fewer, neither purity nor completeness is drawn


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


def selecting(study: Study) -> Section:
    """Return the section on selections of stars below -2, -2.5 and -3."""
    numbers = {name: [asdict(one) for one in selections(model.stars)] for name, model in study.models.items()}
    rows = [
        ([name, one["stars"], f"{CUT_ON[one['by']]} < {text_of(one['below'], 'g')}"], one)
        for name, chosen in numbers.items()
        for one in chosen
    ]
    note = (
        "Purity: share of the selected stars that are truly below the limit; completeness: share of those truly below "
        "that are selected. The base rate is the share of these labelled stars that are truly below. A catalog has a "
        "different base rate, and so a different purity: see the final sample."
    )
    return Section(
        "selecting",
        "Purity and completeness of metal-poor selections",
        _at_the_end_of_the_scale(study.first.stars),
        tables=[
            number_table(
                ["model", "from", "selected by"],
                ["base_rate", "truly", "selected", "right", "purity", "completeness"],
                rows,
                note,
            )
        ],
        pictures=[
            Picture(
                "selecting",
                purity_and_completeness(study.first.stars),
                "By point: `FEH` below the threshold; by interval: `FEH_hi68` below it. The interval trades "
                "completeness for purity. Bands: binomial errors. Dotted: the purity of a random selection.",
            )
        ],
        numbers=numbers,
    )


def _at_the_end_of_the_scale(stars: Columns) -> str:
    """Return a sentence on the selection by the lowest of `LIMITS`."""
    below = LIMITS[-1]
    selected, truly = stars["FEH"] < below, stars["feh"] < below
    right, n = int((selected & truly).sum()), int(selected.sum())
    edge = int((selected & ((stars["flags"] & np.uint32(Flag.FEH_EDGE)) > 0)).sum())
    return (
        f"At the end of the scale, {right} of the {int(truly.sum())} stars truly below {text_of(below, 'g')} are "
        f"selected, and {n - right} of the {n} selected are not truly below. {edge} of the selected have the flag "
        "`FEH_EDGE`: they are candidates for spectroscopy; their [Fe/H] is not a measurement."
    )


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


@styled
def purity_and_completeness(stars: Columns) -> Figure:
    """Draw purity and completeness of selections below a threshold, against the threshold."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), sharex=True, sharey=True)
    truly = stars["feh"] < _THRESHOLDS[:, None]  # (thresholds, N)
    for (by, column), colour in zip(CUT_ON.items(), (BLUE, ORANGE), strict=True):
        selected = stars[column] < _THRESHOLDS[:, None]
        both = (truly & selected).sum(axis=1)
        for axes, whole in ((left, selected.sum(axis=1)), (right, truly.sum(axis=1))):
            enough = whole >= _MIN_FOR_A_SHARE
            share = both[enough] / whole[enough]
            error = np.sqrt(share * (1 - share) / whole[enough])  # binomial
            axes.plot(_THRESHOLDS[enough], share, color=colour, lw=1.8, label=f"by {by}: {column}")
            axes.fill_between(_THRESHOLDS[enough], share - error, share + error, color=colour, alpha=0.2, linewidth=0)
    left.plot(_THRESHOLDS, truly.mean(axis=1), ":", color=GREY, label="base rate")
    for axes, name in ((left, "purity"), (right, "completeness")):
        axes.set(xlabel="threshold in [Fe/H] (dex)", ylabel=name, ylim=(0, 1.02))
    left.legend(loc="center right", fontsize=9)
    return figure


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
