"""Models side by side: runs grouped by recipe, shown on one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import jinja2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.evaluate.figures import styled

COLUMNS = {
    "mae": ("MAE", ".4f"), "robust_sigma": ("robust σ", ".4f"), "std": ("std", ".4f"),
    "coverage_68": ("in 68 %", ".1%"), "nll": ("nll", ".3f"), "seconds": ("cost (s)", ".0f"),
}  # fmt: skip
"""Title and format of each number of a run."""

_LOGARITHMIC = ("learning_rate", "weight_decay")
_MAE = "validation MAE (dex)"
_ORANGE, _GREY = "#dd6b20", "#4a5568"


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes
    ----------
    run_id, recipe, seed : str
    parameters : mapping of str
        What else made it, `xpfeh.settings.Recipe` and data.
    numbers : mapping of float
        On the validation stars, dex; ``mae`` is there. ``seconds`` is the training's time.
    """

    run_id: str
    recipe: str
    seed: str
    parameters: Mapping[str, str]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """Runs that differ in their seeds alone, best first."""

    runs: Sequence[Run]

    @property
    def best(self) -> Run:
        """The run of lowest error."""
        return self.runs[0]

    @property
    def mae(self) -> float:
        """Mean over the seeds, dex."""
        return mean(run.numbers["mae"] for run in self.runs)

    @property
    def recipes(self) -> str:
        """What the recipe is called."""
        return ", ".join(sorted({run.recipe for run in self.runs}))

    def told(self, number: str) -> str:
        """Return one of `COLUMNS` in words: its mean and standard deviation over the seeds that know it."""
        known = [run.numbers[number] for run in self.runs if number in run.numbers]
        if not known:
            return "–"
        form = COLUMNS[number][1]
        return f"{mean(known):{form}}" + (f" ± {stdev(known):{form}}" if len(known) > 1 else "")

    def parameter(self, name: str) -> str:
        """Return a parameter in short words."""
        return short(self.best.parameters.get(name, "–"))


def varied(rows: Sequence[Row]) -> list[str]:
    """Return the parameters that have more than one value among the rows that know them."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.best.parameters.items():
            values.setdefault(name, set()).add(value)
    return sorted(name for name, found in values.items() if len(found) > 1)


def short(text: str) -> str:
    """Return a recorded value in few letters: ``0.00123``, ``256,64``."""
    number = _number(text)
    if np.isfinite(number):
        return f"{number:.0f}" if number.is_integer() and abs(number) < 1e7 else f"{number:.3g}"
    return text.replace(" ", "").strip("()[],")


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
        If `out` is a folder.
    """
    if out.is_dir():
        raise UserError(f"--html {out}: this is a folder; name a file")
    runs = sorted((run for row in rows for run in row.runs), key=lambda run: -run.numbers["mae"])
    names = varied(rows)
    pictures = {"curves": _encoded(learning_curves(runs, curves))}
    if names:
        pictures |= {
            "parallel": _encoded(parallel_coordinates(runs, names)),
            "errors": _encoded(error_by_parameter(runs, names)),
        }
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string((files("xpfeh.evaluate") / "templates" / "comparison.html").read_text())
    page = template.render(rows=rows, runs=runs, names=names, columns=COLUMNS, pictures=pictures, experiment=experiment)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.tmp")
    unfinished.write_text(page)
    unfinished.replace(out)


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
    for line, run in zip(np.transpose([scale.spread() for scale in scales]), runs, strict=True):
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
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}" if axis is axes.yaxis else "")
    axes.legend(loc="upper right")
    return figure


@styled
def error_by_parameter(runs: Sequence[Run], names: Sequence[str]) -> Figure:
    """Return a panel a parameter with every run's error; the best run stands out; `runs` are worst first."""
    width = min(4, len(names))
    height = -(-len(names) // width)
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

    Words stand in steps; numbers have a scale, and beneath it in steps what is none: zero on a logarithmic scale, or
    a value that was not recorded.
    """

    positions: NDArray[np.float64]
    ticks: list[float]
    labels: list[str]

    @classmethod
    def of(cls, name: str, texts: Sequence[str]) -> _Scale:
        numbers = {text: _number(text) for text in texts}
        if name in _LOGARITHMIC:
            numbers = {text: np.log10(value) if value > 0 else np.nan for text, value in numbers.items()}
        words = sorted(text for text, value in numbers.items() if np.isnan(value))
        placed = np.unique([value for value in numbers.values() if not np.isnan(value)])
        if not len(placed):
            steps = np.linspace(0, 1, len(words)) if len(words) > 1 else np.array([0.5])
            at = dict(zip(words, steps.tolist(), strict=True))
            return cls(np.array([at[text] for text in texts]), list(at.values()), [short(text) for text in at])
        foot = 0.15 * len(words)
        low, high = placed[0], placed[-1]
        extent = high - low

        def height(value: float) -> float:
            return foot + (1 - foot) * (float(value - low) / extent if extent else 0.5)

        few = len(placed) <= 5 and (not extent or np.all(np.diff(placed) > 0.2 * extent))
        marks = placed if few else np.linspace(low, high, 3)
        at = {text: 0.15 * step for step, text in enumerate(words)}
        shown = 10**marks if name in _LOGARITHMIC else marks
        return cls(
            np.array([at[text] if text in at else height(numbers[text]) for text in texts]),
            [*at.values(), *(height(mark) for mark in marks)],
            [*(short(text) for text in words), *(short(f"{value:.3g}") for value in shown)],
        )

    def spread(self) -> NDArray[np.float64]:
        """Return the positions, side by side where every value has its mark, so that no line hides another."""
        few = len(np.unique(self.positions)) == len(self.ticks)
        return self.positions + few * np.linspace(0.02, -0.02, len(self.positions))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


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
