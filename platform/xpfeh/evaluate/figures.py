"""The pictures of a report.

``stars`` is a mapping of (N, ...) arrays: ``feh`` (true), what `xpfeh.inference.predictor.Predictor.predict` gives, and
the features that a picture shows. Stars without [Fe/H] have no residual and are in none of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.evaluate.metrics import LEVELS, has_interval, inside, robust_sigma, summary
from xpfeh.xp import pixels

Stars = Mapping[str, NDArray]

# GaiaXPy turns LaTeX on for the whole process when it is imported, so every figure states its own style.
styled = plt.rc_context({
    "text.usetex": False, "font.family": "sans-serif",
    "figure.dpi": 120, "savefig.dpi": 120, "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False, "figure.constrained_layout.use": True,
})  # fmt: skip
BLUE, RED, GREY, ORANGE = "#2b6cb0", "#c53030", "#4a5568", "#dd6b20"
FEH = "[Fe/H]"
RESIDUAL = f"{FEH} predicted − true (dex)"
MAX_RESIDUAL = 0.8
"""Dex; the few beyond would leave the others a thin line."""

_FEW_TO_SHOW = 5  # stars: of fewer, a median and its range are not drawn
_FEW_TO_COUNT = 10  # stars: of fewer, a share is not drawn
_RESOLVED = 60  # ranges of 11 nm, the paper's pixels: about what XP resolves


@styled
def residual_trends(stars: Stars) -> Figure:
    """Return residuals against what they may depend on, with median and 68 % range in bins."""
    axes_of = {
        "feh": f"true {FEH} (dex)",
        "alpha_m": "[α/M] (dex)",
        "teff": "T$_{eff}$ (K)",
        "bp_rp0": "(BP−RP)$_0$ (mag)",
        "phot_g_mean_mag": "G (mag)",
        "ebv": "E(B−V) SFD98 (mag)",
    }
    figure, panels = plt.subplots(2, 3, figsize=(12, 6.6), sharey=True)
    residual = stars["FEH"] - stars["feh"]
    for axes, (name, label) in zip(panels.flat, axes_of.items(), strict=True):
        known = np.isfinite(stars[name]) & np.isfinite(residual)
        axes.scatter(stars[name][known], residual[known], s=5, color=GREY, alpha=0.35, linewidths=0)
        _binned_range(axes, stars[name][known], residual[known])
        axes.axhline(0, color=RED, lw=1)
        axes.set(xlabel=label, ylim=(-MAX_RESIDUAL, MAX_RESIDUAL))
    for axes in panels[:, 0]:
        axes.set_ylabel(RESIDUAL)
    panels[0, 0].legend(loc="upper right", fontsize=9)
    return figure


@styled
def error_calibration(stars: Stars) -> Figure:
    """Return residual / error against a unit Gaussian, and scatter against predicted error, of closed intervals."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
    closed = np.isfinite(stars["FEH"]) & np.isfinite(stars["FEH_err"])
    residual, error = (stars["FEH"] - stars["feh"])[closed], stars["FEH_err"][closed]
    grid = np.linspace(-5, 5, 81)
    left.hist(
        np.clip(residual / error, -5, 5), bins=grid, density=True, color=BLUE, alpha=0.8, label="residual / error"
    )
    left.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color=RED, label="unit Gaussian")
    left.set(xlabel="residual / predicted error (clipped at ±5)", ylabel="density")
    numbers = summary(stars)
    shares = f"within the 68 % interval: {numbers['coverage_68']:.0%}, 95 %: {numbers['coverage_95']:.0%}"
    left.set_title(shares, loc="left", fontsize=10)
    left.legend(loc="upper right", fontsize=9)

    # Ten groups of rising error, or as many as leave 20 stars in each.
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
def coverage(stars: Stars) -> Figure:
    """Return the share of stars inside their 68 % and 95 % intervals, in bins of what the errors may depend on."""
    axes_of: dict[str, tuple[str, list[float]]] = {
        "feh": (f"true {FEH} (dex)", [-4, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.6]),
        "phot_g_mean_mag": ("G (mag)", [8, 10, 11, 12, 13, 14, 15]),
        "ebv": ("E(B−V) SFD98 (mag)", [0, 0.02, 0.05, 0.08, 0.12, 0.2]),
    }
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.8), sharey=True)
    for axes, (name, (label, edges)) in zip(panels, axes_of.items(), strict=True):
        for level, colour in zip(LEVELS, (BLUE, GREY), strict=True):
            claimed = has_interval(stars, level)
            held = inside(stars, level)
            axes.axhline(level / 100, color=RED, lw=1)
            for low, high in pairwise(edges):
                chosen = held[claimed & (stars[name] >= low) & (stars[name] < high)]
                if len(chosen) >= _FEW_TO_COUNT:
                    share = float(chosen.mean())
                    error = np.sqrt(level / 100 * (1 - level / 100) / len(chosen))  # binomial
                    axes.errorbar((low + high) / 2, share, error, (high - low) / 2, fmt="o", ms=4, color=colour)
        axes.set(xlabel=label, ylim=(0.3, 1.02))
    panels[0].set_ylabel("share inside the 68 % and 95 % intervals")
    return figure


