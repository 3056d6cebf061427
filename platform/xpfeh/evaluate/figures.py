"""Common to all figures: style and colours, axis labels, and how stars are drawn."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.xp import pixels

# GaiaXPy turns LaTeX on for the whole process when it is imported, so every figure sets its own style.
styled = plt.rc_context({
    "text.usetex": False, "font.family": "sans-serif",
    "figure.dpi": 120, "savefig.dpi": 120, "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False, "figure.constrained_layout.use": True,
})  # fmt: skip
BLUE, RED, GREY, ORANGE = "#2b6cb0", "#c53030", "#4a5568", "#dd6b20"
FEH = "[Fe/H]"
RESIDUAL = f"{FEH} predicted − true (dex)"
DIVERGING = "RdBu_r"
MAX_RESIDUAL = 0.8
"""Dex; the few stars beyond would squeeze the others into a thin line."""

LABELS = {
    "feh": f"true {FEH} (dex)",
    "FEH": f"predicted {FEH} (dex)",
    "alpha_m": "[α/M] (dex)",
    "c_fe": "[C/Fe] (dex)",
    "teff": "T$_{eff}$ (K)",
    "logg": "log g (dex)",
    "m_g": "M$_G$ (mag)",
    "bp_rp0": "(BP−RP)$_0$ (mag)",
    "phot_g_mean_mag": "G (mag)",
    "ebv": "E(B−V) SFD98 (mag)",
    "abs_b": "|b| (deg)",
    "snr": "log$_{10}$ median S/N per sample",
}
"""The axis labels of the columns of stars."""

MANY = 1500
"""Above this number, stars would hide each other: their density is drawn instead."""

_RESOLVED = 60  # ranges of 11 nm, the paper's pixels: about what XP resolves


def by_resolved_range(
    flux: NDArray[np.float32], slopes: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return ranges of 11 nm, (ranges,) nm, and the effect of 1 % more flux there on [Fe/H], (N, ranges) dex.

    XP resolves nothing narrower: no real spectrum has opposite signs in neighbouring samples.

    Parameters
    ----------
    flux : (N, pixels) float32
        The networks' input.
    slopes : (N, pixels) float32
        d[Fe/H] / d flux.
    """
    n_pixels = slopes.shape[1]
    n_shown = min(n_pixels, _RESOLVED)
    cuts = pixels.edges(n_pixels)
    shown_in = np.searchsorted(pixels.edges(n_shown), (cuts[:-1] + cuts[1:]) // 2, side="right") - 1  # (pixels,)
    into_shown = (shown_in[:, None] == np.arange(n_shown)).astype(np.float32)
    return pixels.centres_nm(n_shown), 0.01 * (slopes * flux) @ into_shown


def draw_stars(axes: Axes, x: NDArray, y: NDArray) -> None:
    """Draw N stars as points, or as their density if there are more than `MANY`."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) <= MANY:
        axes.scatter(x, y, s=9, color=GREY, alpha=0.5, linewidths=0)
        return
    axes.hexbin(x, y, gridsize=(70, 45), bins="log", mincnt=1, cmap="Greys", linewidths=0.1, zorder=1)


def shade_stars(
    figure: Figure, axes: Axes, x: NDArray, y: NDArray, values: NDArray, label: str, limit: float | None = None
) -> None:
    """Draw the mean of a third quantity over the plane of two; given a limit, on a diverging scale around zero."""
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(values)
    if not known.any():
        return
    low, high = np.percentile(values[known], [1, 99]) if limit is None else (-limit, limit)
    colours = "viridis" if limit is None else DIVERGING
    shown = axes.hexbin(
        x[known], y[known], values[known], gridsize=(45, 30), reduce_C_function=np.mean, linewidths=0.1,
        cmap=colours, vmin=low, vmax=high,
    )  # fmt: skip
    figure.colorbar(shown, ax=axes, label=label)


@styled
def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and PDF, and close it."""
    figure.savefig(path)
    figure.savefig(path.with_suffix(".pdf"))
    plt.close(figure)


def span(values: NDArray) -> tuple[float, float]:
    """Return the range of an axis that shows all values with a margin; NaN is ignored.

    Examples
    --------
    >>> span(np.array([0.0, np.nan, 1.0]))
    (-0.04, 1.04)
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.04 * (high - low) or 0.1
    return low - margin, high + margin
