"""The catalog itself: the paper's Table 2 and Figs. 11 to 13, and counts with the contamination to expect."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from xpfeh.columns import CATALOG, describe
from xpfeh.evaluate.figures import BLUE, FEH, ORANGE, shade_stars, styled
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.section import Picture, Section, Table, text_of
from xpfeh.evaluate.study import Study
from xpfeh.flags import NO_PREDICTION, OUTSIDE_PAPER_SAMPLE
from xpfeh.typing import Columns

OF_CATALOG = ("gl", "gb", "PHOT_G_MEAN_MAG", "EBV", "rgeo", "FEH", "FEH_err", "FEH_hi68", "flags")
"""The columns to read from a catalog."""
_NOT_FINAL = NO_PREDICTION | OUTSIDE_PAPER_SAMPLE
_RELIABLE_EBV = 0.5  # mag, as the paper (section 4.3)
_FARTHEST_PC = 10_000.0  # with no star nearer than this, no map of the Galaxy is drawn
_SUN_KPC = 8.122  # from the Galactic centre (GRAVITY Collaboration 2018, DOI 10.1051/0004-6361/201833718)
_FEH_BINS = np.array([-9.0, -3.0, -2.75, -2.5, -2.25, -2.0, -1.75, -1.5, -1.25, -1.0, 9.0])
_MIN_JUDGES = 5  # judging stars in a bin: with fewer, the share below the limit is unknown
_TITLE = "The final sample"


def final_sample(study: Study) -> Section:
    """Return the section on the stars of a catalog after the paper's first three cuts and E(B-V) < 0.5."""
    table_2 = Table(
        ["column", "unit", "meaning"],
        [[field.name, describe(field).unit or "–", describe(field).text] for field in CATALOG],
        "The columns up to FEH_err are those of the paper's Table 2, under its names.",
        text_columns=3,
        name="table_2",
    )
    if study.catalog is None:
        return Section("final_sample", _TITLE, tables=[table_2],
                       absent="No catalog was provided: `--catalog`. `xpfeh catalog run` makes one.")  # fmt: skip
    whole = study.catalog
    final = whole.filter(((pl.col("flags") & int(_NOT_FINAL)) == 0) & (pl.col("EBV") < _RELIABLE_EBV))
    counts = {"catalog": whole.height, "after cuts 1 to 3, E(B-V) < 0.5": final.height}
    if final["FEH"].count() == 0:
        return Section(
            "final_sample", _TITLE, tables=[table_2], absent="No star of the catalog passes the cuts.", numbers=counts
        )
    stars = {name: final[name].to_numpy() for name in OF_CATALOG}
    found = [contamination(study.first.stars, stars, below) for below in (-2.0, -3.0)]
    rows = [
        (
            [f"[Fe/H] < {text_of(each['below'], 'g')}"],
            {**each, "contamination": 1 - each["right"] / each["selected"] if each["selected"] else math.nan},
        )
        for each in found
    ]
    pictures = [
        Picture("distributions", distributions(stars), "Fig. 12. [Fe/H] and G of the final sample."),
        Picture(
            "uncertainties",
            uncertainties(stars),
            "Fig. 11. Mean predicted error in the plane of G and [Fe/H]. Errors grow with G and towards low [Fe/H]; "
            "beyond G = 15, the end of the labels, they are extrapolations.",
        ),
    ]
    text = (
        f"{whole.height:,} stars in the catalog, {final.height:,} after the paper's cuts 1 to 3, where these can be "
        "evaluated, and E(B−V) < 0.5."
    )
    if (stars["rgeo"] < _FARTHEST_PC).any():
        pictures.append(
            Picture(
                "galaxy",
                galaxy(stars),
                "Fig. 13. Number of stars, and mean [Fe/H], by distance R from the Galactic centre and height Z above "
                "the plane.",
            )
        )
    else:
        text += (
            " R–Z maps (Fig. 13), M_G and the cut in |Z| need distances, which this catalog lacks: "
            "`xpfeh ingest --distances`."
        )
    return Section(
        "final_sample",
        _TITLE,
        text,
        tables=[
            number_table(
                ["selection"],
                ["selected", "by_interval", "truly", "contamination"],
                rows,
                "Selected: `FEH` below the limit. True and contamination are expected values from the judging stars: "
                "the share truly below the limit among those of similar predicted [Fe/H]. They are valid where "
                "metal-poor stars are as frequent as among the judging stars; in a catalog with fewer of them, and for "
                "fainter and dustier stars, the contamination is larger. "
                f"–: fewer than {_MIN_JUDGES} judging stars of similar [Fe/H].",
            ),
            table_2,
        ],
        pictures=pictures,
        numbers=counts | {"selections": found},
    )


