"""Train one recipe and write its bundle: the same function in the command line, in a trial and in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xpfeh.evaluate.metrics import summary
from xpfeh.labels.samples import Sample
from xpfeh.model.bundle import write_bundle
from xpfeh.model.fit import Progress, fit
from xpfeh.model.predictor import Predictor
from xpfeh.settings import Recipe


def train(sample: Sample, recipe: Recipe, out: str | Path, progress: Progress | None = None) -> dict[str, Any]:
    """Fit `recipe` to the training stars of `sample`, write the bundle and return its card."""
    validation = sample.part("validation")
    result = fit(sample.part("train").columns, validation.columns, recipe, progress)
    card = {
        **sample.origin,
        "stars": {part: len(sample.part(part)) for part in ("train", "validation", "test")},
        "restarted_members": result.restarts,
    }
    predicted = Predictor(result.network, card).predict(validation.columns["flux"], validation.columns["flux_error"])
    card["validation"] = summary(predicted["feh"] - validation.columns["feh"], predicted["feh_err"])
    return write_bundle(out, result.network, card)
