"""The figures of a report that show predicted against true [Fe/H], with their intervals.

An open interval is drawn as an arrow.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.evaluate.figures import (
    BLUE,
    FEH,
    GREY,
    MANY,
    MAX_RESIDUAL,
    ORANGE,
    RED,
    RESIDUAL,
    draw_stars,
    span,
    styled,
)  # fmt: skip
from xpfeh.evaluate.metrics import summary
from xpfeh.evaluate.slices import from_literature, unflagged
from xpfeh.typing import Columns

_ENOUGH_METAL_POOR = 10  # stars below `_METAL_POOR`: with fewer, their figure shows nothing
_ARROW = 0.15  # length, dex
_METAL_POOR = -1.8  # dex
_LIMIT = -1.5  # dex, the figure's upper limit
_CROWD, _CROWDED_LIMIT = 300, -2.0  # with this many stars below the first limit, intervals would hide each other


@styled
def predicted_against_true(stars: Columns, truth: str) -> Figure:
    """Draw predicted against true [Fe/H] with the residuals' histogram; flagged stars are highlighted.

    Many unflagged stars are drawn as their density, without intervals.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), width_ratios=[1.1, 1])
    numbers = summary(stars)
    usual = unflagged(stars["flags"])
    residual = stars["FEH"] - stars["feh"]
    bins = np.linspace(-MAX_RESIDUAL, MAX_RESIDUAL, 65)
    given = np.isfinite(residual)
    right.hist(residual[given], bins=bins, color=ORANGE, label="flagged")
    right.hist(residual[given & usual], bins=bins, color=BLUE, label="unflagged")
    many = given.sum() > MANY
    for chosen, colour in ((usual, BLUE), (~usual, ORANGE)):
        some = rows_of(stars, chosen)
        if many and colour == BLUE:
            draw_stars(left, some["feh"], some["FEH"])
            continue
        left.plot(some["feh"], some["FEH"], ".", ms=4, color=colour, alpha=0.5)
        if not many:
            _draw_interval(left, some, 68, colour, width=0.5)
    low, high = span(np.concatenate([stars["feh"], stars["FEH"]]))
    left.plot([low, high], [low, high], color=RED, lw=1.2)
    left.set(xlim=(low, high), ylim=(low, high), xlabel=f"{truth} {FEH} (dex)", ylabel=f"predicted {FEH} (dex)")
    left.set_title(_counted(numbers, "held-out stars"), loc="left", fontsize=10)
    right.set(xlabel=RESIDUAL, ylabel="stars")
    right.legend(loc="upper left", fontsize=9)
    names = {"bias": "bias", "robust_sigma": "robust σ", "std": "std", "mae": "MAE"}
    summary_text = "all\n" + "\n".join(f"{label} {numbers[name]:.3f}" for name, label in names.items())
    right.text(0.97, 0.95, summary_text, transform=right.transAxes, ha="right", va="top", linespacing=1.5)
    return figure


def has_metal_poor(stars: Columns) -> bool:
    """Return whether there are enough stars for `metal_poor`.

    Examples
    --------
    >>> has_metal_poor({"feh": np.full(9, -2.0)}), has_metal_poor({"feh": np.full(10, -2.0)})
    (False, True)
    """
    return int(np.sum(stars["feh"] < _METAL_POOR)) >= _ENOUGH_METAL_POOR


@styled
def metal_poor(stars: Columns) -> Figure:
    """Draw predicted against true [Fe/H] below -1.5 (if crowded, -2) with intervals, by source of the labels."""
    figure, axes = plt.subplots(figsize=(8, 6))
    limit = _LIMIT if np.sum(stars["feh"] < _LIMIT) < _CROWD else _CROWDED_LIMIT
    shown = rows_of(stars, stars["feh"] < limit)
    literature = from_literature(shown["reference"])
    low, _ = span(shown["feh"])
    predicted = np.concatenate([shown[name] for name in ("FEH", "FEH_lo68", "FEH_hi68")])
    bottom, top = min(low, np.nanmin(predicted, initial=low)) - 0.25, max(limit, np.nanmax(predicted, initial=low))
    axes.plot([low, top], [low, top], color=RED, lw=1.2)
    for chosen, colour, marker, label in (
        (~literature, BLUE, "o", "other label"),
        (literature, ORANGE, "D", "label from the literature"),
    ):
        some = rows_of(shown, chosen)
        axes.plot(some["feh"], some["FEH"], marker, ms=5, color=colour, alpha=0.9, label=label)
        _draw_interval(axes, some, 95, colour, width=0.6)
        _draw_interval(axes, some, 68, colour, width=1.8)
        without = some["feh"][np.isnan(some["FEH"])]
        axes.plot(without, np.full(len(without), bottom + 0.06), "x", ms=6, color=colour)
    numbers = summary(shown)
    axes.set(xlim=(low, limit), ylim=(bottom, top), xlabel=f"true {FEH} (dex)", ylabel=f"predicted {FEH} (dex)")
    axes.set_title(_counted(numbers, f"held-out stars, true {FEH} < −{-limit:g}"), loc="left", fontsize=10)
    handles, _ = axes.get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color=GREY, lw=1.8, label="68 % interval, thin 95 %; arrow: open"))
    if numbers["n_without_feh"]:
        handles.append(plt.Line2D([], [], color=GREY, marker="x", ls="", label=f"no {FEH} predicted"))
    axes.legend(handles=handles, loc="upper left", fontsize=9)
    return figure


def _draw_interval(axes: Axes, stars: Columns, level: int, colour: str, width: float) -> None:
    """Draw each star's interval; where it is open, draw an arrow from the last known number on that side."""
    x, feh = stars["feh"], stars["FEH"]
    low, high = stars[f"FEH_lo{level}"], stars[f"FEH_hi{level}"]
    ends_low = _first_known(low, stars["FEH_lo68"], feh, stars["FEH_hi68"], high)
    ends_high = _first_known(high, stars["FEH_hi68"], feh, stars["FEH_lo68"], low)
    known = np.isfinite(ends_low)
    axes.vlines(x[known], ends_low[known], ends_high[known], color=colour, lw=width, alpha=0.5)
    for downwards, is_open, end in ((True, np.isnan(low), ends_low), (False, np.isnan(high), ends_high)):
        arrow = known & is_open
        axes.errorbar(
            x[arrow],
            end[arrow],
            yerr=_ARROW,
            uplims=downwards,
            lolims=not downwards,
            fmt="none",
            color=colour,
            elinewidth=width,
            capsize=2.5,
            alpha=0.6,
        )


def _first_known(*columns: NDArray) -> NDArray[np.float64]:
    """Return the first number of each row that is not NaN."""
    found = np.asarray(columns[0], dtype=np.float64)
    for column in columns[1:]:
        found = np.where(np.isnan(found), column, found)
    return found


def _counted(numbers: dict[str, float], what: str) -> str:
    without = numbers["n_without_feh"]
    return f"{numbers['n'] + without} {what}" + (f", {without} of them without {FEH}" if without else "")
