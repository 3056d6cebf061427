"""The page of `xpfeh compare --html`: runs grouped by recipe, as a table and pictures, in one file."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.evaluate.comparison import COLUMNS, Row, Run, short, to_number, varied
from xpfeh.evaluate.figures import styled
from xpfeh.files import check_output_file, whole_file

_LOGARITHMIC = ("learning_rate", "weight_decay")
_MAE = "validation MAE (dex)"
_ORANGE, _GREY = "#dd6b20", "#4a5568"
_STEP = 0.15  # of a scale's length, between values that have no place on it


def write_page(out: Path, rows: Sequence[Row], curves: Mapping[str, NDArray[np.float64]], experiment: str) -> None:
    """Write one page that needs no other file: a table, parallel coordinates, learning curves, error by parameter.

    Parameters
    ----------
    out : Path
    rows : sequence of Row
        Best first.
    curves : mapping of (steps, 2) float64
        For each run's id: the step, and its validation error then (dex).
    experiment : str

    Raises
    ------
    UserError
        If `out` is a folder, or lies under a file.
    """
    check_output_file(out)
    runs = sorted((run for row in rows for run in row.runs), key=lambda run: -run.numbers["mae"])
    names = varied(rows)
    plt.switch_backend("agg")  # a file only
    pictures = {"curves": _encoded(learning_curves(runs, curves))}
    if names:  # recipes that differ in nothing but their seeds have nothing to show here
        pictures["parallel"] = _encoded(parallel_coordinates(runs, names))
        pictures["errors"] = _encoded(error_by_parameter(runs, names))
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string((files("xpfeh.evaluate") / "templates" / "comparison.html").read_text())
    page = template.render(rows=rows, runs=runs, names=names, columns=COLUMNS, pictures=pictures, experiment=experiment)
    with whole_file(out) as temporary:
        temporary.write_text(page)


@styled
def parallel_coordinates(runs: Sequence[Run], names: Sequence[str]) -> Figure:
    """Return one line a run, from above through its parameters down to its error; `runs` are worst first."""
    scales = [_Scale.of(name, [run.parameters.get(name, "–") for run in runs]) for name in names]
    scales.append(_Scale.of("MAE", [str(run.numbers["mae"]) for run in runs]))
    depths = np.arange(len(scales))
    figure, axes = plt.subplots(figsize=(10, 1 + 0.55 * len(scales)))
    axes.grid(False)
    axes.spines[:].set_visible(False)
    colour_of = _colours(figure, axes, runs)
    lines = np.transpose([scale.spread() for scale in scales])  # (runs, scales)
    for line, run in zip(lines, runs, strict=True):
        best = run is runs[-1]
        axes.plot(line, depths, color=colour_of(run), lw=3 if best else 1.3, alpha=1 if best else 0.7)
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5}
    for depth, scale in zip(depths, scales, strict=True):
        axes.plot([0, 1], [depth, depth], color=_GREY, lw=0.8, zorder=1)
        for position, label in zip(scale.ticks, scale.labels, strict=True):
            axes.text(position, depth + 0.12, label, ha="center", va="top", fontsize=8, bbox=box, zorder=3)
    axes.set_yticks(depths, [*names, "MAE"])
    axes.tick_params(length=0)
    axes.set(xticks=[], xlim=(-0.05, 1.05), ylim=(len(scales) - 0.4, -0.3))
    return figure


@styled
def learning_curves(runs: Sequence[Run], curves: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Return each run's validation error by optimiser step; `runs` are worst first."""
    figure, axes = plt.subplots(figsize=(10, 4.6))
    colour_of = _colours(figure, axes, runs)
    for run in runs:
        steps, errors = curves[run.run_id].T
        best = run is runs[-1]
        label = f"best: {run.run_id[:8]}" if best else None
        axes.plot(steps, errors, ".-", ms=3, color=colour_of(run), lw=3 if best else 1.2, label=label)
    axes.set(xscale="log", yscale="log", xlabel="optimiser step", ylabel=_MAE)
    # Plain numbers and no powers of ten; errors span less than a decade, so that theirs stand at minor ticks.
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.legend(loc="upper right")
    return figure


