"""Beyond the paper's stars: giants behind any dust and in the plane, and dwarfs, all models side by side."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from xpfeh.evaluate.figures import (
    BLUE,
    DIVERGING,
    GREY,
    LABELS,
    ORANGE,
    RED,
    RESIDUAL,
    styled,
)  # fmt: skip
from xpfeh.evaluate.good_stars import NUMBERS, good_numbers
from xpfeh.evaluate.metrics import LEVELS
from xpfeh.evaluate.residuals import running
from xpfeh.evaluate.section import Picture, Section, Table, text_of
from xpfeh.evaluate.sections.trends import draw_residuals
from xpfeh.evaluate.slices import ALL, UNFLAGGED
from xpfeh.evaluate.study import Stars, Study, rows_of
from xpfeh.evaluate.whole_sky import DUSTIEST, DUSTY, TITLES, is_giant, sky_numbers
from xpfeh.flags import GOOD
from xpfeh.xp.preprocess import HIGH_EBV

Numbers = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By group, sample and name: see `xpfeh.evaluate.whole_sky.sky_numbers`."""

_SHOWN = {**dict(zip(DUSTY[:-1], ("< 0.2", "0.2–0.5", "0.5–0.8", "0.8–1.5"), strict=True)),
          **dict(zip(DUSTIEST, ("1.5–3", "> 3"), strict=True))}  # fmt: skip
"""The groups along E(B-V) that pictures show."""
_COLOURS = (BLUE, ORANGE, GREY, "#2f855a", "#805ad5", "#b7791f")  # of models; a seventh begins again
_APART = 0.13  # of models in a group, along the axis
_FEW = 20  # stars: of fewer no point is drawn
_FEW_IN_A_PATCH = 3  # stars: of fewer a median is one star's error
_SHADE = 0.3  # dex, the ends of the map's scale
_CLEAREST, _DUSTIEST = 0.01, 20.0  # mag: a logarithmic axis of E(B-V); clearer stars stand at its end


def through_the_plane(study: Study) -> Section:
    """Return the section on the labelled stars of the whole sky."""
    numbers = {name: sky_numbers(model.labelled) for name, model in study.models.items()}
    good = {name: good_by_dust(model.labelled) for name, model in study.models.items() if "good" in model.labelled}
    stars = study.first.labelled
    giants = rows_of(stars, is_giant(stars["logg"]) & np.isfinite(stars["FEH"]))
    return Section(
        "through_the_plane",
        "Through the plane",
        "Every labelled star that was asked about, not only those that pass the paper's cuts: giants (log g of the "
        "label below 3.5) behind any dust, giants near the plane, and dwarfs. The numbers to quote stay those of the "
        "paper's stars; these say what to expect elsewhere. A recipe of the paper's stars (`stars=paper`) has learnt "
        "from none of the others.",
        tables=[
            Table(
                ["stars", "model", "n", "MAE", "robust σ", "bias", "in 68 %", "in 95 %", "unflagged", "MAE", "in 68 %",
                 "in 95 %"],
                _rows(numbers),
                "Dex; ± by cells of the sky; n: stars with a predicted [Fe/H]. Right: the unflagged of the same "
                "stars. E(B−V) is the dust map's, of the whole line of sight, which in the plane may be far more than "
                "what dims the star. The intervals of boosted trees are as long everywhere as on the paper's "
                "validation stars.",
                text_columns=2,
                name="through_the_plane",
            ),
            Table(
                ["model", "E(B−V)", "good stars", "MAE", "in 68 %", "in 95 %", "dwarfs", "completeness"],
                _good_rows(good),
                f"The good stars (column `good`): {GOOD}. Dwarfs: share of them with log g of the label from 3.5 on; "
                "completeness: share of the giants that are good. ± by cells of the sky. How many dwarfs there are for "
                "a giant is the survey's choice: in a sample with more dwarfs their share is larger.",
                text_columns=2,
                name="good_stars",
            ),
        ],
        pictures=[
            Picture(
                "plane_accuracy",
                accuracy_by_dust(numbers),
                "Giants by E(B−V): mean absolute error, width and bias, with errors by cells of the sky. Flat lines "
                "would mean that dust costs nothing. Points beyond the panel are left out.",
            ),
            Picture(
                "plane_residuals",
                residuals_by_dust(giants, numbers),
                "Left: residuals of the first model's giants along E(B−V), with running mean and one σ. Right: the "
                "share of giants inside their 68 % (circles) and 95 % intervals (squares); red lines: what it should "
                "be. Points below them mean intervals that are too short.",
            ),
            Picture(
                "plane_map",
                residual_map(giants),
                "Median residual of the first model's giants in patches of about 5° with three stars or more, Galactic "
                "coordinates. Patches of one colour along the plane would be the dust's doing.",
            ),
        ],
        numbers={name: {**groups, "good": good.get(name, {})} for name, groups in numbers.items()},
    )  # fmt: skip


