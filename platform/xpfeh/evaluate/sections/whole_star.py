"""The other labels of a star: T_eff, log g and [alpha/M], and whether it is a giant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.evaluate.figures import BLUE, LABELS, ORANGE, RED, styled
from xpfeh.evaluate.numbers import cells, group_rows, number_table, titles
from xpfeh.evaluate.residuals import robust_sigma
from xpfeh.evaluate.section import Picture, Section, Table
from xpfeh.evaluate.study import Study
from xpfeh.evaluate.whole_sky import DUSTY, DWARFS, EVERY, GIANTS, PLANE, TITLES, groups_of, in_plane, is_giant
from xpfeh.evaluate.whole_star import SHARES, giants_by_flags, giants_found, label_numbers, prediction
from xpfeh.inference.further_labels import FURTHER_LABELS, FurtherLabel
from xpfeh.typing import Columns

_TITLE = "T_eff, log g and [α/M]"
_NUMBERS = ("n", "mae", "median", "robust_sigma", "coverage_68", "n_open")
_GIANT_GROUPS = (GIANTS, *DUSTY, PLANE)
_ROOM = 1.35  # height of a histogram's axis over its highest bin, for the legend
_MIN_FOR_A_FIGURE = 20  # with fewer, a distribution shows nothing


class _Shown(NamedTuple):
    """How a label is shown: its name, decimals, groups of stars, axis, and a figure's largest residual."""

    title: str
    decimals: int
    groups: tuple[str, ...]
    limits: tuple[float, float]
    largest: float


_SHOWN = {
    "teff": _Shown("T_eff", 0, _GIANT_GROUPS, (3100, 6000), 500.0),
    "logg": _Shown("log g", 3, (EVERY, DWARFS, *_GIANT_GROUPS), (-0.5, 5.3), 1.5),
    "alpha_m": _Shown("[α/M]", 3, _GIANT_GROUPS, (-0.2, 0.45), 0.3),
}

Limits = tuple[tuple[float, float], tuple[float, float]]
_KIEL: Limits = ((7000, 3200), (5.3, -0.5))
_SEQUENCES: Limits = ((-2.6, 0.6), (-0.2, 0.45))


def whole_star(study: Study) -> Section:
    """Return the section on T_eff, log g and [alpha/M] of the labelled stars of the whole sky."""
    labelled = {name: model.labelled for name, model in study.models.items()}
    if all(np.isnan(prediction(stars, "LOGG")).all() for stars in labelled.values()):
        return Section("whole_star", _TITLE, absent="These models learn [Fe/H] alone (`further_labels=0`).")
    giants = {name: _giants(stars) for name, stars in labelled.items()}
    labels = {name: _labels(stars) for name, stars in labelled.items()}
    return Section(
        "whole_star",
        _TITLE,
        "Effective temperature, surface gravity and [α/M] of the labelled stars of the whole sky, compared with their "
        "labels. If no distance is known, log g separates giants from dwarfs (flag `NOT_GIANT`).",
        tables=[
            number_table(
                ["model", "giants by"],
                ["n", "truly", "called", "right", *SHARES],
                [([name, how], m) for name, selections in giants.items() for how, m in selections.items()],
                "Giants: log g below 3.5. Purity: share of the selected stars that are giants by their label; "
                "completeness: share of the giants that are selected. By the flags: neither `NOT_GIANT` nor "
                "`CUT_NOT_EVALUATED`. ± by cells of the sky. The survey's selection sets the ratio of dwarfs to "
                "giants: in a sample with more dwarfs the purity is lower.",
                "giants_by_spectrum",
            ),
            Table(
                ["label", "stars", "model", *titles(_NUMBERS)],
                group_rows(_label_rows(labels)),
                "Predicted minus label, K or dex; ± by cells of the sky. In 68 %: share of the stars with an error "
                "whose residual is within it. Open: stars without an error, which do not count towards that share.",
                text_columns=3,
                name="whole_star",
            ),
        ],
        pictures=_pictures(study.first.labelled),
        numbers={name: {"giants_by_spectrum": giants[name], **labels[name]} for name in labelled},
    )


