"""Plots of runs to hover over and click in: a run that is chosen in one of them stands out in all.

``runs`` are worst first, so that the best is drawn last, over the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from bokeh.core.property.vectorization import Field
from bokeh.models import ColorBar, ColumnDataSource, FixedTicker, HoverTool, NumeralTickFormatter, TapTool
from bokeh.palettes import Viridis256
from bokeh.plotting import figure
from bokeh.transform import linear_cmap
from numpy.typing import NDArray

from xpfeh.evaluate.comparison.runs import Run, short
from xpfeh.evaluate.comparison.scale import Scale
from xpfeh.evaluate.figures import GREY, ORANGE

SHORT_ID = 8
"""Characters of a run's id that pages show."""

_MAE = "validation MAE (dex)"
_COLOURS = Viridis256[:236]  # its last are too pale for white paper
_RUN = [("run", "@run"), ("recipe", "@recipe, seed @seed"), ("MAE", "@mae{0.0000} dex")]
_EDGE = 0.02  # of a scale's length: labels so near to its ends stand inwards
_OPAQUE = 20  # lines: of more, each is paler, so that where many meet is seen
_QUIET = 0.08  # opacity of the runs that are not chosen


def source_of(runs: Sequence[Run], names: Sequence[str], curves: Mapping[str, NDArray[np.float64]]) -> ColumnDataSource:
    """Return a row a run: what hovering shows, its learning curve, and its place on every parameter's axis.

    Parameters
    ----------
    runs : sequence of Run
    names : sequence of str
        Parameters that differ.
    curves : mapping of (steps, 2) float64
        For each run's id: the step, and its validation error then (dex).
    """
    scales = _scales(runs, names)
    lines = np.transpose([scale.spread() for scale in scales.values()])  # (runs, parameters and the error)
    best = [run is runs[-1] for run in runs]
    columns = {
        "run": [run.run_id[:SHORT_ID] for run in runs],
        "recipe": [run.recipe for run in runs],
        "seed": [run.seed for run in runs],
        "mae": [run.numbers["mae"] for run in runs],
        "width": [3.5 if each else 1.4 for each in best],
        "size": [11 if each else 7 for each in best],
        "opacity": [1.0 if each else max(0.15, min(0.8, _OPAQUE / len(runs))) for each in best],
        "colour": [ORANGE if each else GREY for each in best],
        "steps": [curves[run.run_id][:, 0].tolist() for run in runs],
        "errors": [curves[run.run_id][:, 1].round(5).tolist() for run in runs],
        "along": lines.round(4).tolist(),
        "depths": [list(range(0, -len(scales), -1))] * len(runs),
    }
    for name in names:
        columns[_text(name)] = [short(run.parameters.get(name, "–")) for run in runs]
        columns[_at(name)] = scales[name].positions.round(4).tolist()
    return ColumnDataSource(columns)


def learning_curves(source: ColumnDataSource) -> figure:
    """Return every run's validation error by optimiser step."""
    plot = figure(
        height=400,
        sizing_mode="stretch_width",
        x_axis_type="log",
        y_axis_type="log",
        x_axis_label="optimiser step",
        y_axis_label=_MAE,
        tools="box_zoom,wheel_zoom,reset,save",
        active_drag=None,
    )
    hover = [*_RUN[:2], ("step", "$snap_x{0,0}"), ("MAE then", "$snap_y{0.0000} dex"), ("in the end", _RUN[2][1])]
    _lines(plot, source, "steps", "errors", hover)
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    plot.yaxis.formatter = NumeralTickFormatter(format="0.00")
    plot.toolbar.logo = None
    bar = NumeralTickFormatter(format="0.000")
    plot.add_layout(ColorBar(color_mapper=_colour(source).transform, width=10, formatter=bar), "right")
    return plot


