"""Comparison with spectroscopic catalogs, and with others based on XP (the paper's Figs. 3, 4, 6, 7, 8)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from xpfeh.columns import rows_of
from xpfeh.evaluate.figures import BLUE, FEH, GREY, LABELS, MAX_RESIDUAL, RED, draw_stars, span, styled
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.residuals import FEW, residual_numbers
from xpfeh.evaluate.section import Picture, Section, Table
from xpfeh.evaluate.sections.trends import draw_residuals
from xpfeh.evaluate.slices import from_literature
from xpfeh.evaluate.study import Compared, Study
from xpfeh.labels.reference_catalogs import REFERENCES
from xpfeh.typing import Columns

_NUMBERS = ("n", "mae", "gauss_sigma", "robust_sigma", "std", "gauss_mean")


def reference_section(reference: Compared) -> Section:
    """Return the section on one catalog."""
    # Users choose names: a prefix keeps `accuracy` from replacing the section of that name in metrics.json.
    key, title = f"reference_{reference.name}", f"Compared with {reference.title}"
    stars = rows_of(reference.stars, np.isfinite(reference.stars["FEH"]))
    left = ", ".join(f"{name} {n:,}" for name, n in reference.counts.items())
    if len(stars["feh"]) < FEW:
        return Section(key, title, absent=f"Only {len(stars['feh'])} of its giants are among these stars ({left}).")
    uncut = "" if reference.name in REFERENCES else " A plain table: no quality cuts, and it counts as spectroscopy."
    numbers = _numbers(reference, stars)
    rows = [([name], one) for name, one in numbers.items() if one["n"]]
    return Section(
        key,
        title,
        f"Rows of the catalog: {left}.{uncut} Only giants in parts of the sky that the model has not seen.",
        tables=[number_table(["stars"], _NUMBERS, rows, _note(reference))],
        pictures=[
            Picture(
                f"compared_{reference.name}",
                comparison_figure(reference, stars),
                f"Predicted against {reference.title}, and residuals along [Fe/H], colour, G and E(B−V), with running "
                "mean and scatter (blue). The scatter includes the catalog's own errors.",
            )
        ],
        numbers=numbers,
    )


def absent_references(study: Study) -> Section | None:
    """Return the section on what to download, or None if every catalog was provided."""
    if not study.absent:
        return None
    rows = [[title, what] for title, what in study.absent.items()]
    return Section(
        "absent",
        "Catalogs not provided",
        "To compare with one, provide its file: `xpfeh validate --reference NAME=FILE`.",
        [Table(["catalog", "what to download"], rows, text_columns=2)],
        numbers={"absent": sorted(study.absent)},
    )


@styled
def comparison_figure(reference: Compared, stars: Columns) -> Figure:
    """Draw the comparison of the predictions with a catalog, in six panels."""
    figure, panels = plt.subplots(2, 3, figsize=(12, 6.8))
    residual = stars["FEH"] - stars["feh"]
    one_to_one, histogram, *along = panels.flat
    draw_stars(one_to_one, stars["feh"], stars["FEH"])
    low, high = span(np.concatenate([stars["feh"], stars["FEH"]]))
    one_to_one.plot([low, high], [low, high], color=RED, lw=1)
    one_to_one.set(xlabel=f"{reference.title} {FEH} (dex)", ylabel=LABELS["FEH"], xlim=(low, high), ylim=(low, high))
    histogram.hist(np.clip(residual, -MAX_RESIDUAL, MAX_RESIDUAL), bins=np.linspace(-MAX_RESIDUAL, MAX_RESIDUAL, 49),
                   color=BLUE)  # fmt: skip
    histogram.axvline(0, color=GREY, lw=1)
    histogram.set(xlabel=f"{FEH} predicted − catalog (dex)", ylabel="stars")
    for axes, name in zip(along, ("feh", "bp_rp0", "phot_g_mean_mag", "ebv"), strict=True):
        draw_residuals(axes, stars[name], stars)
        axes.set_xlabel(f"{reference.title} {FEH} (dex)" if name == "feh" else LABELS[name])
        axes.set_ylabel("predicted − catalog (dex)")
    return figure


def _note(reference: Compared) -> str:
    text = "Dex; ± by cells of the sky. All but the last two rows: predicted minus catalog."
    if not reference.is_truth:
        text += " Such a catalog may be trained on these very labels, in which case its last row is too good."
    return text


def _numbers(reference: Compared, stars: Columns) -> dict[str, dict[str, float]]:
    """Return the numbers for the catalog's stars; for those with a label also model and catalog against the label."""
    numbers = {
        "all": residual_numbers(stars),
        "[Fe/H] < −1": residual_numbers(rows_of(stars, stars["feh"] < -1)),
        "[Fe/H] < −2": residual_numbers(rows_of(stars, stars["feh"] < -2)),
    }
    # Labels from the literature may come from this very catalog: only a survey's are independent of it.
    both = rows_of(stars, np.isfinite(stars["feh_label"]) & ~from_literature(stars["reference"]))
    numbers["with a survey's label: the model minus the label"] = residual_numbers({**both, "feh": both["feh_label"]})
    numbers["with a survey's label: the catalog minus the label"] = residual_numbers(
        {**both, "FEH": both["feh"], "feh": both["feh_label"]}
    )
    return numbers