def _giants(stars: Columns) -> dict[str, dict[str, float]]:
    """Return how well giants are separated from dwarfs, by log g and by the flags."""
    low = is_giant(prediction(stars, "LOGG"))
    plane = in_plane(stars)
    return {
        "LOGG < 3.5": giants_found(stars, low),
        "LOGG < 3.5, |b| < 10°": giants_found(rows_of(stars, plane), low[plane]),
        "by the flags": giants_found(stars, giants_by_flags(stars)),
    }


def _labels(stars: Columns) -> dict[str, dict[str, dict[str, float]]]:
    """Return each label's numbers by group."""
    chosen = groups_of(stars)
    return {
        label.name: {group: label_numbers(rows_of(stars, chosen[group]), label) for group in _SHOWN[label.name].groups}
        for label in FURTHER_LABELS
    }


def _label_rows(
    numbers: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]],
) -> list[tuple[list[str], list[str]]]:
    """Return a row for each label, group and model; for a model without the label, a single row of dashes."""
    return [
        (
            [shown.title, TITLES[group], model],
            cells(_NUMBERS, labels[name][group] if labels[name][group]["n"] else {}, shown.decimals),
        )
        for name, shown in _SHOWN.items()
        for group in shown.groups
        for model, labels in numbers.items()
        if group == shown.groups[0] or labels[name][group]["n"]
    ]


def _pictures(stars: Columns) -> list[Picture]:
    """Return the figures of a model's stars; none if it does not learn the labels or has too few stars."""
    if np.isfinite(prediction(stars, "LOGG")).sum() < _MIN_FOR_A_FIGURE:
        return []
    return [
        Picture(
            "kiel",
            kiel(stars),
            "Every labelled star, its label and the first model's prediction: the red giant branch with the clump at "
            "log g 2.4, the subgiants and the dwarfs. Do not trust predictions where there are no labels.",
        ),
        Picture(
            "alpha_feh",
            alpha_against_feh(stars),
            "Giants. The labels show the two sequences of the disk, of high and low [α/M]. A network that cannot tell "
            "them apart predicts values in between: the closer the predicted sequences, the less information the "
            "spectra contain.",
        ),
        Picture(
            "labels",
            one_to_one(stars),
            "Predicted against true values, and residuals behind little and much dust: T_eff and [α/M] for giants, "
            "log g for all stars.",
        ),
    ]


@styled
def kiel(stars: Columns) -> Figure:
    """Draw the density of log g against T_eff, for the labels and for the predictions."""
    known = rows_of(stars, np.isfinite(stars["TEFF"]) & np.isfinite(stars["LOGG"]))
    return _side_by_side(
        (known["teff"], known["logg"]), (known["TEFF"], known["LOGG"]), _KIEL, (LABELS["teff"], LABELS["logg"])
    )


@styled
def alpha_against_feh(stars: Columns) -> Figure:
    """Draw the density of [alpha/M] against [Fe/H], for the giants' labels and predictions."""
    answered = is_giant(stars["logg"]) & np.isfinite(stars["ALPHA_M"]) & np.isfinite(stars["FEH"])
    giants = rows_of(stars, answered & np.isfinite(stars["alpha_m"]))
    return _side_by_side(
        (giants["feh"], giants["alpha_m"]), (giants["FEH"], giants["ALPHA_M"]), _SEQUENCES,
        ("[Fe/H] (dex)", LABELS["alpha_m"]),
    )  # fmt: skip


