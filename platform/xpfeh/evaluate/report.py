"""The report on a model: ``index.html``, ``metrics.json``, pictures, and the stars behind them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.evaluate import feh_figures, figures
from xpfeh.evaluate.alpha_slope import Slope, alpha_slope
from xpfeh.evaluate.metrics import Stars, sliced_summary, summary
from xpfeh.evaluate.selections import Selection, selections
from xpfeh.evaluate.slices import BOTH_SAMPLES, slices_of
from xpfeh.files import whole_folder
from xpfeh.inference.card import ModelCard

Metrics = dict[str, dict[str, dict[str, float]]]
"""Numbers by model, by slice of the stars, by name: see `xpfeh.evaluate.metrics`."""

METRICS = "metrics.json"
_STAR_COLUMNS = (
    "source_id", "phot_g_mean_mag", "bp_rp0", "ebv", "teff", "alpha_m", "reference", "feh", "feh_err",
    "FEH", "FEH_err", "FEH_lo68", "FEH_hi68", "FEH_lo95", "FEH_hi95", "domain_score", "flags",
)  # fmt: skip


@dataclass(frozen=True)
class ModelNumbers:
    """What a report says of one model.

    Attributes
    ----------
    slices : mapping
        `xpfeh.evaluate.metrics.sliced_summary`.
    faint : mapping
        `xpfeh.evaluate.metrics.summary` of the same stars made fainter, by what they are called.
    alpha_slope : mapping
        Of all and of the unflagged stars.
    selections : sequence of Selection
    """

    slices: Mapping[str, Mapping[str, float]]
    faint: Mapping[str, Mapping[str, float]]
    alpha_slope: Mapping[str, Slope]
    selections: Sequence[Selection]


def write_report(
    out: str | Path,
    models: Mapping[str, Stars],
    fainter: Mapping[str, Mapping[str, Stars]],
    cards: Mapping[str, Sequence[ModelCard]],
    slopes: NDArray[np.float32],
    truth: str,
    looks: int | None = None,
) -> Metrics:
    """Write a report on held-out stars, whole or not at all, and return its metrics.

    Parameters
    ----------
    out : str or Path
        Folder to write; an earlier report there is replaced.
    models : mapping
        For each model by name, the columns of its stars: ``feh`` (true), the predictor's, ``flags`` as in a catalog,
        ``flux``, ``source_id``, ``bp_rp0``, ``ebv``, ``phot_g_mean_mag``, ``alpha_m``, ``teff`` and ``reference``.
        The first model is the one that pictures show.
    fainter : mapping
        For some models by name, the same stars made fainter, by what they are called: ``feh`` and the predictor's
        columns.
    cards : mapping
        The models' cards, by the same names: several of a cross-validated model; a baseline has none.
    slopes : (N, pixels) float32
        d[Fe/H] / d flux of the first model.
    truth : str
        What the true [Fe/H] is called in the pictures.
    looks : int, optional
        How often these stars were looked at so far, this time included, where that is counted.

    Returns
    -------
    dict
        For each model its slices and its fainter copies: number by name.

    Raises
    ------
    UserError
        If `out` holds something else.
    """
    first = next(iter(models))
    stars = models[first]
    numbers = {name: _numbers(columns, fainter.get(name, {})) for name, columns in models.items()}
    plt.switch_backend("agg")  # files only: workers have no display
    with whole_folder(out, mark=METRICS) as work:
        figures.save(feh_figures.predicted_against_true(stars, truth), work / "predicted.png")
        if has_metal_poor := feh_figures.has_metal_poor(stars):
            figures.save(feh_figures.metal_poor(stars), work / "metal_poor.png")
        figures.save(figures.residual_trends(stars), work / "residuals.png")
        figures.save(figures.error_calibration(stars), work / "calibration.png")
        figures.save(figures.coverage(stars), work / "coverage.png")
        figures.save(figures.sensitivity(stars, slopes), work / "sensitivity.png")
        figures.save(figures.example_spectra(stars), work / "spectra.png")
        pl.DataFrame({name: stars[name] for name in _STAR_COLUMNS}).write_parquet(work / "stars.parquet")
        (work / METRICS).write_text(json.dumps(_plain(numbers, looks), indent=1, allow_nan=False) + "\n")
        environment = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters["number"] = _number
        template = environment.from_string((files("xpfeh.evaluate") / "templates" / "report.html").read_text())
        page = template.render(
            models=numbers, cards=cards, first=first, truth=truth, looks=looks, has_metal_poor=has_metal_poor
        )
        (work / "index.html").write_text(page)
    return {name: {k: dict(v) for k, v in {**each.slices, **each.faint}.items()} for name, each in numbers.items()}


def _numbers(stars: Stars, fainter: Mapping[str, Stars]) -> ModelNumbers:
    chosen = slices_of(stars)
    return ModelNumbers(
        slices=sliced_summary(stars),
        faint={label: summary(columns) for label, columns in fainter.items()},
        alpha_slope={
            sample: alpha_slope({name: values[chosen[sample]] for name, values in stars.items()})
            for sample in BOTH_SAMPLES
        },
        selections=selections(stars),
    )


def _plain(numbers: Mapping[str, ModelNumbers], looks: int | None) -> dict[str, Any]:
    """Return what ``metrics.json`` holds; a number that cannot be taken is null."""
    models = {name: asdict(each) for name, each in numbers.items()}
    for name, each in numbers.items():
        models[name]["selections"] = [
            asdict(one) | {"base_rate": one.base_rate, "purity": one.purity, "completeness": one.completeness}
            for one in each.selections
        ]
    return _without_nan({"looks": looks, "models": models})


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _number(value: float, form: str, error: float = math.nan) -> str:
    """Return a number as a page shows it, with its standard error where that is known; a dash where there is none.

    Examples
    --------
    >>> _number(0.073, ".4f", 0.0024), _number(0.7, ".0%"), _number(math.nan, ".3f")
    ('0.0730 ± 0.0024', '70 %', '–')
    """
    if math.isnan(value):
        return "–"
    shown = format(value, form).replace("%", " %")
    return shown if math.isnan(error) else f"{shown} ± {format(error, form.removeprefix('+'))}"
