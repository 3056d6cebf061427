"""Judge bundles on the held-out stars, with the same predictor that makes catalogs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xpfeh.errors import UserError
from xpfeh.evaluate.report import write_report
from xpfeh.labels.samples import Sample
from xpfeh.model.baseline import BASELINE, boosted_trees
from xpfeh.model.predictor import Predictor


def validate(
    bundles: Mapping[str, str | Path], sample: Sample, out: str | Path, truth: str = "true", baseline: bool = False
) -> dict[str, Any]:
    """Write a report on the test stars of `sample` at `out` and return its metrics.

    Parameters
    ----------
    bundles : mapping
        Folders of model bundles by the name that the report gives them; the first is shown in the pictures.
    baseline : bool
        Also train XGBoost on the sample and judge it.

    Raises
    ------
    UserError
        If a bundle is none, does not fit the features, or was trained on another split of the sky, or no star is
        held out.
    """
    held_out = sample.part("test").columns
    if not len(held_out["feh"]):
        raise UserError("no labelled star falls in the held-out sky cells; give more labels")
    predictors = {name: Predictor.load(folder) for name, folder in bundles.items()}
    models, cards = {}, {}
    for name, predictor in predictors.items():
        predictor.check_features(sample.origin["preprocess"], "the sample's features")
        if predictor.card["split"] != sample.origin["split"]:
            raise UserError(f"{name}: trained on another split of the sky, so these stars are not held out from it")
        models[name] = {**held_out, **predictor.predict(held_out)}
        cards[name] = predictor.card
    if baseline:
        models[BASELINE] = {**held_out, **boosted_trees(sample)}
        cards[BASELINE] = {"version": BASELINE}
    slopes = next(iter(predictors.values())).sensitivity(held_out)
    return write_report(out, models, cards, slopes, truth)
