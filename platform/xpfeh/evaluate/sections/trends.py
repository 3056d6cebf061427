"""Trends of the residuals with magnitude, colour, dust and more: the paper's Fig. 3c to f; and the red edge."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.evaluate.figures import BLUE, LABELS, MAX_RESIDUAL, RED, RESIDUAL, draw_stars, styled
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.residuals import Running, residual_numbers, running
from xpfeh.evaluate.section import Picture, Section
from xpfeh.evaluate.study import Study
from xpfeh.typing import Columns

ALONG = ("feh", "FEH", "bp_rp0", "phot_g_mean_mag", "ebv", "abs_b", "snr", "alpha_m")
RED_EDGE = (0.7, 1.0, 1.2, 1.35, 1.5, 1.9)
"""Colours, mag: beyond 1.5 the paper's residuals show structure (section 4.2.2)."""


def trends(study: Study) -> Section:
    """Return the section on the first model's residuals along eight quantities."""
    stars = study.first.stars
    stars = {**stars, "abs_b": np.abs(stars["b"]), "snr": np.log10(stars["snr"])}
    figure, lines = trends_figure(stars)
    redder = {
        f"{low:g} to {high:g}": residual_numbers(rows_of(stars, (stars["bp_rp0"] >= low) & (stars["bp_rp0"] < high)))
        for low, high in pairwise(RED_EDGE)
    }
    rows = [([colour], one) for colour, one in redder.items()]
    return Section(
        "trends",
        "Trends of the residuals",
        tables=[number_table(["(BP−RP)₀"], ("n", "mae", "gauss_sigma", "gauss_mean"), rows, "Dex; Gauss: the fit.")],
        pictures=[
            Picture(
                "residuals",
                figure,
                "Blue: running mean (with its standard error by cells of the sky) and one σ on either side. Ideally "
                "the line is flat at zero. Along the true [Fe/H] it cannot be completely flat, since stars at the ends "
                "of the scale can only scatter inwards; along the predicted [Fe/H] it should be.",
            )
        ],
        numbers={"running": lines, "by_colour": redder},
    )


@styled
def trends_figure(stars: Columns) -> tuple[Figure, dict[str, dict[str, list[float]]]]:
    """Draw residuals against eight quantities with running mean and scatter; also return these, by quantity."""
    figure, panels = plt.subplots(2, 4, figsize=(13, 6.4), sharey=True)
    lines = {}
    for axes, name in zip(panels.flat, ALONG, strict=True):
        line = draw_residuals(axes, stars[name], stars)
        lines[name] = {part: values.tolist() for part, values in vars(line).items()}
        axes.set_xlabel(LABELS[name])
    for axes in panels[:, 0]:
        axes.set_ylabel(RESIDUAL)
    return figure, lines


def draw_residuals(axes: Axes, x: NDArray, stars: Columns, bins: int = 10) -> Running:
    """Draw the residuals of N stars along (N,) values of a quantity; return their running mean and scatter."""
    line = running(x, stars, bins)
    residual = stars["FEH"] - stars["feh"]
    shown = np.isfinite(x) & (np.abs(residual) <= MAX_RESIDUAL)
    draw_stars(axes, x[shown], residual[shown])
    axes.errorbar(line.centre, line.mean, line.mean_se, color=BLUE, lw=1.8, elinewidth=1)
    for side in (-1, 1):
        axes.plot(line.centre, line.mean + side * line.sigma, color=BLUE, lw=1, ls="--")
    axes.axhline(0, color=RED, lw=1)
    axes.set_ylim(-MAX_RESIDUAL, MAX_RESIDUAL)
    return line