def parallel_coordinates(source: ColumnDataSource, runs: Sequence[Run], names: Sequence[str]) -> figure:
    """Return one line a run, from above through its parameters down to its error."""
    scales = _scales(runs, names)
    plot = figure(
        height=80 + 44 * len(scales),
        sizing_mode="stretch_width",
        x_range=(-0.03, 1.03),
        y_range=(0.6 - len(scales), 0.4),
        tools="",
        toolbar_location=None,
    )
    for depth in range(len(scales)):
        plot.segment(0, -depth, 1, -depth, color=GREY, line_width=0.8)
    _lines(plot, source, "along", "depths", [*_RUN, *((name, f"@{{{_text(name)}}}") for name in names)])
    for depth, scale in enumerate(scales.values()):
        inwards = ["left" if tick < _EDGE else "right" if tick > 1 - _EDGE else "center" for tick in scale.ticks]
        plot.text(
            "x",
            -depth - 0.1,
            "label",
            source=ColumnDataSource({"x": scale.ticks, "label": scale.labels, "align": inwards}),
            text_align="align",
            text_baseline="top",
            text_font_size="11px",
            background_fill_color="white",
            background_fill_alpha=0.75,
        )
    plot.yaxis.ticker = FixedTicker(ticks=[-depth for depth in range(len(scales))])
    plot.yaxis.major_label_overrides = {-depth: name for depth, name in enumerate(scales)}
    plot.grid.visible = plot.xaxis.visible = False
    plot.outline_line_color = plot.yaxis.axis_line_color = plot.yaxis.major_tick_line_color = None
    return plot


def error_by_parameter(source: ColumnDataSource, runs: Sequence[Run], name: str) -> figure:
    """Return every run's error against one parameter; the best is orange."""
    scale = _scales(runs, [name])[name]
    plot = figure(
        height=255,
        sizing_mode="stretch_width",
        toolbar_location="above",
        x_range=(-0.12, 1.12),
        x_axis_label=name,
        y_axis_label=_MAE,
        tools="box_select",
        active_drag=None,
    )
    points = plot.scatter(
        _at(name), "mae", source=source, size="size", color="colour", alpha=0.65, nonselection_alpha=_QUIET
    )
    plot.add_tools(HoverTool(renderers=[points], tooltips=[*_RUN, (name, f"@{{{_text(name)}}}")]), TapTool())
    plot.xaxis.ticker = FixedTicker(ticks=scale.ticks)
    plot.xaxis.major_label_overrides = dict(zip(scale.ticks, scale.labels, strict=True))
    plot.yaxis.formatter = NumeralTickFormatter(format="0.000")
    plot.toolbar.autohide = True
    plot.toolbar.logo = None
    return plot


def _lines(plot: figure, source: ColumnDataSource, x: str, y: str, hover: Sequence[tuple[str, str]]) -> None:
    """Draw a line a run, coloured by its error."""
    lines = plot.multi_line(
        x,
        y,
        source=source,
        line_color=_colour(source),
        line_width="width",
        line_alpha="opacity",
        selection_line_alpha=1,
        hover_line_alpha=1,
        hover_line_color=ORANGE,
        nonselection_line_alpha=_QUIET,
    )
    plot.add_tools(
        HoverTool(renderers=[lines], tooltips=list(hover), line_policy="nearest"), TapTool(renderers=[lines])
    )


def _colour(source: ColumnDataSource) -> Field:
    errors = source.data["mae"]
    return linear_cmap("mae", _COLOURS, min(errors), max(errors) + 1e-9)  # a single run has no range


def _scales(runs: Sequence[Run], names: Sequence[str]) -> dict[str, Scale]:
    """Return the scale of each parameter, and last that of the error."""
    scales = {name: Scale.of(name, [run.parameters.get(name, "–") for run in runs]) for name in names}
    return {**scales, "MAE": Scale.of("MAE", [str(run.numbers["mae"]) for run in runs])}


def _text(name: str) -> str:
    return f"text of {name}"


def _at(name: str) -> str:
    return f"place of {name}"
