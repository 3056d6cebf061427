"""Globular clusters: many stars of one [Fe/H] (the paper's Fig. 9). Do the uncertainties explain their scatter?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.evaluate.figures import BLUE, FEH, GREY, LABELS, ORANGE, RED, styled
from xpfeh.evaluate.metrics import coverage
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.residuals import robust_sigma
from xpfeh.evaluate.section import Picture, Section, text_of
from xpfeh.evaluate.study import Judged, Study
from xpfeh.labels.clusters import DOWNLOAD, Members
from xpfeh.typing import Columns

MIN_MEMBERS = 6
"""Minimum number of members for a row in the table."""
_SHOWN = 6  # clusters in the figure, those with the most members
_SHOWN_NUMBERS = (
    "n", "field", "ebv", "literature", "mean", "offset", "sigma", "own_sigma", "error", "z", "label_mean",
    "label_sigma", "label_offset", "coverage_68",
)  # fmt: skip
_DUSTY = (0.0, 0.3, 0.5, 9.0)  # E(B-V), mag
_FIELD = 0.25  # share of field stars above which they contribute to the scatter


def clusters(study: Study) -> Section:
    """Return the section on members of globular clusters that the first model has not seen."""
    title = "Globular clusters"
    if study.clusters is None:
        return Section("clusters", title, absent=f"No table of clusters was provided. Get {DOWNLOAD}")
    unseen = study.first.unseen
    known = [each for each in study.clusters if len(each.rows) >= MIN_MEMBERS]
    if not known:
        return Section("clusters", title, absent=f"No cluster has {MIN_MEMBERS} giants among these stars.")
    known = sorted(known, key=lambda each: -len(each.rows))
    numbers = {each.cluster.name: cluster_numbers(unseen, each) for each in known}
    return Section(
        "clusters",
        title,
        "Members are red giants (by the paper's cut 2 at the cluster's distance) within five half-light radii, "
        "selected without [Fe/H] or velocities. Some are therefore field stars: as many as expected from the ring "
        "between 15 and 30 half-light radii, or more, since targeted surveys undersample that ring. Most clusters are "
        "behind more dust or nearer the plane than the paper's stars. Each member is predicted by a model that has not "
        "seen the cluster's cell of the sky. Predicted minus literature, median: "
        f"{_by_dust(numbers)}.",
        tables=[
            number_table(
                ["cluster"],
                _SHOWN_NUMBERS,
                [
                    ([_name(name, one)], {**one, "offset": one["mean"] - one["literature"]})
                    for name, one in numbers.items()
                ],
                "Mean (a median) of the predicted [Fe/H] with its standard error over the stars, its offset from the "
                "literature, and σ (robust), dex. Intrinsic σ: the scatter of [Fe/H] from star to star in the "
                "literature, where known. Error: the median predicted error. z: σ divided by the error and the "
                "intrinsic σ (if unknown, the labels' σ) combined; 1 if the errors explain the scatter, more if they "
                "are too small. Label: mean and σ of the labels of the same stars; minus label: median of predicted "
                "minus label, which field stars do not affect. In 68 %: share of members whose interval contains the "
                f"literature value. *: more than {_FIELD:.0%} are field stars.",
                "clusters",
            )
        ],
        pictures=[
            Picture(
                "clusters",
                clusters_figure(unseen, known[:_SHOWN]),
                "Fig. 9, the clusters with the most giants. Top: predicted [Fe/H] (blue), the labels of the same "
                "stars (grey), the literature value (red). Bottom: the giant branch, coloured by predicted [Fe/H]; a "
                "gradient along it would indicate a bias with luminosity.",
            ),
            Picture(
                "clusters_all",
                all_clusters_figure(numbers),
                "Every cluster: predicted minus literature against E(B−V); the bar is the scatter of its members. "
                "Errors of the dust map shift a whole cluster: the default map has one value per cell of 0.9°. "
                f"{_learned_from(study.first)}",
            ),
        ],
        numbers=numbers,
    )  # fmt: skip


def _learned_from(model: Judged) -> str:
    """Return a sentence on how much dust is in front of a model's training stars; empty without a card."""
    if not model.cards:
        return ""
    if model.cards[0].recipe.stars == "all":
        return "The model was trained on stars behind any amount of dust (`stars=all`)."
    return "The model was trained only on stars with E(B−V) < 0.2 (`stars=paper`)."


def _by_dust(numbers: dict[str, dict[str, float]]) -> str:
    """Return the offsets of clusters behind little and much dust, as text."""
    words = []
    for low, high in pairwise(_DUSTY):
        offsets = [one["mean"] - one["literature"] for one in numbers.values() if low <= one["ebv"] < high]
        to_labels = [one["label_offset"] for one in numbers.values() if low <= one["ebv"] < high]
        if offsets:
            where = f"{low:g} ≤ E(B−V) < {high:g}" if high < _DUSTY[-1] else f"E(B−V) ≥ {low:g}"
            middle = text_of(float(np.median(offsets)), "+.2f")
            scatter = f", scatter {robust_sigma(np.array(offsets)):.2f}" if len(offsets) > 2 else ""
            same = ""
            if np.isfinite(to_labels).any():
                same = f"; minus the labels of the same stars {text_of(float(np.nanmedian(to_labels)), '+.2f')}"
            words.append(f"{where}: {middle} ({len(offsets)} clusters{scatter}{same})")
    return "; ".join(words)


