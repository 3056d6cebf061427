"""Are the uncertainties calibrated? Residuals over errors, shares inside the intervals, and the paper's Fig. 5."""

from __future__ import annotations

import math
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.evaluate.figures import BLUE, FEH, GREY, LABELS, RED, styled
from xpfeh.evaluate.metrics import LEVELS, coverage, has_interval, inside
from xpfeh.evaluate.residuals import FEW, robust_sigma
from xpfeh.evaluate.section import Picture, Section, text_of
from xpfeh.evaluate.slices import ALL, G_EDGES
from xpfeh.evaluate.study import Study
from xpfeh.typing import Columns

_TITLE = "Are the uncertainties calibrated?"
_FEH_EDGES = (-4.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.6)
_EDGES: dict[str, list[float]] = {
    "feh": [-4, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.6],
    "phot_g_mean_mag": [8, 10, 11, 12, 13, 14, 15],
    "ebv": [0, 0.02, 0.05, 0.08, 0.12, 0.2],
}


def errors(study: Study) -> Section:
    """Return the section on whether the first model's uncertainties are calibrated."""
    stars = study.first.stars
    closed = np.isfinite(stars["FEH"]) & np.isfinite(stars["FEH_err"])
    if closed.sum() < FEW:
        return Section("errors", _TITLE, absent=f"Fewer than {FEW} stars have a closed interval.")
    own = text_of(study.first.slices[ALL].get("inside_own_sigma", math.nan), ".0%")
    return Section(
        "errors",
        _TITLE,
        f"Share of stars within the networks' own σ, before calibration: {own}.",
        pictures=[
            Picture(
                "calibration",
                error_calibration(stars),
                "Left: residual / predicted error should follow the unit Gaussian. Right: stars in tenths by "
                "predicted error; on the line, predicted error and scatter agree.",
            ),
            Picture(
                "coverage",
                coverages(stars),
                "Share of stars inside their 68 % (blue) and 95 % (grey) intervals; bars are binomial errors. Red: "
                "the nominal share. Points below it mean that intervals are too short for such stars.",
            ),
            Picture(
                "errors_by_g",
                errors_by_g(stars),
                "Fig. 5. Median predicted error against the scatter (robust σ) of the residuals, in bins of true "
                "[Fe/H], by G. Above the line the errors are too large, below it too small.",
            ),
        ],
    )


@styled
def error_calibration(stars: Columns) -> Figure:
    """Draw residual / error with a unit Gaussian, and scatter against predicted error, for closed intervals."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
    closed = np.isfinite(stars["FEH"]) & np.isfinite(stars["FEH_err"])
    residual, error = (stars["FEH"] - stars["feh"])[closed], stars["FEH_err"][closed]
    grid = np.linspace(-5, 5, 81)
    left.hist(
        np.clip(residual / error, -5, 5), bins=grid, density=True, color=BLUE, alpha=0.8, label="residual / error"
    )
    left.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color=RED, label="unit Gaussian")
    left.set(xlabel="residual / predicted error (clipped at ±5)", ylabel="density")
    shares = f"within the 68 % interval: {coverage(stars, 68):.0%}, 95 %: {coverage(stars, 95):.0%}"
    left.set_title(shares, loc="left", fontsize=10)
    left.legend(loc="upper right", fontsize=9)

    # Ten groups of increasing error, or fewer so that each has 20 stars.
    groups = np.array_split(np.argsort(error), min(10, max(1, len(error) // 20)))
    predicted = [float(np.median(error[group])) for group in groups]
    observed = [robust_sigma(residual[group]) for group in groups]
    right.plot(predicted, observed, "o-", color=BLUE)
    top = 1.1 * max(*predicted, *observed)
    right.plot([0, top], [0, top], color=RED, lw=1.2)
    right.set(
        xlim=(0, top),
        ylim=(0, top),
        xlabel="predicted error, median of a tenth of the stars (dex)",
        ylabel="their robust σ (dex)",
    )
    return figure


@styled
def coverages(stars: Columns) -> Figure:
    """Draw the share of stars inside their 68 % and 95 % intervals, in bins of [Fe/H], G and E(B-V)."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.8), sharey=True)
    for axes, (name, edges) in zip(panels, _EDGES.items(), strict=True):
        for level, colour in zip(LEVELS, (BLUE, GREY), strict=True):
            claimed = has_interval(stars, level)
            held = inside(stars, level)
            axes.axhline(level / 100, color=RED, lw=1)
            for low, high in pairwise(edges):
                chosen = held[claimed & (stars[name] >= low) & (stars[name] < high)]
                if len(chosen) >= FEW:
                    share = float(chosen.mean())
                    error = np.sqrt(level / 100 * (1 - level / 100) / len(chosen))  # binomial
                    axes.errorbar((low + high) / 2, share, error, (high - low) / 2, fmt="o", ms=4, color=colour)
        axes.set(xlabel=LABELS[name], ylim=(0.3, 1.02))
    panels[0].set_ylabel("share inside the 68 % and 95 % intervals")
    return figure


@styled
def errors_by_g(stars: Columns) -> Figure:
    """Draw predicted error against scatter in bins of [Fe/H], one panel per range of G that has stars."""
    ranges = [(low, high) for low, high in pairwise(G_EDGES) if _points(_within(stars, low, high))]
    figure, panels = plt.subplots(1, max(1, len(ranges)), figsize=(12, 3.4), sharex=True, sharey=True, squeeze=False)
    norm = plt.Normalize(-2.5, 0.3)
    top = 0.05
    for axes, (low, high) in zip(panels[0], ranges, strict=False):
        points = _points(_within(stars, low, high))
        scatter, predicted, feh = np.array(points).T
        axes.scatter(scatter, predicted, s=45, c=feh, cmap="viridis", norm=norm, edgecolors=GREY, linewidths=0.5)
        axes.set_title(f"{low:g} ≤ G < {high:g}", loc="left", fontsize=10)
        axes.set_xlabel("robust σ (dex)")
        top = max(top, 1.15 * scatter.max(), 1.15 * predicted.max())
    for axes in panels[0]:
        axes.plot([0, top], [0, top], color=RED, lw=1)
        axes.set(xlim=(0, top), ylim=(0, top))
    panels[0, 0].set_ylabel("median predicted error (dex)")
    figure.colorbar(plt.cm.ScalarMappable(norm, "viridis"), ax=panels, label=f"true {FEH} (dex)", pad=0.01)
    return figure


def _within(stars: Columns, low: float, high: float) -> dict[str, NDArray]:
    g_mag = stars["phot_g_mean_mag"]
    return rows_of(stars, (g_mag >= low) & (g_mag < high) & np.isfinite(stars["FEH_err"]))


def _points(stars: Columns) -> list[tuple[float, float, float]]:
    """Return scatter, median predicted error and the middle of each bin in [Fe/H] with enough stars."""
    residual = stars["FEH"] - stars["feh"]
    points = []
    for low, high in pairwise(_FEH_EDGES):
        chosen = (stars["feh"] >= low) & (stars["feh"] < high)
        if chosen.sum() >= FEW:
            middle = (max(low, -3.0) + high) / 2
            points.append((robust_sigma(residual[chosen]), float(np.median(stars["FEH_err"][chosen])), middle))
    return points