@styled
def error_by_parameter(runs: Sequence[Run], names: Sequence[str]) -> Figure:
    """Return a panel a parameter with every run's error; the best run stands out; `runs` are worst first."""
    width = min(4, len(names))
    height = math.ceil(len(names) / width)
    figure, panels = plt.subplots(height, width, figsize=(3.1 * width, 2.6 * height), sharey=True, squeeze=False)
    errors = [run.numbers["mae"] for run in runs]
    for axes, name in zip(panels.flat, names, strict=False):
        scale = _Scale.of(name, [run.parameters.get(name, "–") for run in runs])
        axes.scatter(scale.positions, errors, s=24, color=_GREY, alpha=0.6, linewidths=0)
        axes.scatter(scale.positions[-1], errors[-1], s=45, color=_ORANGE)
        axes.set_xticks(scale.ticks, scale.labels, fontsize=8)
        axes.set(xlabel=name, xlim=(-0.12, 1.12))
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel(_MAE)
    return figure


@dataclass(frozen=True)
class _Scale:
    """A parameter's values as positions from 0 to 1, with labelled marks.

    Words are evenly spaced. Numbers have a scale, and before its foot, evenly spaced, what has no place on it: zero on
    a logarithmic scale, or a value that was not recorded.

    Attributes
    ----------
    positions : (R,) float64
        Of the runs.
    ticks, labels : list
        Positions of the marks, and what is written there.
    """

    positions: NDArray[np.float64]
    ticks: list[float]
    labels: list[str]

    @classmethod
    def of(cls, name: str, texts: Sequence[str]) -> _Scale:
        """Return the scale of a parameter that the runs have these values of, as they were recorded."""
        numbers = {text: to_number(text) for text in texts}
        if name in _LOGARITHMIC:
            numbers = {text: np.log10(value) if value > 0 else np.nan for text, value in numbers.items()}
        words = sorted(text for text, value in numbers.items() if np.isnan(value))
        known = np.unique([value for value in numbers.values() if not np.isnan(value)])
        if known.size:
            return cls._of_numbers(texts, numbers, words, known, name in _LOGARITHMIC)
        return cls._of_words(texts, words)

    @classmethod
    def _of_words(cls, texts: Sequence[str], words: Sequence[str]) -> _Scale:
        steps = np.linspace(0, 1, len(words)) if len(words) > 1 else np.array([0.5])
        place = dict(zip(words, steps.tolist(), strict=True))
        return cls(np.array([place[text] for text in texts]), list(place.values()), [short(text) for text in place])

    @classmethod
    def _of_numbers(
        cls,
        texts: Sequence[str],
        numbers: Mapping[str, float],
        words: Sequence[str],
        known: NDArray[np.float64],
        logarithmic: bool,
    ) -> _Scale:
        foot = _STEP * len(words)  # where the scale begins
        low, extent = known[0], known[-1] - known[0]

        def position(value: float) -> float:
            share = float(value - low) / extent if extent else 0.5
            return foot + (1 - foot) * share

        place = {text: _STEP * step for step, text in enumerate(words)}
        # Every value has its mark if the marks are few and far enough apart to be read; else three show the range.
        every = len(known) <= 5 and (not extent or np.all(np.diff(known) > 0.2 * extent))
        marks = known if every else np.linspace(low, known[-1], 3)
        values = 10**marks if logarithmic else marks
        return cls(
            np.array([place[text] if text in place else position(numbers[text]) for text in texts]),
            [*place.values(), *(position(mark) for mark in marks)],
            [*(short(text) for text in words), *(short(f"{value:.3g}") for value in values)],
        )

    def spread(self) -> NDArray[np.float64]:
        """Return the positions, side by side where every value has its mark, so that no line hides another."""
        every_value_has_its_mark = len(np.unique(self.positions)) == len(self.ticks)
        if not every_value_has_its_mark:
            return self.positions
        return self.positions + np.linspace(0.02, -0.02, len(self.positions))


def _colours(figure: Figure, axes: Axes, runs: Sequence[Run]) -> Callable[[Run], Any]:
    """Draw the error's colour bar, and return each run's colour."""
    errors = [run.numbers["mae"] for run in runs]
    scale = plt.cm.ScalarMappable(plt.Normalize(min(errors), max(errors)), "viridis")
    figure.colorbar(scale, ax=axes, label=_MAE, pad=0.02, fraction=0.03, aspect=40)
    return lambda run: scale.to_rgba(run.numbers["mae"])


@styled
def _encoded(figure: Figure) -> str:
    """Return a figure as base64 PNG and close it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    plt.close(figure)
    return base64.b64encode(picture.getvalue()).decode()
