"""Residuals over the colour-magnitude diagram and over the sky: the paper's Fig. 3g and h."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from xpfeh.evaluate.cells import by_cell
from xpfeh.evaluate.figures import DIVERGING, LABELS, RESIDUAL, shade_stars, styled
from xpfeh.evaluate.section import Picture, Section
from xpfeh.evaluate.study import Study
from xpfeh.typing import Columns

_SHADE = 0.15  # dex, the limits of the colour scale of mean residuals
_MIN_IN_A_CELL = 3  # with fewer, the mean is one star's error


def sky(study: Study) -> Section:
    """Return the section on residuals over the colour-magnitude diagram and the sky."""
    stars = study.first.stars
    height = "m_g" if np.isfinite(stars["m_g"]).any() else "logg"
    return Section(
        "sky",
        "Residuals over the colour-magnitude diagram and the sky",
        pictures=[
            Picture(
                "colour_magnitude",
                colour_magnitude(stars, height),
                "Fig. 3g and h. Left: mean residual; patches of one colour would mean a bias for such stars. "
                "Right: mean predicted [Fe/H]; at a given luminosity the metal-poor giants are the blue ones.",
            ),
            Picture(
                "sky",
                sky_map(stars),
                "Mean residual of each cell of 1.8° with three stars or more, Galactic coordinates. Patches of many "
                "cells would mean errors of the dust map; the plane is empty because of the cut in latitude.",
            ),
        ],
    )


@styled
def colour_magnitude(stars: Columns, height: str) -> Figure:
    """Draw the mean residual and the mean prediction over colour and luminosity."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), sharey=True)
    residual = stars["FEH"] - stars["feh"]
    shade_stars(figure, left, stars["bp_rp0"], stars[height], residual, RESIDUAL, _SHADE)
    shade_stars(figure, right, stars["bp_rp0"], stars[height], stars["FEH"], LABELS["FEH"])
    for axes in (left, right):
        axes.set_xlabel(LABELS["bp_rp0"])
    left.set_ylabel(LABELS[height])
    left.invert_yaxis()
    return figure


@styled
def sky_map(stars: Columns) -> Figure:
    """Draw the mean residual of each cell on the sky, in a Mollweide projection of Galactic coordinates."""
    known = np.isfinite(stars["FEH"])
    _, of_star, n = np.unique(by_cell(stars["source_id"][known]), return_inverse=True, return_counts=True)
    # A cell is drawn at its first star: on this map 1.8 degrees are a point.
    first = np.unique(of_star, return_index=True)[1]
    mean = np.bincount(of_star, (stars["FEH"] - stars["feh"])[known]) / n
    shown = n >= _MIN_IN_A_CELL
    longitude, latitude = (np.radians(stars[name][known][first][shown]) for name in ("l", "b"))
    figure, axes = plt.subplots(figsize=(10, 5), subplot_kw={"projection": "mollweide"})
    # The Galactic centre is in the middle, and longitude increases to the left.
    x = -((longitude + np.pi) % (2 * np.pi) - np.pi)
    points = axes.scatter(x, latitude, s=14, c=mean[shown], cmap=DIVERGING, vmin=-_SHADE, vmax=_SHADE, linewidths=0)
    ticks = np.radians([-120, -60, 0, 60, 120])
    axes.set_xticks(ticks, ["120°", "60°", "0°", "300°", "240°"], fontsize=8)
    axes.set(xlabel="l", ylabel="b")
    figure.colorbar(points, ax=axes, label=RESIDUAL, shrink=0.7)
    return figure
