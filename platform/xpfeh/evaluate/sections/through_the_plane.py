"""Beyond the paper's stars: giants behind any amount of dust and in the plane, and dwarfs, for all models."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from xpfeh.columns import rows_of
from xpfeh.evaluate.figures import BLUE, DIVERGING, GREY, LABELS, ORANGE, RED, RESIDUAL, styled
from xpfeh.evaluate.good_stars import OF_GOOD_STARS, good_numbers
from xpfeh.evaluate.metrics import LEVELS
from xpfeh.evaluate.numbers import cells, group_rows, number_table, titles
from xpfeh.evaluate.section import Picture, Section, Table
from xpfeh.evaluate.sections.trends import draw_residuals
from xpfeh.evaluate.slices import ALL, UNFLAGGED
from xpfeh.evaluate.study import Study
from xpfeh.evaluate.whole_sky import DUSTIEST, DUSTY, TITLES, is_giant, sky_numbers
from xpfeh.flags import GOOD
from xpfeh.typing import Columns
from xpfeh.xp.preprocess import HIGH_EBV

SkyNumbers = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By group, sample and name: see `xpfeh.evaluate.whole_sky.sky_numbers`."""

_NUMBERS = ("n", "mae", "robust_sigma", "bias", "coverage_68", "coverage_95")
_OF_UNFLAGGED = ("n", "mae", "coverage_68")  # no more fits in 1,200 pixels; metrics.json has all

_SHOWN = {**dict(zip(DUSTY[:-1], ("< 0.2", "0.2–0.5", "0.5–0.8", "0.8–1.5"), strict=True)),
          **dict(zip(DUSTIEST, ("1.5–3", "> 3"), strict=True))}  # fmt: skip
"""The groups along E(B-V) in figures."""
_COLOURS = (BLUE, ORANGE, GREY, "#2f855a", "#805ad5", "#b7791f")  # of models; a seventh reuses the first
_APART = 0.13  # distance between models of a group, along the axis
_MIN_FOR_A_POINT = 20  # with fewer, no point is drawn
_MIN_IN_A_PATCH = 3  # stars: with fewer, a median is one star's error
_SHADE = 0.3  # dex, the limits of the map's colour scale
_CLEAREST, _DUSTIEST = 0.01, 20.0  # mag, limits of a logarithmic axis of E(B-V); clearer stars are drawn at its end


def through_the_plane(study: Study) -> Section:
    """Return the section on the labelled stars of the whole sky."""
    numbers = {name: sky_numbers(model.labelled) for name, model in study.models.items()}
    good = {name: good_by_dust(model.labelled) for name, model in study.models.items() if "good" in model.labelled}
    stars = study.first.labelled
    giants = rows_of(stars, is_giant(stars["logg"]) & np.isfinite(stars["FEH"]))
    return Section(
        "through_the_plane",
        "Through the plane",
        "Every labelled star that the models have not seen, not only those that pass the paper's cuts: giants (with a "
        "label of log g < 3.5) behind any amount of dust, giants near the plane, and dwarfs. The numbers to quote are "
        "still those of the paper's stars; these show what to expect elsewhere. A recipe limited to the paper's stars "
        "(`stars=paper`) was trained on none of the others.",
        tables=[
            _sky_table(numbers),
            number_table(
                ["model", "E(B−V)"],
                ["n", *OF_GOOD_STARS],
                _good_rows(good),
                f"The good stars (column `good`): {GOOD}. Dwarfs: share of them whose label has log g ≥ 3.5; "
                "completeness: share of the giants that are good. ± by cells of the sky. The survey's selection sets "
                "the ratio of dwarfs to giants: in a sample with more dwarfs their share is larger.",
                "good_stars",
            ),
        ],
        pictures=[
            Picture(
                "plane_accuracy",
                accuracy_by_dust(numbers),
                "Giants by E(B−V): mean absolute error, width and bias, with errors by cells of the sky. Flat lines "
                "would mean that dust does no harm. Points outside the panel are not shown.",
            ),
            Picture(
                "plane_residuals",
                residuals_by_dust(giants, numbers),
                "Left: residuals of the first model's giants along E(B−V), with running mean and one σ. Right: the "
                "share of giants inside their 68 % (circles) and 95 % intervals (squares); red lines: the nominal "
                "shares. Points below a line mean that intervals are too short.",
            ),
            Picture(
                "plane_map",
                residual_map(giants),
                "Median residual of the first model's giants in patches of about 5° with three stars or more, Galactic "
                "coordinates. Patches of one colour along the plane would mean an effect of dust.",
            ),
        ],
        numbers={name: {**groups, "good": good.get(name, {})} for name, groups in numbers.items()},
    )  # fmt: skip


def _sky_table(numbers: Mapping[str, SkyNumbers]) -> Table:
    """Return a table with a row for each group and model that has stars: all its stars, and the unflagged ones."""
    rows = [
        ([title, name], [*cells(_NUMBERS, groups[group][ALL]), *cells(_OF_UNFLAGGED, groups[group][UNFLAGGED])])
        for group, title in TITLES.items()
        for name, groups in numbers.items()
        if groups[group][ALL]["n"]
    ]
    return Table(
        ["stars", "model", *titles(_NUMBERS), "unflagged", *titles(_OF_UNFLAGGED[1:])],
        group_rows(rows),
        "Dex; ± by cells of the sky; n: stars with a predicted [Fe/H]. Right: only the unflagged among the same stars. "
        "E(B−V) is the dust map's, for the whole line of sight, which in the plane may be far more than the dust in "
        "front of the star. The intervals of boosted trees have one length everywhere, that for the paper's "
        "validation stars.",
        text_columns=2,
        name="through_the_plane",
    )