def contamination(judges: Columns, stars: Columns, below: float) -> dict[str, float]:
    """Return how many stars of a catalog are selected, and how many of these are expected to be correct.

    The share of stars truly below, in bins of predicted [Fe/H], comes from the judging stars; NaN if a bin that is
    needed has too few of them.

    Examples
    --------
    >>> judges = {"FEH": np.repeat([-2.1, -1.9], 10), "feh": np.tile([-2.2, -1.7], 10)}
    >>> stars = {"FEH": np.array([-2.15, -2.2, -1.9]), "FEH_hi68": np.array([-2.05, -1.9, -1.8])}
    >>> contamination(judges, stars, -2.0)
    {'below': -2.0, 'selected': 2, 'by_interval': 1, 'right': 1.0, 'truly': 1.5}
    """
    given = np.isfinite(judges["FEH"])
    of_judge = np.digitize(judges["FEH"][given], _FEH_BINS)
    truly = np.bincount(of_judge, judges["feh"][given] < below, minlength=len(_FEH_BINS) + 1)
    judging = np.bincount(of_judge, minlength=len(_FEH_BINS) + 1)
    share = np.where(judging >= _MIN_JUDGES, truly / np.maximum(judging, 1), np.nan)
    expected = np.where(np.isfinite(stars["FEH"]), share[np.digitize(np.nan_to_num(stars["FEH"]), _FEH_BINS)], 0.0)
    selected = stars["FEH"] < below
    return {
        "below": below,
        "selected": int(selected.sum()),
        "by_interval": int((stars["FEH_hi68"] < below).sum()),
        "right": float(expected[selected].sum()),
        "truly": float(expected.sum()),
    }


@styled
def distributions(stars: Columns) -> Figure:
    """Draw the distributions of [Fe/H] and G."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
    left.hist(stars["FEH"][np.isfinite(stars["FEH"])], bins=80, color=BLUE)
    left.set(xlabel=f"predicted {FEH} (dex)", ylabel="stars", yscale="log")
    g_mag = stars["PHOT_G_MEAN_MAG"][np.isfinite(stars["PHOT_G_MEAN_MAG"])]
    right.hist(g_mag, bins=80, color=ORANGE)
    right.set(xlabel="G (mag)", ylabel="stars", yscale="log" if len(g_mag) else "linear")
    return figure


@styled
def uncertainties(stars: Columns) -> Figure:
    """Draw the mean predicted error over the plane of G and [Fe/H]."""
    figure, axes = plt.subplots(figsize=(8, 4.6))
    shade_stars(figure, axes, stars["PHOT_G_MEAN_MAG"], stars["FEH"], stars["FEH_err"], "predicted error (dex)")
    axes.set(xlabel="G (mag)", ylabel=f"predicted {FEH} (dex)")
    return figure


@styled
def galaxy(stars: Columns) -> Figure:
    """Draw number and [Fe/H] of stars by Galactocentric distance and height, kpc."""
    distance, l, b = stars["rgeo"] / 1000, np.radians(stars["gl"]), np.radians(stars["gb"])
    x, y = _SUN_KPC - distance * np.cos(b) * np.cos(l), distance * np.cos(b) * np.sin(l)
    radius, height = np.hypot(x, y), distance * np.sin(b)
    near = np.isfinite(radius) & (radius < 25) & (np.abs(height) < 15)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4), sharey=True)
    counted = left.hexbin(radius[near], height[near], gridsize=60, bins="log", mincnt=1, cmap="Greys", linewidths=0.1)
    figure.colorbar(counted, ax=left, label="stars")
    shade_stars(figure, right, radius[near], height[near], stars["FEH"][near], f"predicted {FEH} (dex)")
    for axes in (left, right):
        axes.set_xlabel("R (kpc)")
    left.set_ylabel("Z (kpc)")
    return figure
