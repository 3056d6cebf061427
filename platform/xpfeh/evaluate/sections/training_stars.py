"""The stars that models are trained and judged on: the paper's Fig. 1."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.evaluate.figures import FEH, LABELS, draw_stars, shade_stars, span, styled
from xpfeh.evaluate.section import Picture, Section
from xpfeh.evaluate.study import Study
from xpfeh.typing import Columns
from xpfeh.xp import pixels

COLOURS = (0.85, 1.15, 1.55)
"""(BP-RP)0 of the spectra shown, mag: as in the paper."""
_ALIKE = 0.05  # mag: stars within this have about the same colour
_SPECTRA = 8  # at each colour, as in the paper


def training_stars(study: Study) -> Section:
    """Return the section on the distribution of the stars, and how their spectra change with [Fe/H]."""
    stars = study.first.stars
    height = "m_g" if np.isfinite(stars["m_g"]).any() else "logg"
    text = "" if height == "m_g" else (
        "These stars have no distances, so log g replaces the paper's absolute magnitude."
    )  # fmt: skip
    return Section(
        "training_stars",
        "The stars",
        text,
        pictures=[
            Picture(
                "stars",
                distribution_of_stars(stars, height),
                f"Fig. 1, top. {len(stars['feh']):,} labelled giants that pass the paper's cuts. Metal-poor stars are "
                "rare and blue; stars of one colour span a range of [Fe/H], so colour alone does not determine [Fe/H].",
            ),
            Picture(
                "spectra",
                example_spectra({**stars, "flux": study.spectra.flux}),
                "Fig. 1, bottom. Stars of nearly the same colour: the effect of [Fe/H] on a spectrum, strongest below "
                "450 nm and weak in blue stars.",
            ),
        ],
    )


@styled
def distribution_of_stars(stars: Columns, height: str) -> Figure:
    """Draw the stars in the plane of colour and [Fe/H], and in that of colour and luminosity."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4))
    draw_stars(left, stars["bp_rp0"], stars["feh"])
    left.set(xlabel=LABELS["bp_rp0"], ylabel=LABELS["feh"])
    shade_stars(figure, right, stars["bp_rp0"], stars[height], stars["feh"], LABELS["feh"])
    right.set(xlabel=LABELS["bp_rp0"], ylabel=LABELS[height])
    right.invert_yaxis()
    return figure


@styled
def example_spectra(stars: Columns) -> Figure:
    """Draw features of stars that span [Fe/H] at about the same colour."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 4.2))
    wavelength = pixels.centres_nm(stars["flux"].shape[1])
    norm = plt.Normalize(*span(stars["feh"]))
    for axes, colour in zip(panels, COLOURS, strict=True):
        for star in _spanning(stars["bp_rp0"], stars["feh"], colour):
            axes.plot(wavelength, stars["flux"][star], lw=1.1, color=plt.cm.viridis(norm(stars["feh"][star])))
        axes.set(xlabel="wavelength (nm)", ylim=(0, None))
        axes.set_title(f"(BP−RP)$_0$ ≈ {colour}", loc="left", fontsize=10)
    panels[0].set_ylabel("observed flux, 1 at 550 nm")
    figure.colorbar(plt.cm.ScalarMappable(norm, "viridis"), ax=panels, label=f"true {FEH} (dex)")
    return figure


def _spanning(bp_rp0: NDArray, feh: NDArray, colour: float) -> NDArray[np.int64]:
    """Return up to eight stars of about one colour, from the most metal-poor to the most metal-rich."""
    alike = np.flatnonzero(np.abs(bp_rp0 - colour) < _ALIKE)
    alike = alike[np.argsort(feh[alike])]
    return alike[np.linspace(0, max(0, len(alike) - 1), min(_SPECTRA, len(alike))).astype(int)]
