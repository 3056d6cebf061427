"""The same stars in an earlier data release: what new spectra change."""

from __future__ import annotations

from dataclasses import asdict

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure

from xpfeh.evaluate.figures import LABELS, styled
from xpfeh.evaluate.paired import differences_of
from xpfeh.evaluate.section import Picture, Section, Table, text_of
from xpfeh.evaluate.sections.trends import draw_residuals
from xpfeh.evaluate.study import Study


def releases(study: Study) -> Section:
    """Return the section on the stars that this report shares with an earlier one of another data release."""
    title = "Another data release of the same stars"
    if study.earlier is None:
        return Section(
            "releases", title,
            absent="No earlier report was provided. Once DR4 spectra are available (2 December 2026): "
            "`xpfeh validate --earlier DR3-REPORT --neighbourhood dr3_neighbourhood.parquet`.",
        )  # fmt: skip
    both = study.earlier
    found = differences_of(both)
    rows = [
        [one.name, text_of(one.a, ".4f"), text_of(one.b, ".4f"),
         f"{text_of(one.low, '+.4f')} to {text_of(one.high, '+.4f')}",
         one.verdict("the earlier report", "this report")] for one in found
    ]  # fmt: skip
    return Section(
        "releases",
        title,
        tables=[
            Table(["number", "earlier", "now", "95 % of the difference", "verdict"], rows,
                  f"{both.height:,} stars with the same label, and [Fe/H] in both; paired bootstrap over cells of the "
                  "sky.")
        ],
        pictures=[
            Picture("releases", releases_figure(both), "[Fe/H] now minus [Fe/H] then, along true [Fe/H] and along G.")
        ],
        numbers={"stars": both.height, "differences": [asdict(one) for one in found]},
    )  # fmt: skip


@styled
def releases_figure(both: pl.DataFrame) -> Figure:
    """Draw the difference of two predictions for the same stars, ``FEH_b`` minus ``FEH``."""
    names = ("source_id", "feh", "FEH", "FEH_b", "phot_g_mean_mag")
    stars = {name: both[name].to_numpy() for name in names}
    pair = {"source_id": stars["source_id"], "feh": stars["FEH"], "FEH": stars["FEH_b"]}
    figure, panels = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True)
    for axes, name in zip(panels, ("feh", "phot_g_mean_mag"), strict=True):
        draw_residuals(axes, stars[name], pair)
        axes.set_xlabel(LABELS[name])
    panels[0].set_ylabel("[Fe/H] now − then (dex)")
    return figure