def good_by_dust(stars: Columns) -> dict[str, dict[str, float]]:
    """Return `xpfeh.evaluate.good_stars.good_numbers` for N stars: all, and those behind little and much dust."""
    dusty = stars["ebv"] >= HIGH_EBV
    groups = {ALL: np.ones_like(dusty), f"ebv<{HIGH_EBV:g}": ~dusty, f"ebv>={HIGH_EBV:g}": dusty}
    return {name: good_numbers(rows_of(stars, chosen)) for name, chosen in groups.items()}


def _good_rows(
    found: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> list[tuple[list[str], Mapping[str, float]]]:
    """Return a row for each model and group."""
    shown = ("all", f"< {HIGH_EBV:g}", f"{HIGH_EBV:g} and more")
    return [
        ([name, title], m) for name, groups in found.items() for title, m in zip(shown, groups.values(), strict=True)
    ]


@styled
def accuracy_by_dust(numbers: Mapping[str, SkyNumbers]) -> Figure:
    """Draw each model's MAE, robust sigma and bias for giants by E(B-V)."""
    figure, panels = plt.subplots(1, 3, figsize=(13, 4.2))
    for axes, key, label in zip(
        panels, ("mae", "robust_sigma", "bias"), ("MAE (dex)", "robust σ (dex)", "bias (dex)"), strict=True
    ):
        _draw_by_dust(axes, numbers, key)
        axes.set_ylabel(label)
    for axes in panels[:2]:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks([0.05, 0.1, 0.2, 0.5, 1.0])
        axes.set_ylim(0.04, 1.5)
    panels[2].axhline(0, color=RED, lw=1)
    panels[2].set_ylim(-0.4, 0.4)
    panels[0].legend(loc="upper left", fontsize=9)
    return figure


@styled
def residuals_by_dust(giants: Columns, numbers: Mapping[str, SkyNumbers]) -> Figure:
    """Draw the first model's residuals along E(B-V), and each model's coverage of giants."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.4))
    along = np.log10(np.maximum(giants["ebv"], _CLEAREST))
    draw_residuals(left, along, giants, bins=14)
    ticks = [0.01, 0.03, 0.1, 0.3, 1, 3, 10]
    left.set_xticks(np.log10(ticks), [f"{tick:g}" for tick in ticks])
    left.set(xlabel=LABELS["ebv"], ylabel=RESIDUAL, xlim=np.log10([0.8 * _CLEAREST, _DUSTIEST]))
    for level in LEVELS:
        right.axhline(level / 100, color=RED, lw=1)
        first = level == LEVELS[0]
        _draw_by_dust(right, numbers, f"coverage_{level}", style="o-" if first else "s--", label=first)
    right.set(ylabel="share inside the 68 % and 95 % intervals", ylim=(0, 1.02))
    right.legend(loc="lower left", fontsize=9)
    return figure


@styled
def residual_map(giants: Columns) -> Figure:
    """Draw the median residual of giants over Galactic longitude and latitude."""
    figure, axes = plt.subplots(figsize=(12, 4.8))
    longitude = (giants["l"] + 180) % 360 - 180  # the Galactic centre in the middle
    shown = axes.hexbin(
        longitude, giants["b"], giants["FEH"] - giants["feh"], gridsize=(72, 24), mincnt=_MIN_IN_A_PATCH,
        reduce_C_function=np.median, extent=(-180, 180, -90, 90), cmap=DIVERGING, vmin=-_SHADE, vmax=_SHADE,
        linewidths=0.1,
    )  # fmt: skip
    ticks = np.arange(-180, 181, 60)
    axes.set_xticks(ticks, [f"{tick % 360}°" for tick in ticks])
    axes.set(xlim=(180, -180), ylim=(-90, 90), xlabel="Galactic longitude", ylabel="Galactic latitude (deg)")
    axes.set_yticks(np.arange(-90, 91, 30))
    figure.colorbar(shown, ax=axes, label=f"median of {RESIDUAL}", pad=0.01)
    return figure


def _draw_by_dust(
    axes: Axes, numbers: Mapping[str, SkyNumbers], key: str, style: str = "o-", label: bool = True
) -> None:
    """Draw one number for every model by E(B-V), the models slightly apart."""
    middle = (len(numbers) - 1) / 2
    for place, (name, groups) in enumerate(numbers.items()):
        there = [
            (x, groups[group][ALL]) for x, group in enumerate(_SHOWN) if groups[group][ALL]["n"] >= _MIN_FOR_A_POINT
        ]
        if there:
            x = np.array([x for x, _ in there]) + _APART * (place - middle)
            axes.errorbar(
                x, [m[key] for _, m in there], [np.nan_to_num(m[f"{key}_se"]) for _, m in there], fmt=style, ms=4,
                lw=1, elinewidth=1, color=_COLOURS[place % len(_COLOURS)], label=name if label else None,
            )  # fmt: skip
    axes.set_xticks(range(len(_SHOWN)), list(_SHOWN.values()))
    axes.set_xlabel(f"{LABELS['ebv']}, giants")
