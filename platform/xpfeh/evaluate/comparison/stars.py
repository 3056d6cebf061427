"""Plots of each run's validation stars, side by side: predicted against true [Fe/H], and the residuals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bokeh.models import BasicTicker, ColumnDataSource, FixedTicker, HoverTool, NumeralTickFormatter, Range1d
from bokeh.palettes import Blues256
from bokeh.plotting import figure
from bokeh.transform import log_cmap
from bokeh.util.hex import hexbin

from xpfeh.evaluate.figures import BLUE, FEH, MAX_RESIDUAL, ORANGE, RED, span
from xpfeh.evaluate.metrics import CATASTROPHIC, Stars

_TILE = 0.06  # dex, from the centre of a hexagon to its corner
_BINS = np.linspace(-MAX_RESIDUAL, MAX_RESIDUAL, 33)
_BORDER = 58  # pixels: both plots of a run stand under each other
_SHADES = Blues256[200::-1]  # from pale, but to be seen on white, to dark


def predicted_against_true(stars: Mapping[str, Stars]) -> dict[str, tuple[figure, figure]]:
    """Return for each run predicted against true [Fe/H] as density, and the residuals' histogram; one zoom moves all.

    Parameters
    ----------
    stars : mapping
        `xpfeh.evaluate.validation_stars.COLUMNS` by the run's id.
    """
    if not stars:
        return {}
    low, high = span(np.concatenate([values for each in stars.values() for values in (each["feh"], each["FEH"])]))
    x_range, y_range, shares = Range1d(low, high), Range1d(low, high), Range1d(0, 0)
    residuals = Range1d(-MAX_RESIDUAL, MAX_RESIDUAL)
    pictures = {}
    for run_id, each in stars.items():
        histogram = _residuals(each, residuals, shares)
        pictures[run_id] = (_density(each, x_range, y_range), histogram)
    return pictures


def _density(stars: Stars, x_range: Range1d, y_range: Range1d) -> figure:
    plot = figure(
        sizing_mode="stretch_width",
        aspect_ratio=1,
        x_range=x_range,
        y_range=y_range,
        x_axis_label=f"true {FEH} (dex)",
        y_axis_label=f"predicted {FEH} (dex)",
        tools="box_zoom,reset",
        toolbar_location="below",
        active_drag=None,
        min_border_left=_BORDER,
    )
    plot.toolbar.autohide = plot.toolbar_inner = True
    plot.toolbar.logo = None
    known = np.isfinite(stars["FEH"])
    true, predicted = stars["feh"][known].astype(np.float64), stars["FEH"][known].astype(np.float64)
    tiles = hexbin(true, predicted, _TILE)
    colour = log_cmap("stars", _SHADES, 1, max(2, tiles.counts.max()))
    density = plot.hex_tile(
        "q",
        "r",
        size=_TILE,
        source=ColumnDataSource({"q": tiles.q, "r": tiles.r, "stars": tiles.counts}),
        fill_color=colour,
        line_color=None,
    )
    plot.line([-9, 3], [-9, 3], color=RED)
    far = np.abs(predicted - true) > CATASTROPHIC
    ids = [str(each) for each in stars["source_id"][known][far]]  # JavaScript's numbers end at 2^53
    columns = {"x": true[far], "y": predicted[far], "source_id": ids}
    points = plot.scatter("x", "y", source=ColumnDataSource(columns), size=5, color=ORANGE, line_color=None)
    plot.add_tools(HoverTool(renderers=[density], tooltips=[("stars", "@stars")]))
    answers = [("source_id", "@source_id"), ("true", "@x{0.00}"), ("predicted", "@y{0.00}")]
    plot.add_tools(HoverTool(renderers=[points], tooltips=answers))
    return plot


def _residuals(stars: Stars, x_range: Range1d, shares: Range1d) -> figure:
    """Return the histogram of the residuals, and let `shares` reach its top."""
    plot = figure(
        sizing_mode="stretch_width",
        height=150,
        x_range=x_range,
        y_range=shares,
        x_axis_label="predicted − true (dex)",
        y_axis_label="share of stars",
        tools="",
        toolbar_location=None,
        min_border_left=_BORDER,
    )
    residual = (stars["FEH"] - stars["feh"])[np.isfinite(stars["FEH"])]
    counts, _ = np.histogram(np.clip(residual, *_BINS[[0, -1]]), _BINS)
    share = counts / len(residual)
    shares.end = max(shares.end, 1.08 * share.max())
    columns = {"left": _BINS[:-1], "right": _BINS[1:], "share": share, "stars": counts}
    bars = plot.quad("left", "right", "share", 0, source=ColumnDataSource(columns), color=BLUE, line_color="white")
    plot.add_tools(HoverTool(renderers=[bars], tooltips=[("stars", "@stars"), ("share", "@share{0.0%}")]))
    plot.yaxis.formatter = NumeralTickFormatter(format="0%")
    plot.yaxis.ticker = BasicTicker(desired_num_ticks=3, num_minor_ticks=0)
    plot.xaxis.ticker = FixedTicker(ticks=[-0.8, -0.4, 0, 0.4, 0.8])
    return plot
