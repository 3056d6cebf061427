"""Selecting metal-poor stars: purity and completeness against the threshold, beside the base rate."""

from __future__ import annotations

from dataclasses import asdict

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from xpfeh.evaluate.figures import BLUE, GREY, ORANGE, styled
from xpfeh.evaluate.section import Picture, Section, Table, text_of
from xpfeh.evaluate.selections import COLUMNS, LIMITS, selections
from xpfeh.evaluate.study import Stars, Study
from xpfeh.flags import Flag

_THRESHOLDS = np.arange(-3.2, -0.99, 0.05)
_FEW = 5  # stars: of fewer, neither purity nor completeness is drawn


def selecting(study: Study) -> Section:
    """Return the section on what one gets who selects stars below -2, -2.5 or -3."""
    found = {name: selections(model.stars) for name, model in study.models.items()}
    rows = []
    for name, chosen in found.items():
        for i, s in enumerate(chosen):
            by = COLUMNS[s.by]
            rows.append([
                name if i == 0 else "", s.stars, f"{by} < {text_of(s.below, 'g')}", text_of(s.base_rate, ".1%"),
                str(s.truly), str(s.selected), str(s.right), text_of(s.purity, ".0%"), text_of(s.completeness, ".0%"),
            ])  # fmt: skip
    stars, below = study.first.stars, LIMITS[-1]
    selected = stars["FEH"] < below
    right = int((selected & (stars["feh"] < below)).sum())
    edge = int((selected & ((stars["flags"] & np.uint32(Flag.FEH_EDGE)) > 0)).sum())
    extreme = (
        f"The end of the scale: of {int((stars['feh'] < below).sum())} stars truly below {text_of(below, 'g')}, "
        f"{right} are found, and {int(selected.sum()) - right} of {int(selected.sum())} selected ones do not belong "
        f"there. {edge} of them carry the flag `FEH_EDGE`: such stars are candidates for spectroscopy, and their "
        "[Fe/H] no measurement."
    )
    return Section(
        "selecting",
        "Selecting metal-poor stars",
        extreme,
        tables=[
            Table(
                [
                    "model",
                    "from",
                    "selected by",
                    "base rate",
                    "truly below",
                    "selected",
                    "right",
                    "purity",
                    "completeness",
                ],
                rows,
                "Purity: share of the selected stars that are truly below the limit; completeness: share of those "
                "truly below that are selected. The base rate, the share of all stars that are below, is that of "
                "these labelled stars. In a catalog it is another, and so is the purity: see the final sample.",
                text_columns=3,
            )
        ],
        pictures=[
            Picture(
                "selecting",
                purity_and_completeness(study.first.stars),
                "By point: `FEH` below the threshold; by interval: `FEH_hi68` below it. The interval buys purity with "
                "completeness. Bands: binomial errors. Dotted: the purity of a selection at random.",
            )
        ],
        numbers={
            name: [
                asdict(one) | {"base_rate": one.base_rate, "purity": one.purity, "completeness": one.completeness}
                for one in chosen
            ]
            for name, chosen in found.items()
        },
    )


@styled
def purity_and_completeness(stars: Stars) -> Figure:
    """Return purity and completeness of selections below a threshold, against it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), sharex=True, sharey=True)
    truly = stars["feh"] < _THRESHOLDS[:, None]  # (thresholds, N)
    for (by, column), colour in zip(COLUMNS.items(), (BLUE, ORANGE), strict=True):
        selected = stars[column] < _THRESHOLDS[:, None]
        both = (truly & selected).sum(axis=1)
        for axes, whole in ((left, selected.sum(axis=1)), (right, truly.sum(axis=1))):
            enough = whole >= _FEW
            share = both[enough] / whole[enough]
            error = np.sqrt(share * (1 - share) / whole[enough])  # binomial
            axes.plot(_THRESHOLDS[enough], share, color=colour, lw=1.8, label=f"by {by}: {column}")
            axes.fill_between(_THRESHOLDS[enough], share - error, share + error, color=colour, alpha=0.2, linewidth=0)
    left.plot(_THRESHOLDS, truly.mean(axis=1), ":", color=GREY, label="base rate")
    for axes, name in ((left, "purity"), (right, "completeness")):
        axes.set(xlabel="threshold in [Fe/H] (dex)", ylabel=name, ylim=(0, 1.02))
    left.legend(loc="center right", fontsize=9)
    return figure
