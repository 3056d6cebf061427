"""Does [Fe/H] depend on the star's alpha elements and carbon (the paper's Fig. 10)? No measure of spread reveals it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.evaluate.cells import by_cell, estimates
from xpfeh.evaluate.figures import FEH, LABELS, RED, RESIDUAL, styled
from xpfeh.evaluate.metrics import CATASTROPHIC, LEVELS, has_interval, inside
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.section import Picture, Section, text_of
from xpfeh.evaluate.sections.trends import draw_residuals
from xpfeh.evaluate.slices import BOTH_SAMPLES, slices_of
from xpfeh.evaluate.study import Compared, Study
from xpfeh.typing import Array, Columns

CARBON_RICH = {
    6331867944289331584: ("2M14323128-0605002", 2.3),
    6910940758263238912: ("2M21140151-0616102", 1.4),
    4705671417672262912: ("2M01011816-6523564", 1.3),
}
"""Carbon-enhanced stars of the packaged library, by Gaia DR3 source_id: 2MASS designation, and [C/Fe] (dex) from issue
18 of this project."""
_OF_A_STAR = ("c_fe", "feh", "FEH")
_MIN_FOR_A_SLOPE = 30  # as for a gate on a median


def abundances(study: Study) -> Section:
    """Return the section on slopes of the residual against [alpha/M] and [C/Fe], and on carbon-enhanced stars."""
    slopes = {name: _alpha_slopes(model.stars) for name, model in study.models.items()}
    rows = [([name, "[α/M]", sample], one) for name, samples in slopes.items() for sample, one in samples.items()]
    pictures = []
    if np.isfinite(study.first.stars["alpha_m"]).any():
        caption = "Residuals along [α/M], with running mean and scatter."
        pictures.append(Picture("alpha", alpha_figure(study.first.stars), caption))
    carbon: dict[str, dict[str, dict[str, float]]] = {}
    for reference in (each for each in study.references if each.is_truth and "c_fe" in each.stars):
        answers = _with_carbon(reference, study)
        carbon[reference.name] = {name: residual_slope(stars, "c_fe") for name, stars in answers.items()}
        rows += [([name, "[C/Fe]", reference.title], one) for name, one in carbon[reference.name].items()]
        pictures.append(
            Picture(
                f"carbon_{reference.name}",
                carbon_figure(reference.title, answers),
                f"Fig. 10. {reference.title}, coloured by [C/Fe], and any other XP catalog provided. Where carbon "
                "misleads the model, stars of high [C/Fe] are above the line.",
            )
        )
    if not carbon:
        rows.append((["", "[C/Fe]", "no catalog with [C/Fe] was provided"], {"n": 0}))
    carbon_rich = _carbon_rich(study.first.unseen)
    tables = [
        number_table(
            ["model", "abundance", "stars"], ["n", "slope"], rows, "Least squares, without residuals beyond 0.5 dex."
        )
    ]
    if carbon_rich:
        tables.append(
            number_table(
                ["carbon-enhanced", "68 % interval", "in 68 / 95 %"],
                _OF_A_STAR,
                [(_words(star), {key: float(star[key][0]) for key in _OF_A_STAR}) for star in carbon_rich],
                "Carbon-enhanced stars are a hard case: strong CH and C₂ bands are rare in training.",
            )
        )
    return Section(
        "abundances",
        "Does [Fe/H] depend on [α/M] or carbon?",
        tables=tables,
        pictures=pictures,
        numbers={
            "alpha_slope": slopes,
            "carbon_slope": carbon,
            "carbon_enhanced": [
                {key: float(star[key][0]) for key in _OF_A_STAR} | {"source_id": int(star["source_id"][0])}
                for star in carbon_rich
            ],
        },
    )


def residual_slope(stars: Columns, along: str) -> dict[str, float]:
    """Return the slope of predicted minus true [Fe/H] against [alpha/M] or [C/Fe], by least squares.

    Residuals beyond 0.5 dex are left out: they come from wrong labels and bad spectra, and a few of them at either end
    of the abundance would dominate a least-squares line. They are counted elsewhere.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``source_id``, ``feh`` (true, dex), ``FEH`` and the abundance (dex, NaN where unknown).
    along : {"alpha_m", "c_fe"}

    Returns
    -------
    dict
        ``n``, the number of stars; ``slope``, dex per dex, and ``slope_se``, its standard error by resampling cells of
        the sky; NaN for fewer than 30 stars.

    Examples
    --------
    >>> alpha = np.tile([0.0, 0.1, 0.2, 0.3], 100)
    >>> noise = np.repeat([-0.05, 0.05], 200)
    >>> stars = {"source_id": np.arange(400) * 2**49, "feh": np.zeros(400), "FEH": 0.15 * alpha + noise}
    >>> found = residual_slope({**stars, "alpha_m": alpha}, "alpha_m")
    >>> {name: round(number, 2) for name, number in found.items()}
    {'n': 400, 'slope': 0.15, 'slope_se': 0.02}
    """
    abundance = np.asarray(stars[along], dtype=np.float64)
    residual = np.asarray(stars["FEH"], dtype=np.float64) - stars["feh"]
    used = np.isfinite(abundance) & (np.abs(residual) <= CATASTROPHIC)  # NaN is false
    n = int(used.sum())
    if n < _MIN_FOR_A_SLOPE or not np.ptp(abundance[used]):
        return {"n": n, "slope": math.nan, "slope_se": math.nan}
    slopes = partial(_slopes, abundance[used], residual[used])
    return {"n": n} | estimates(by_cell(stars["source_id"][used]), ["slope"], slopes)


@styled
def alpha_figure(stars: Columns) -> Figure:
    """Draw residuals along [alpha/M] for metal-rich and metal-poor stars."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True)
    for axes, chosen, name in (
        (panels[0], stars["feh"] >= -0.5, f"{FEH} ≥ −0.5"),
        (panels[1], stars["feh"] < -0.5, f"{FEH} < −0.5"),
    ):
        some = rows_of(stars, chosen)
        draw_residuals(axes, some["alpha_m"], some)
        axes.set_xlabel(LABELS["alpha_m"])
        axes.set_title(name, loc="left", fontsize=10)
    panels[0].set_ylabel(RESIDUAL)
    return figure


