"""One star in one figure: its spectrum, how [Fe/H] depends on it, [Fe/H] with its intervals, its flags in words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.evaluate.figures import BLUE, FEH, GREY, ORANGE, RED, by_resolved_range, styled
from xpfeh.flags import INFORMATIVE, MEANING, Flag
from xpfeh.inference.card import ModelCard
from xpfeh.inference.inputs import network_inputs
from xpfeh.xp.grid import WAVELENGTH_NM


@styled
def star_figure(
    features: Mapping[str, NDArray], answer: Mapping[str, NDArray], slopes: NDArray[np.float32], card: ModelCard
) -> Figure:
    """Draw one star.

    Parameters
    ----------
    features : mapping of (1, ...) arrays
        As returned by `xpfeh.xp.preprocess.preprocess`.
    answer : mapping of (1,) arrays
        As returned by `xpfeh.inference.estimate.estimate`.
    slopes : (1, pixels) float32
        As returned by `xpfeh.inference.predictor.Predictor.sensitivity`.
    card : ModelCard
        The model's card.
    """
    has_flux, has_slopes = np.isfinite(features["flux"]).any(), np.isfinite(slopes).any()
    heights = [*([3.0] if has_flux else []), *([1.6] if has_slopes else []), 1.3]
    figure, panels = plt.subplots(
        len(heights), 1, figsize=(9, 1.6 + sum(heights)), height_ratios=heights, squeeze=False
    )
    left = [*panels[:, 0]]
    if has_flux:
        _draw_spectrum(left.pop(0), features)
    if has_slopes:
        _draw_slopes(left.pop(0), features, slopes, card)
    _draw_feh(left.pop(0), answer, card)
    figure.suptitle(f"Gaia {card.preprocess.release.upper()} {int(answer['source_id'][0])}", x=0.02, ha="left")
    figure.text(0.985, 0.985, f"model {card.version}", ha="right", va="top", color=GREY, fontsize=9)
    return figure


def _draw_spectrum(axes: Axes, features: Mapping[str, NDArray]) -> None:
    flux, error = features["flux"][0], features["flux_error"][0]
    axes.fill_between(WAVELENGTH_NM, flux - error, flux + error, color=BLUE, alpha=0.25, linewidth=0, label="± error")
    axes.plot(WAVELENGTH_NM, flux, color=BLUE, lw=1.2)
    axes.set(ylabel="observed flux,\n1 around 550 nm", ylim=(min(0.0, 1.1 * np.nanmin(flux, initial=0)), None))
    known = {"G": "phot_g_mean_mag", "(BP−RP)$_0$": "bp_rp0", "E(B−V)": "ebv"}
    values = [f"{label} {features[name][0]:.2f}" for label, name in known.items() if np.isfinite(features[name][0])]
    axes.set_title("   ".join(values), loc="right", fontsize=10, color=GREY)
    axes.legend(loc="best", fontsize=9)


def _draw_slopes(axes: Axes, features: Mapping[str, NDArray], slopes: NDArray[np.float32], card: ModelCard) -> None:
    wavelength, change = by_resolved_range(network_inputs(features, card.recipe, card.preprocess)["flux"], slopes)
    colours = np.where(change[0] < 0, BLUE, RED)
    axes.bar(wavelength, change[0], width=0.9 * np.diff(wavelength).mean(), color=colours)
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xlabel="wavelength (nm)", ylabel=f"change of {FEH}\nfor +1 % flux (dex)")
    axes.sharex(axes.figure.axes[0])


def _draw_feh(axes: Axes, answer: Mapping[str, NDArray], card: ModelCard) -> None:
    """Draw [Fe/H], if predicted, with its intervals over the range of the training labels, and add it as text.

    An open interval extends to the edge of the panel.
    """
    outside = bool(int(answer["flags"][0]) & Flag.OUTSIDE_DOMAIN)
    below = -0.62  # below the axis's numbers and label
    if np.isfinite(answer["FEH"][0]):
        _draw_intervals(axes, answer, card, GREY if outside else BLUE, GREY if outside else RED)
    else:
        axes.set_axis_off()
        below = 0.9
    # An unreliable number must not look like a result.
    style: dict[str, Any] = {"color": GREY, "fontsize": 10} if outside else {"fontweight": "bold", "fontsize": 11}
    caution = "outside the model's domain:\n" if outside else ""
    axes.set_title(caution + _in_words(answer), loc="right", **style)
    axes.set_title(_further_in_words(answer), loc="left", fontsize=10, color=GREY)
    flags = [flag for flag in Flag if int(answer["flags"][0]) & flag]
    text = "\n".join(textwrap.fill(f"{flag.name}: {MEANING[flag]}", 120) for flag in flags) or "no flags"
    axes.text(
        0,
        below,
        text,
        transform=axes.transAxes,
        fontsize=8.5,
        va="top",
        color=ORANGE if int(answer["flags"][0]) & ~INFORMATIVE else GREY,
        linespacing=1.4,
    )


def _draw_intervals(
    axes: Axes, answer: Mapping[str, NDArray], card: ModelCard, of_intervals: str, of_estimate: str
) -> None:
    low, high = card.edges.low, card.edges.high
    left, right = low - 0.7, high + 0.7
    axes.axvspan(low, high, color=GREY, alpha=0.12, linewidth=0)
    axes.text(low, 0.04, " range of the training labels", color=GREY, fontsize=9, transform=axes.get_xaxis_transform())
    for level, width in ((95, 2), (68, 7)):
        ends = [float(answer[f"FEH_{end}{level}"][0]) for end in ("lo", "hi")]
        shown = [end if np.isfinite(end) else edge for end, edge in zip(ends, (left, right), strict=True)]
        axes.plot(shown, [0, 0], color=of_intervals, lw=width, solid_capstyle="butt", alpha=0.5, label=f"{level} %")
    axes.plot(float(answer["FEH"][0]), 0, "o", color=of_estimate, ms=8)
    axes.legend(loc="upper right", fontsize=9, ncols=2)
    axes.set(xlim=(left, right), ylim=(-1, 1), yticks=[], xlabel=f"{FEH} (dex)")
    axes.grid(False)


def _in_words(answer: Mapping[str, NDArray]) -> str:
    estimate, low, high = (float(answer[name][0]) for name in ("FEH", "FEH_lo68", "FEH_hi68"))
    if not np.isfinite(estimate):
        return f"no {FEH}"
    below = f"−{estimate - low:.2f}" if np.isfinite(low) else "−open"
    above = f"+{high - estimate:.2f}" if np.isfinite(high) else "+open"
    return f"{FEH} = {estimate:.2f}  {above} {below}  (68 %)".replace("= -", "= −")


def _further_in_words(answer: Mapping[str, NDArray]) -> str:
    """Return those of T_eff, log g and [alpha/M] that the model predicts, with their errors, as text."""
    shown = {"TEFF": ("$T_\\mathrm{eff}$", "K", 0), "LOGG": ("log g", "", 2), "ALPHA_M": ("[α/M]", "", 2)}
    parts = []
    for column, (label, unit, digits) in shown.items():
        value, error = float(answer[column][0]), float(answer[f"{column}_err"][0])
        if np.isfinite(value):
            parts.append(f"{label} = {value:.{digits}f} ± {error:.{digits}f} {unit}".replace("± nan", "± ?").strip())
    return "   ".join(parts).replace("= -", "= −")