@styled
def sensitivity(stars: Stars, slopes: NDArray[np.float32]) -> Figure:
    """Return what 1 % more flux in 11 nm does to [Fe/H], (N, pixels) slopes given, for poor and rich stars."""
    figure, axes = plt.subplots(figsize=(10, 3.8))
    wavelength, change = by_resolved_range(stars, slopes)
    for label, chosen, colour in (
        (f"{FEH} < −1.5", stars["feh"] < -1.5, BLUE),
        (f"−1.5 ≤ {FEH} < −0.5", (stars["feh"] >= -1.5) & (stars["feh"] < -0.5), GREY),
        (f"{FEH} ≥ −0.5", stars["feh"] >= -0.5, RED),
    ):
        if chosen.sum() >= _FEW_TO_SHOW:
            low, middle, high = np.percentile(change[chosen], [16, 50, 84], axis=0)  # (stars, pixels) -> (3, pixels)
            axes.plot(wavelength, middle, color=colour, label=label)
            axes.fill_between(wavelength, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xlabel="wavelength (nm)", ylabel=f"change of {FEH} (dex)\nby +1 % flux in 11 nm")
    axes.legend(ncols=3, loc="upper right", fontsize=9)
    return figure


def by_resolved_range(stars: Stars, slopes: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return ranges of 11 nm, (ranges,) nm, and what 1 % more flux there does to [Fe/H], (N, ranges) dex.

    XP resolves no less than that: single samples of opposite sign say nothing of a spectrum that can be.
    """
    n_pixels = slopes.shape[1]
    n_shown = min(n_pixels, _RESOLVED)
    flux, _ = pixels.rebinned(stars["flux"], stars["flux_error"], n_pixels)
    cuts = pixels.edges(n_pixels)
    shown_in = np.searchsorted(pixels.edges(n_shown), (cuts[:-1] + cuts[1:]) // 2, side="right") - 1  # (pixels,)
    into_shown = (shown_in[:, None] == np.arange(n_shown)).astype(np.float32)
    return pixels.centres_nm(n_shown), 0.01 * (slopes * flux) @ into_shown


@styled
def example_spectra(stars: Stars) -> Figure:
    """Return features of stars that span [Fe/H] at about the same colour, as in the paper's Fig. 1."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 4.2))
    wavelength = pixels.centres_nm(stars["flux"].shape[1])
    norm = plt.Normalize(*span(stars["feh"]))
    for axes, colour in zip(panels, (0.95, 1.15, 1.45), strict=True):
        alike = np.flatnonzero(np.abs(stars["bp_rp0"] - colour) < 0.05)
        alike = alike[np.argsort(stars["feh"][alike])]
        # Eight at most, from the poorest to the richest.
        shown = np.linspace(0, max(0, len(alike) - 1), min(8, len(alike))).astype(int)
        for star in alike[shown]:
            axes.plot(wavelength, stars["flux"][star], lw=1.1, color=plt.cm.viridis(norm(stars["feh"][star])))
        axes.set(xlabel="wavelength (nm)", ylim=(0, None))
        axes.set_title(f"(BP−RP)$_0$ ≈ {colour}", loc="left", fontsize=10)
    panels[0].set_ylabel("dereddened flux, 1 at 550 nm")
    figure.colorbar(plt.cm.ScalarMappable(norm, "viridis"), ax=panels, label=f"true {FEH} (dex)")
    return figure


@styled
def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and close it."""
    figure.savefig(path)
    plt.close(figure)


def span(values: NDArray) -> tuple[float, float]:
    """Return the range of an axis that shows all values with a margin; NaN is none.

    Examples
    --------
    >>> span(np.array([0.0, np.nan, 1.0]))
    (-0.04, 1.04)
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.04 * (high - low) or 0.1
    return low - margin, high + margin


def _binned_range(axes: Axes, x: NDArray, residual: NDArray) -> None:
    """Draw median and 68 % range of the residuals in ten bins; the outermost stars would make them too wide."""
    if not len(x):
        return
    first, last = np.percentile(x, [0.5, 99.5]).tolist()
    edges = np.linspace(first, last, 11)
    centres, quantiles = [], []
    for low, high in pairwise(edges):
        inside = (x >= low) & (x < high)
        if inside.sum() >= _FEW_TO_SHOW:
            centres.append((low + high) / 2)
            quantiles.append(np.percentile(residual[inside], [16, 50, 84]))
    if centres:
        low, middle, high = np.array(quantiles).T  # (bins, 3) -> three (bins,)
        axes.plot(centres, middle, color=BLUE, lw=1.8, label="median")
        axes.fill_between(centres, low, high, color=BLUE, alpha=0.2, label="68 % of the stars")