@styled
def one_to_one(stars: Columns) -> Figure:
    """Draw the density of predicted against true labels, and residuals behind little and much dust."""
    figure, panels = plt.subplots(2, len(_SHOWN), figsize=(12.5, 8), height_ratios=[1.35, 1])
    for (top, bottom), label in zip(panels.T, FURTHER_LABELS, strict=True):
        shown = _SHOWN[label.name]
        some = _known(stars, label, giants_alone=shown.groups[0] == GIANTS)
        _draw_density(top, some[label.name], some[label.column], (shown.limits, shown.limits))
        top.plot(shown.limits, shown.limits, color=RED, lw=1)
        top.set(xlabel=f"true {LABELS[label.name]}", ylabel=f"predicted {LABELS[label.name]}")
        _draw_residuals(bottom, some, label, shown)
    panels[1, 0].set_ylabel("share of the stars per bin")
    return figure


def _draw_residuals(axes: Axes, stars: Columns, label: FurtherLabel, shown: _Shown) -> None:
    """Draw histograms of the residuals behind little and much dust, as shares of these stars."""
    residual = stars[label.column].astype(np.float64) - stars[label.name]
    bins = np.linspace(-shown.largest, shown.largest, 61)
    for chosen, colour, where in (
        (stars["ebv"] < 0.2, BLUE, "E(B−V) < 0.2"),
        (stars["ebv"] >= 0.8, ORANGE, "E(B−V) ≥ 0.8"),
    ):
        if chosen.sum() >= _MIN_FOR_A_FIGURE:
            width = f"σ {robust_sigma(residual[chosen]):.{shown.decimals}f}"
            share = np.histogram(residual[chosen], bins)[0] / chosen.sum()
            axes.stairs(share, bins, lw=1.6, color=colour, label=f"{where}: {width}")
    axes.set_xlabel(f"{LABELS[label.name]}, predicted − true")
    axes.set_ylim(0, _ROOM * axes.get_ylim()[1])
    axes.axvline(0, ymax=1 / _ROOM, color=RED, lw=1)
    axes.legend(loc="upper left", fontsize=9)


def _known(stars: Columns, label: FurtherLabel, giants_alone: bool) -> dict[str, NDArray]:
    known = np.isfinite(stars[label.name]) & np.isfinite(stars[label.column])
    return rows_of(stars, known & (is_giant(stars["logg"]) | (not giants_alone)))


def _side_by_side(
    true: tuple[NDArray, NDArray], answered: tuple[NDArray, NDArray], limits: Limits, names: tuple[str, str]
) -> Figure:
    """Draw the densities of labels and of predictions on the same scale."""
    figure, panels = plt.subplots(1, 2, figsize=(11.5, 4.8), sharex=True, sharey=True)
    titles = ("labels", "predicted")
    drawn = [_draw_density(axes, *pair, limits) for axes, pair in zip(panels, (true, answered), strict=True)]
    norm = LogNorm(1, max(float(np.max(np.asarray(one.get_array()), initial=2)) for one in drawn))
    for axes, one, title in zip(panels, drawn, titles, strict=True):
        one.set_norm(norm)
        axes.set_xlabel(names[0])
        axes.set_title(f"{title}: {len(true[0]):,} stars", loc="left", fontsize=10)
    panels[0].set_ylabel(names[1])
    figure.colorbar(drawn[1], ax=panels, label="stars per cell", pad=0.01)
    return figure


def _draw_density(axes: Axes, x: NDArray, y: NDArray, limits: Limits) -> PolyCollection:
    """Draw the density of stars within the limits, which may be descending."""
    (low_x, high_x), (low_y, high_y) = sorted(limits[0]), sorted(limits[1])
    inside = (x > low_x) & (x < high_x) & (y > low_y) & (y < high_y)
    drawn = axes.hexbin(
        x[inside],
        y[inside],
        gridsize=(70, 45),
        extent=(low_x, high_x, low_y, high_y),
        bins="log",
        mincnt=1,
        cmap="viridis",
        linewidths=0.1,
    )
    axes.set(xlim=limits[0], ylim=limits[1])
    return drawn
