"""The report on a model: ``index.html``, ``metrics.json``, pictures, and the stars behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.evaluate import figures
from xpfeh.evaluate.metrics import sliced_summary, summary
from xpfeh.files import whole_folder
from xpfeh.inference.card import ModelCard

Metrics = dict[str, dict[str, dict[str, float]]]
"""Numbers by model, by slice of the stars, by name: see `xpfeh.evaluate.metrics`."""

METRICS = "metrics.json"
_STAR_COLUMNS = (
    "source_id", "phot_g_mean_mag", "bp_rp0", "ebv", "feh", "feh_err", "FEH", "FEH_err",
    "FEH_lo68", "FEH_hi68", "FEH_lo95", "FEH_hi95", "domain_score",
)  # fmt: skip


def write_report(
    out: str | Path,
    models: Mapping[str, Mapping[str, NDArray]],
    fainter: Mapping[str, Mapping[str, Mapping[str, NDArray]]],
    cards: Mapping[str, ModelCard],
    slopes: NDArray[np.float32],
    truth: str,
) -> Metrics:
    """Write a report on held-out stars, whole or not at all, and return its metrics.

    Parameters
    ----------
    out : str or Path
        Folder to write; an earlier report there is replaced.
    models : mapping
        For each model by name, the columns of its stars: ``feh`` (true), the predictor's, ``flux``, ``source_id``,
        ``bp_rp0``, ``ebv``, ``phot_g_mean_mag``. The first model is the one that pictures show.
    fainter : mapping
        For some models by name, the same stars made fainter, by what they are called: ``feh`` and the predictor's
        columns.
    cards : mapping
        The models' cards, by the same names; a baseline has none.
    slopes : (N, pixels) float32
        d[Fe/H] / d flux of the first model.
    truth : str
        What the true [Fe/H] is called in the pictures.

    Raises
    ------
    UserError
        If `out` holds something else.
    """
    first = next(iter(models))
    stars = models[first]
    metrics = {name: sliced_summary(columns) for name, columns in models.items()}
    for name, made in fainter.items():
        metrics[name] |= {label: summary(columns) for label, columns in made.items()}
    with whole_folder(out, mark=METRICS) as work:
        figures.save(figures.predicted_against_true(stars, truth), work / "predicted.png")
        figures.save(figures.residual_trends(stars), work / "residuals.png")
        figures.save(figures.error_calibration(stars), work / "calibration.png")
        figures.save(figures.coverage(stars), work / "coverage.png")
        figures.save(figures.sensitivity(stars, slopes), work / "sensitivity.png")
        figures.save(figures.example_spectra(stars), work / "spectra.png")
        pl.DataFrame({name: stars[name] for name in _STAR_COLUMNS}).write_parquet(work / "stars.parquet")
        (work / METRICS).write_text(json.dumps(metrics, indent=1) + "\n")
        template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
            (files("xpfeh.evaluate") / "templates" / "report.html").read_text()
        )
        page = template.render(metrics=metrics, cards=cards, first=first, truth=truth)
        (work / "index.html").write_text(page)
    return metrics
