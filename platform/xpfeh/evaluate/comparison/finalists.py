"""The finalists of searches: is the best really better than the others, and than its own single network said?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import BoxAnnotation, ColumnDataSource, FixedTicker, HoverTool, NumeralTickFormatter, Whisker
from bokeh.plotting import figure
from numpy.typing import NDArray

from xpfeh.evaluate.cells import FEW_CELLS, by_cell, resampled
from xpfeh.evaluate.comparison.plots import SHORT_ID
from xpfeh.evaluate.comparison.runs import ERROR, Row, Run
from xpfeh.evaluate.figures import BLUE, ORANGE, span
from xpfeh.evaluate.metrics import Stars

_BESIDE = 0.15  # of a finalist's row, from its middle to its ensemble and to its single network


@dataclass(frozen=True)
class Behind:
    """By how much a finalist's MAE is above the best one's on the stars of both, dex.

    Attributes
    ----------
    mae, low, high : float
        The difference, and its 95 % interval by resampling cells of the sky: NaN if these are fewer than ten.
    n : int
        Stars.

    Examples
    --------
    >>> residual, source_id = np.linspace(-0.2, 0.2, 300), np.arange(300) * 2**49
    >>> found = Behind.of(2 * residual, residual, source_id)
    >>> round(found.mae, 3), found.verdict
    (0.1, 'worse, as 300 stars show')
    """

    mae: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, mine: NDArray[np.float64], best: NDArray[np.float64], source_id: NDArray[np.int64]) -> Behind:
        """Compare residuals (N,), dex, star by star."""
        cell, worse = by_cell(source_id), np.abs(mine) - np.abs(best)
        low = high = math.nan
        if len(np.unique(cell)) >= FEW_CELLS:
            (drawn,) = resampled(cell, lambda weight: (weight @ worse / weight.sum(axis=1))[None])
            low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
        return cls(float(worse.mean()), low, high, len(worse))

    @property
    def verdict(self) -> str:
        """What the stars can show."""
        if self.low > 0 or self.high < 0:
            return f"{'worse' if self.low > 0 else 'better'}, as {self.n} stars show"
        return f"no different, as far as {self.n} stars can show"


@dataclass(frozen=True)
class Finalist:
    """An ensemble, the single network it was chosen for, and, if the stars are kept, how it stands to the best."""

    run: Run
    trial: Run
    behind: Behind | None


def finalists_of(rows: Sequence[Row], stars: Mapping[str, Stars], most: int) -> list[Finalist]:
    """Return the finalists among the runs, best first, at most so many.

    Parameters
    ----------
    rows : sequence of Row
    stars : mapping
        `xpfeh.evaluate.validation_stars.COLUMNS` by the run's id, of runs that have kept them.
    most : int
    """
    runs = finalist_runs(rows)[:most]
    return [Finalist(run, run.trial, _behind(run, runs[0], stars)) for run in runs if run.trial]


def finalist_runs(rows: Sequence[Row]) -> list[Run]:
    """Return the runs of finalists, best first."""
    found = [run for row in rows for run in row.runs if run.trial]
    return sorted(found, key=lambda run: run.numbers["mae"])


def finalists_spread(finalists: Sequence[Finalist]) -> figure:
    """Return each finalist's error with its standard error, beside that of the single network it was chosen for."""
    ensembles = _points([each.run for each in finalists], _BESIDE)
    trials = _points([each.trial for each in finalists], -_BESIDE)
    ends = np.concatenate([source.data[end] for source in (ensembles, trials) for end in ("low", "high")])
    plot = figure(
        height=130 + 54 * len(finalists),
        sizing_mode="stretch_width",
        x_range=span(ends),
        y_range=(0.5 - len(finalists), 0.5),
        x_axis_label="MAE (dex) ± standard error",
        tools="",
        toolbar_location=None,
    )
    low, high = ensembles.data["low"][0], ensembles.data["high"][0]
    plot.add_layout(BoxAnnotation(left=low, right=high, fill_color=BLUE, fill_alpha=0.12, line_color=None))
    for label, source, colour, marker in (
        ("ensemble", ensembles, BLUE, "circle"),
        ("its trial", trials, ORANGE, "diamond"),
    ):
        bars = Whisker(base="y", lower="low", upper="high", source=source, dimension="width", line_width=2)
        bars.line_color = bars.lower_head.line_color = bars.upper_head.line_color = colour
        plot.add_layout(bars)
        points = plot.scatter("mae", "y", source=source, size=11, marker=marker, color=colour, legend_label=label)
        numbers = [("run", "@run"), ("MAE", "@mae{0.0000} ± @error{0.0000} dex"), ("stars", "@stars")]
        plot.add_tools(HoverTool(renderers=[points], tooltips=numbers))
    plot.xaxis.formatter = NumeralTickFormatter(format="0.000")
    plot.yaxis.ticker = FixedTicker(ticks=[-row for row in range(len(finalists))])
    plot.yaxis.major_label_overrides = {-row: each.run.run_id[:SHORT_ID] for row, each in enumerate(finalists)}
    plot.add_layout(plot.legend[0], "above")
    plot.legend.orientation, plot.legend.border_line_color = "horizontal", None
    return plot


def _points(runs: Sequence[Run], above: float) -> ColumnDataSource:
    """Return the errors of each finalist, or of its trial; one whose standard error is not known has no bar."""
    mae = np.array([run.numbers["mae"] for run in runs])
    error = np.array([run.numbers.get(ERROR, math.nan) for run in runs])
    bar = np.nan_to_num(error)
    columns = {
        "run": [run.run_id[:SHORT_ID] for run in runs],
        "y": above - np.arange(len(runs)),
        "mae": mae,
        "error": error,
        "low": mae - bar,
        "high": mae + bar,
        "stars": [run.parameters.get("validation_stars", "–") for run in runs],
    }
    return ColumnDataSource(columns)


def _behind(run: Run, best: Run, stars: Mapping[str, Stars]) -> Behind | None:
    if run is best or not {run.run_id, best.run_id} <= set(stars):
        return None
    mine, its = _residuals(stars[run.run_id]), _residuals(stars[best.run_id])
    both = sorted(mine.keys() & its.keys())
    if not both:
        return None
    return Behind.of(np.array([mine[star] for star in both]), np.array([its[star] for star in both]), np.array(both))


def _residuals(stars: Stars) -> dict[int, float]:
    """Return the residual of each star that has one, by its source_id."""
    residual = (stars["FEH"] - stars["feh"]).tolist()
    known = zip(stars["source_id"].tolist(), residual, strict=True)
    return {star: each for star, each in known if math.isfinite(each)}