@styled
def carbon_figure(title: str, answers: Mapping[str, Columns]) -> Figure:
    """Draw the model's [Fe/H], and each peer's, against a catalog's, coloured by [C/Fe]."""
    figure, panels = plt.subplots(1, len(answers), figsize=(1 + 4.6 * len(answers), 4.6), squeeze=False, sharey=True)
    for axes, (name, stars) in zip(panels[0], answers.items(), strict=True):
        points = axes.scatter(stars["feh"], stars["FEH"], s=18, c=stars["c_fe"], cmap="viridis", vmin=0, vmax=2.5)
        axes.axline((-3, -3), slope=1, color=RED, lw=1)
        axes.set_xlabel(f"{FEH} (dex), {title}")
        axes.set_title(name, loc="left", fontsize=10)
    panels[0, 0].set_ylabel(f"{FEH} (dex)")
    figure.colorbar(points, ax=panels, label=LABELS["c_fe"])
    return figure


def _with_carbon(reference: Compared, study: Study) -> dict[str, Columns]:
    """Return the catalog's stars of known [C/Fe] with the model's [Fe/H], and with each peer's where it has them."""
    stars = rows_of(reference.stars, np.isfinite(reference.stars["c_fe"]))
    answers: dict[str, Columns] = {next(iter(study.models)): stars}
    for peer in (each for each in study.references if not each.is_truth):
        _, ours, theirs = np.intersect1d(stars["source_id"], peer.stars["source_id"], return_indices=True)
        if len(ours):
            answers[peer.title] = {**rows_of(stars, ours), "FEH": peer.stars["feh"][theirs]}
    return answers


def _alpha_slopes(stars: Columns) -> dict[str, dict[str, float]]:
    chosen = slices_of(stars)
    return {sample: residual_slope(rows_of(stars, chosen[sample]), "alpha_m") for sample in BOTH_SAMPLES}


def _slopes(x: Array, y: Array, weight: Array) -> Array:
    """Return the slopes of the lines through (N,) points in B resamples, (1, B)."""
    products = np.stack([x, y, x * y, x * x], axis=1)  # (N, 4)
    mean_x, mean_y, mean_xy, mean_xx = (weight @ products / weight.sum(axis=1, keepdims=True)).T
    return ((mean_xy - mean_x * mean_y) / (mean_xx - np.square(mean_x)))[None]


def _carbon_rich(unseen: Columns) -> list[dict[str, NDArray]]:
    """Return those of `CARBON_RICH` that are among the stars, (1,) each, with ``name`` and ``c_fe``."""
    found = []
    for source_id, (name, c_fe) in CARBON_RICH.items():
        star = rows_of(unseen, unseen["source_id"] == source_id)
        if len(star["feh"]):
            found.append({**star, "name": np.array([name]), "c_fe": np.array([c_fe])})
    return found


def _words(star: Columns) -> list[str]:
    """Return a star's name, its 68 % interval, and whether its label is inside both intervals."""
    known = np.isfinite(star["feh"][0])
    held = [
        ("yes" if inside(star, level)[0] else "no") if known and has_interval(star, level)[0] else "–"
        for level in LEVELS
    ]
    low, high = (text_of(float(star[key][0]), ".2f") for key in ("FEH_lo68", "FEH_hi68"))
    return [str(star["name"][0]), f"{low} to {high}", " / ".join(held)]