def cluster_numbers(unseen: Columns, found: Members) -> dict[str, float]:
    """Return the numbers for a cluster's members.

    Returns
    -------
    dict
        ``n``, ``field``; ``ebv``, median; ``literature`` and ``own_sigma``; ``mean`` (a median), ``mean_se``, ``sigma``
        (robust), ``error`` (median predicted error), ``z``, ``coverage_68`` of the predictions; ``label_mean`` and
        ``label_sigma`` of the labels. NaN where unknown.
    """
    stars = rows_of(unseen, found.rows)
    stars = rows_of(stars, np.isfinite(stars["FEH"]))
    feh = stars["FEH"].astype(np.float64)
    own, literature = found.cluster.feh_spread, found.cluster.feh
    labels = stars["feh"][np.isfinite(stars["feh"])]
    error = _median(stars["FEH_err"])
    label_sigma = robust_sigma(labels) if len(labels) > 1 else math.nan
    sigma = robust_sigma(feh) if len(feh) > 1 else math.nan
    return {
        "n": len(feh),
        "field": found.field,
        "ebv": _median(stars["ebv"]),
        "literature": literature,
        "own_sigma": own,
        "mean": _median(feh),
        "mean_se": float(1.2533 * sigma / np.sqrt(len(feh))) if len(feh) else math.nan,  # of the median of a Gaussian
        "sigma": sigma,
        "error": error,
        "z": sigma / float(np.hypot(error, np.nan_to_num(own if np.isfinite(own) else label_sigma))),
        "coverage_68": coverage({**stars, "feh": np.full(len(feh), literature)}, 68),
        "label_mean": _median(labels),
        "label_offset": _median((stars["FEH"] - stars["feh"]).astype(np.float64)),
        "label_sigma": label_sigma,
    }


@styled
def clusters_figure(unseen: Columns, shown: Sequence[Members]) -> Figure:
    """Draw the distribution of [Fe/H] and the giant branch of some clusters."""
    figure, panels = plt.subplots(2, len(shown), figsize=(2.5 * len(shown), 6), squeeze=False, sharex="row")
    feh = np.concatenate([unseen["FEH"][each.rows] for each in shown])
    low, high = np.nanpercentile(feh, [1, 99])
    bins = np.linspace(low - 0.3, high + 0.3, 36)
    norm = plt.Normalize(low, high)
    for (top, bottom), each in zip(panels.T, shown, strict=True):
        stars = rows_of(unseen, each.rows)
        top.hist(stars["FEH"][np.isfinite(stars["FEH"])], bins=bins, color=BLUE, alpha=0.8)
        top.hist(stars["feh"][np.isfinite(stars["feh"])], bins=bins, histtype="step", color=GREY, lw=1.2)
        top.axvline(each.cluster.feh, color=RED, lw=1.2)
        top.set_title(each.cluster.name, loc="left", fontsize=10)
        top.set_xlabel(f"{FEH} (dex)")
        bottom.scatter(stars["bp_rp0"], each.m_g, s=14, c=stars["FEH"], cmap="viridis", norm=norm, linewidths=0)
        bottom.invert_yaxis()
        bottom.set_xlabel(LABELS["bp_rp0"])
    panels[0, 0].set_ylabel("stars")
    panels[1, 0].set_ylabel(LABELS["m_g"])
    figure.colorbar(plt.cm.ScalarMappable(norm, "viridis"), ax=panels[1], label=LABELS["FEH"], pad=0.01)
    return figure


@styled
def all_clusters_figure(numbers: dict[str, dict[str, float]]) -> Figure:
    """Draw predicted minus literature [Fe/H] of each cluster against E(B-V)."""
    figure, axes = plt.subplots(figsize=(10, 4.6))
    for name, one in numbers.items():
        mixed = one["field"] > _FIELD * one["n"]
        offset = one["mean"] - one["literature"]
        colour = ORANGE if mixed else BLUE
        axes.errorbar(
            one["ebv"], offset, one["sigma"], fmt="o", ms=3 + np.sqrt(one["n"]) / 2, color=colour, elinewidth=1
        )
        axes.annotate(name, (one["ebv"], offset), (4, 3), textcoords="offset points", fontsize=7)
    axes.axhline(0, color=RED, lw=1)
    axes.plot([], [], "o", color=BLUE, label="cluster")
    axes.plot([], [], "o", color=ORANGE, label=f"more than {_FIELD:.0%} field stars")
    axes.set(xlabel=LABELS["ebv"], ylabel=f"{FEH} predicted − literature (dex)", ylim=(-1, 1))
    axes.legend(loc="upper right")
    return figure


def _name(name: str, one: Mapping[str, float]) -> str:
    return f"{name} *" if one["field"] > _FIELD * one["n"] else name


def _median(values: NDArray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan
