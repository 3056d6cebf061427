"""The page of `xpfeh compare --html`: runs grouped by recipe, as a table and as plots, in one file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import jinja2
from bokeh.document import Document
from bokeh.embed import components
from bokeh.resources import Resources
from markupsafe import Markup
from numpy.typing import NDArray

from xpfeh.evaluate.comparison.finalists import finalist_runs, finalists_of, finalists_spread
from xpfeh.evaluate.comparison.plots import (
    SHORT_ID,
    error_by_parameter,
    learning_curves,
    parallel_coordinates,
    source_of,
)
from xpfeh.evaluate.comparison.runs import COLUMNS, ERROR, Row, Run, varied
from xpfeh.evaluate.comparison.stars import predicted_against_true
from xpfeh.evaluate.metrics import Stars
from xpfeh.evaluate.section import text_of
from xpfeh.files import check_output_file, whole_file

PICTURED = 8
"""Recipes, the best, whose stars are drawn; and finalists that are shown."""


def pictured(rows: Sequence[Row]) -> list[Run]:
    """Return the runs whose stars the page draws or compares: the best few recipes' and the finalists'."""
    runs = [*(row.best for row in rows[:PICTURED]), *finalist_runs(rows)[:PICTURED]]
    return list({run.run_id: run for run in runs}.values())


def write_page(
    out: Path,
    rows: Sequence[Row],
    curves: Mapping[str, NDArray],
    stars: Mapping[str, Stars],
    experiment: str,
) -> None:
    """Write one page that needs no other file: a table, and plots to hover over and click in.

    Parameters
    ----------
    out : Path
    rows : sequence of Row
        Best first.
    curves : mapping of (steps, 2) float64
        For each run's id: the step, and its validation error then (dex).
    stars : mapping
        `xpfeh.evaluate.validation_stars.COLUMNS` by the id of those `pictured` runs that have kept them.
    experiment : str

    Raises
    ------
    UserError
        If `out` is a folder, or lies under a file.
    """
    check_output_file(out)
    runs = sorted((run for row in rows for run in row.runs), key=lambda run: -run.numbers["mae"])
    names = varied(rows)
    best = [row.best for row in rows[:PICTURED]]
    finalists = finalists_of(rows, stars, PICTURED)
    pictures = predicted_against_true({run.run_id: stars[run.run_id] for run in best if run.run_id in stars})

    source = source_of(runs, names, curves)
    plots = {"curves": learning_curves(source)}
    if names:  # recipes that differ in nothing but their seeds have nothing to show here
        plots["parallel"] = parallel_coordinates(source, runs, names)
        plots |= {f"parameter {name}": error_by_parameter(source, runs, name) for name in names}
    if finalists:
        plots["finalists"] = finalists_spread(finalists)
    for run_id, (density, residuals) in pictures.items():
        plots |= {f"density {run_id}": density, f"residuals {run_id}": residuals}
    document = Document()
    with document.models.freeze():  # else Bokeh walks through all plots at each that is added
        for plot in plots.values():
            document.add_root(plot)
    script, divisions = components(plots)

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["mae"] = lambda run: text_of(run.numbers["mae"], ".4f", run.numbers.get(ERROR, math.nan))
    environment.filters["short"] = lambda run: run.run_id[:SHORT_ID]
    template = environment.from_string((files("xpfeh.evaluate") / "templates" / "comparison.html").read_text())
    page = template.render(
        rows=rows,
        runs=runs,
        names=names,
        columns=COLUMNS,
        best=best,
        finalists=finalists,
        experiment=experiment,
        bokeh=Markup(Resources(mode="inline", components=["bokeh"]).render_js() + script),
        plots={name: Markup(division) for name, division in divisions.items()},  # Bokeh's own, nothing of a run's
    )
    with whole_file(out) as temporary:
        temporary.write_text(page)
