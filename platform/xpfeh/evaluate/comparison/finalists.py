"""The finalists of searches: is the best really better than the others, and did its single network rank it by luck?"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from xpfeh.evaluate.comparison.runs import ERROR, SHORT_ID, Row, Run
from xpfeh.evaluate.figures import BLUE, ORANGE, styled
from xpfeh.evaluate.paired import Difference, bootstrap
from xpfeh.typing import Columns

_SHOWN = 8  # best finalists: more would not fit in one figure
_APART = 0.15  # of a row's height: its two marks are this far above and below its middle


@dataclass(frozen=True)
class RankedFinalist:
    """An ensemble, the single network that it was chosen for, and, if its stars were kept, its MAE minus the best's."""

    run: Run
    trial: Run
    behind: Difference | None


def shown_finalists(rows: Sequence[Row]) -> list[Run]:
    """Return the runs of the finalists that the page compares, best first."""
    found = [run for row in rows for run in row.runs if run.trial]
    return sorted(found, key=lambda run: run.numbers["mae"])[:_SHOWN]


def rank_finalists(rows: Sequence[Row], stars: Mapping[str, Columns]) -> list[RankedFinalist]:
    """Return the `shown_finalists`, each compared with the best.

    Parameters
    ----------
    rows : sequence of Row
    stars : mapping
        `xpfeh.evaluate.validation_stars.OF_VALIDATION` by the run's id, for runs that kept them.
    """
    runs = shown_finalists(rows)
    return [RankedFinalist(run, run.trial, _behind(run, runs[0], stars)) for run in runs if run.trial]


@styled
def finalists_figure(finalists: Sequence[RankedFinalist]) -> Figure:
    """Draw each finalist's MAE with its standard error, and that of the single network it was chosen for."""
    figure, axes = plt.subplots(figsize=(11, 1.2 + 0.45 * len(finalists)))
    best = finalists[0].run.numbers
    error = best.get(ERROR, 0.0)
    axes.axvspan(best["mae"] - error, best["mae"] + error, color=BLUE, alpha=0.12, linewidth=0)
    for label, colour, marker, above, runs in (
        ("ensemble", BLUE, "o", -_APART, [each.run for each in finalists]),
        ("its trial", ORANGE, "D", _APART, [each.trial for each in finalists]),
    ):
        axes.errorbar(
            [run.numbers["mae"] for run in runs],
            [place + above for place in range(len(runs))],
            xerr=[run.numbers.get(ERROR, 0.0) for run in runs],
            fmt=marker,
            color=colour,
            label=label,
            capsize=3,
        )
    axes.set(xlabel="MAE (dex) ± standard error", ylim=(len(finalists) - 0.5, -0.5))
    axes.set_yticks(range(len(finalists)), [each.run.run_id[:SHORT_ID] for each in finalists])
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def data_url(figure: Figure) -> str:
    """Return a figure as the data URL of an image, which needs no file, and close it."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png")
    plt.close(figure)
    return f"data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()}"


def _behind(run: Run, best: Run, stars: Mapping[str, Columns]) -> Difference | None:
    if run is best or not {run.run_id, best.run_id} <= set(stars):
        return None
    mine, its = (_residuals(stars[each.run_id]) for each in (run, best))
    both = mine.join(its, on="source_id", suffix="_best")
    if both.is_empty():
        return None
    residual, of_best, source_id = (both[name].to_numpy() for name in ("residual", "residual_best", "source_id"))
    return bootstrap(residual, of_best, source_id, ["mae"])[0]


def _residuals(stars: Columns) -> pl.DataFrame:
    # Each run is compared with its own labels: they may have changed in between.
    columns = {"source_id": stars["source_id"], "residual": (stars["FEH"] - stars["feh"]).astype(np.float64)}
    return pl.DataFrame(columns, nan_to_null=True).drop_nulls().sort("source_id")
