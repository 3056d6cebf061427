"""Are these stars like those that a model was judged on? Numbers, differences in words, and a figure."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xpfeh.evaluate.figures import BLUE, GREY, styled
from xpfeh.flags import INFORMATIVE, MEANING, Flag
from xpfeh.inference.domain import WORST, to_ranges
from xpfeh.inference.seen import PERCENTILES, Seen
from xpfeh.typing import Columns
from xpfeh.xp.grid import WAVELENGTH_NM

OUTSIDE_TIMES = 3.0
"""Multiple of the training stars' 1 % outside the domain, above which the share is reported."""
_SHARE = 0.05  # a flag's share may differ by this before it is reported
_SPREADS = 1.0  # a pixel may shift by this, in units of half the central 68 % of the training stars
_LABELS = {
    "domain_score": "domain score",
    "phot_g_mean_mag": "G (mag)",
    "bp_rp0": "(BP−RP)$_0$ (mag)",
    "ebv": "E(B−V) (mag)",
}
# The first is reported separately; the others describe the data, not the stars, and older cards may lack them.
_NOT_COMPARED = Flag.OUTSIDE_DOMAIN | INFORMATIVE
_CENTRES_NM = to_ranges(WAVELENGTH_NM[None])[0]
_MEDIAN, _LOW, _HIGH = (PERCENTILES.index(each) for each in (50, 16, 84))


@dataclass(frozen=True)
class Drift:
    """Differences between some stars and the training stars.

    Attributes
    ----------
    outside : float
        Share of the stars outside the model's domain; for the training stars it is 1 %.
    flags : dict of (float, float)
        Share with each flag among the training stars and these, where the two differ by 5 % of the stars or more.
    shift : (P,) float64
        Shift of the median spectrum in each range, in spreads of the training stars.
    differences : list of str
        The reported differences, one line each.
    """

    outside: float
    flags: dict[str, tuple[float, float]]
    shift: np.ndarray
    differences: list[str]


def drift(trained: Seen, given: Seen) -> Drift:
    """Compare stars with those that a model was judged on."""
    outside = given.flags[str(Flag.OUTSIDE_DOMAIN.name)]
    flags = {
        name: (trained.flags[name], share)
        for name, share in given.flags.items()
        if not Flag[name] & _NOT_COMPARED and abs(share - trained.flags[name]) >= _SHARE
    }
    shift = (np.array(given.flux) - np.array(trained.flux)) / np.maximum(trained.spread, 1e-6)
    differences = []
    if outside > OUTSIDE_TIMES * WORST:
        differences.append(f"{outside:.1%} are outside the model's domain; training stars: {WORST:.0%}")
    differences += [
        f"{name}: {now:.1%}; training stars: {before:.1%} ({MEANING[Flag[name]]})"
        for name, (before, now) in flags.items()
    ]
    worst = int(np.argmax(np.abs(shift)))
    if abs(shift[worst]) > _SPREADS:
        differences.append(f"the median spectrum is {shift[worst]:+.1f} spreads off at {_CENTRES_NM[worst]:.0f} nm")
    for name, values in given.percentiles.items():
        if name in trained.percentiles and not (
            trained.percentiles[name][_LOW] <= values[_MEDIAN] <= trained.percentiles[name][_HIGH]
        ):
            differences.append(
                f"{name}: median {values[_MEDIAN]:.2f}; central 68 % of the training stars: "
                f"{trained.percentiles[name][_LOW]:.2f} to {trained.percentiles[name][_HIGH]:.2f}"
            )
    return Drift(outside, flags, shift, differences)


def not_evaluated(stars: Columns) -> dict[str, float]:
    """Return the share of N stars for which each of the paper's cuts is unknown, omitting cuts known for all stars.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``phot_bp_rp_excess_factor``, ``m_g`` (mag, NaN without a distance) and ``flags`` of a catalog.

    Examples
    --------
    >>> stars = {"phot_bp_rp_excess_factor": np.array([1.2, 1.2]), "m_g": np.array([np.nan, 0.1])}
    >>> not_evaluated({**stars, "flags": np.zeros(2, np.uint32)})
    {'cut 3 (|Z|)': 0.5}
    """
    unknown = {
        "cut 1 (excess factor)": np.isnan(stars["phot_bp_rp_excess_factor"]),
        "cut 2 (giants)": (stars["flags"] & np.uint32(Flag.CUT_NOT_EVALUATED)) != 0,
        "cut 3 (|Z|)": np.isnan(stars["m_g"]),
    }
    return {cut: float(each.mean()) for cut, each in unknown.items() if each.any()}


@styled
def drift_figure(trained: Seen, given: Seen, title: str) -> Figure:
    """Draw a comparison: median spectra, distributions, shares of flags."""
    figure = plt.figure(figsize=(11, 8))
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[3, 2.2, 3])
    figure.suptitle(title, x=0.02, ha="left")
    _draw_spectra(top.subplots(), trained, given)
    for axes, (name, label) in zip(middle.subplots(1, len(_LABELS)), _LABELS.items(), strict=True):
        _draw_percentiles(axes, label, trained.percentiles.get(name), given.percentiles.get(name))
    _draw_flags(bottom.subplots(), trained, given)
    return figure


def _draw_spectra(axes: Axes, trained: Seen, given: Seen) -> None:
    for each, colour, label in ((trained, GREY, "training stars"), (given, BLUE, "these stars")):
        flux, spread = np.array(each.flux), np.array(each.spread)
        axes.fill_between(_CENTRES_NM, flux - spread, flux + spread, color=colour, alpha=0.2, linewidth=0)
        axes.plot(_CENTRES_NM, flux, color=colour, lw=1.5, label=f"{label}: {each.stars:,}")
    axes.set(xlabel="wavelength (nm)", ylabel="flux, 1 around 550 nm")
    axes.set_title("median spectrum and central 68 %", loc="left", fontsize=10)
    axes.legend()


def _draw_percentiles(
    axes: Axes, label: str, trained: tuple[float, ...] | None, given: tuple[float, ...] | None
) -> None:
    for height, values, colour in ((1, trained, GREY), (0, given, BLUE)):
        if values is not None:
            axes.plot((values[0], values[-1]), (height, height), color=colour, lw=1.5)
            axes.plot((values[_LOW], values[_HIGH]), (height, height), color=colour, lw=7, solid_capstyle="butt")
            axes.plot(values[_MEDIAN], height, "o", color="white", ms=4)
    axes.set(xlabel=label, yticks=[0, 1], yticklabels=["these", "training"], ylim=(-0.6, 1.6))


def _draw_flags(axes: Axes, trained: Seen, given: Seen) -> None:
    names = [
        name for name in given.flags if not Flag[name] & INFORMATIVE and max(given.flags[name], trained.flags[name]) > 0
    ]
    places = np.arange(len(names))
    axes.barh(places - 0.2, [100 * trained.flags[name] for name in names], 0.38, color=GREY, label="training stars")
    axes.barh(places + 0.2, [100 * given.flags[name] for name in names], 0.38, color=BLUE, label="these stars")
    axes.set(yticks=places, yticklabels=names, xlabel="share of the stars that fail none of cuts 1 to 3 (%)")
    axes.invert_yaxis()
    if names:
        axes.legend()