def _rows(numbers: Mapping[str, Numbers]) -> list[list[str]]:
    """Return a row for each group and model that has stars."""
    rows = []
    for group, title in TITLES.items():
        there = [name for name, groups in numbers.items() if groups[group][ALL]["n"]]
        for name in there:
            every, calm = numbers[name][group][ALL], numbers[name][group][UNFLAGGED]
            rows.append([
                title if name == there[0] else "", name, f"{every['n']:,}",
                text_of(every["mae"], ".3f", every["mae_se"]),
                text_of(every["robust_sigma"], ".3f", every["robust_sigma_se"]),
                text_of(every["bias"], "+.3f", every["bias_se"]), *_coverages(every),
                f"{calm['n']:,}", *(["–"] * 3 if not calm["n"] else
                                    [text_of(calm["mae"], ".3f", calm["mae_se"]), *_coverages(calm)]),
            ])  # fmt: skip
    return rows


def good_by_dust(stars: Stars) -> dict[str, dict[str, float]]:
    """Return `xpfeh.evaluate.good_stars.good_numbers` of N stars, of all and of those behind little and much dust."""
    dusty = stars["ebv"] >= HIGH_EBV
    groups = {ALL: np.ones_like(dusty), f"ebv<{HIGH_EBV:g}": ~dusty, f"ebv>={HIGH_EBV:g}": dusty}
    return {name: good_numbers(rows_of(stars, chosen)) for name, chosen in groups.items()}


def _good_rows(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[list[str]]:
    """Return a row for each model and group."""
    shown = ("all", f"< {HIGH_EBV:g}", f"{HIGH_EBV:g} and more")
    return [
        [name if title == shown[0] else "", title, f"{m['n']:,}",
         *(text_of(m[key], ".3f", m[f"{key}_se"]) for key in NUMBERS)]
        for name, groups in found.items()
        for title, m in zip(shown, groups.values(), strict=True)
    ]  # fmt: skip


def _coverages(m: Mapping[str, float]) -> list[str]:
    return [text_of(m[f"coverage_{level}"], ".3f", m[f"coverage_{level}_se"]) for level in LEVELS]


@styled
def accuracy_by_dust(numbers: Mapping[str, Numbers]) -> Figure:
    """Return MAE, robust sigma and bias of giants by E(B-V), of each model."""
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
def residuals_by_dust(giants: Stars, numbers: Mapping[str, Numbers]) -> Figure:
    """Return the first model's residuals along E(B-V), and each model's coverage of giants."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.4))
    along = np.log10(np.maximum(giants["ebv"], _CLEAREST))
    draw_residuals(left, along, giants["FEH"] - giants["feh"], running(along, giants, bins=14))
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
def residual_map(giants: Stars) -> Figure:
    """Return the median residual of giants over Galactic longitude and latitude."""
    figure, axes = plt.subplots(figsize=(12, 4.8))
    longitude = (giants["l"] + 180) % 360 - 180  # the Galactic centre in the middle
    shown = axes.hexbin(
        longitude, giants["b"], giants["FEH"] - giants["feh"], gridsize=(72, 24), mincnt=_FEW_IN_A_PATCH,
        reduce_C_function=np.median, extent=(-180, 180, -90, 90), cmap=DIVERGING, vmin=-_SHADE, vmax=_SHADE,
        linewidths=0.1,
    )  # fmt: skip
    ticks = np.arange(-180, 181, 60)
    axes.set_xticks(ticks, [f"{tick % 360}°" for tick in ticks])
    axes.set(xlim=(180, -180), ylim=(-90, 90), xlabel="Galactic longitude", ylabel="Galactic latitude (deg)")
    axes.set_yticks(np.arange(-90, 91, 30))
    figure.colorbar(shown, ax=axes, label=f"median of {RESIDUAL}", pad=0.01)
    return figure


def _draw_by_dust(axes: Axes, numbers: Mapping[str, Numbers], key: str, style: str = "o-", label: bool = True) -> None:
    """Draw a number of every model by E(B-V), the models a little apart."""
    middle = (len(numbers) - 1) / 2
    for place, (name, groups) in enumerate(numbers.items()):
        there = [(x, groups[group][ALL]) for x, group in enumerate(_SHOWN) if groups[group][ALL]["n"] >= _FEW]
        if there:
            x = np.array([x for x, _ in there]) + _APART * (place - middle)
            axes.errorbar(
                x, [m[key] for _, m in there], [np.nan_to_num(m[f"{key}_se"]) for _, m in there], fmt=style, ms=4,
                lw=1, elinewidth=1, color=_COLOURS[place % len(_COLOURS)], label=name if label else None,
            )  # fmt: skip
    axes.set_xticks(range(len(_SHOWN)), list(_SHOWN.values()))
    axes.set_xlabel(f"{LABELS['ebv']}, giants")
