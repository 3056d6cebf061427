"""Judge bundles on the held-out stars, with the same predictor that makes catalogs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.evaluate.baseline import BASELINE, boosted_trees
from xpfeh.evaluate.report import write_report
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.training.noise import as_if_at

_FAINT = (16.0, 17.0, 17.5)


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
    predictors = {name: fair_judge(folder, sample) for name, folder in bundles.items()}
    models, cards, fainter = {}, {}, {}
    for name, predictor in predictors.items():
        models[name] = {**held_out, **predictor.predict(held_out)}
        cards[name] = predictor.card
        fainter[name] = {f"as if G={g_mag:g}": _as_if(g_mag, held_out, predictor) for g_mag in _FAINT}
    if baseline:
        models[BASELINE] = {**held_out, **boosted_trees(sample)}
        cards[BASELINE] = {"version": BASELINE}
    slopes = next(iter(predictors.values())).sensitivity(held_out)
    return write_report(out, models, fainter, cards, slopes, truth)


def fair_judge(bundle: str | Path, sample: Sample) -> Predictor:
    """Return the predictor of a bundle that the test stars of `sample` can judge.

    Raises
    ------
    UserError
        If the bundle is none, does not fit the features, or was trained on another split of the sky, or no star is
        held out.
    """
    predictor = Predictor.load(bundle)
    if not len(sample.part("test")):
        raise UserError("no labelled star falls in the held-out sky cells; give more labels")
    predictor.check_features(sample.origin["preprocess"], "the sample's features")
    if predictor.card["split"] != sample.origin["split"]:
        raise UserError(
            f"{predictor.version}: trained on the split {predictor.card['split']['salt']!r} of the sky; the held-out "
            f"stars of the split {sample.origin['split']['salt']!r} are not held out from it"
        )
    return predictor


def _as_if(g_mag: float, stars: dict[str, NDArray], predictor: Predictor) -> dict[str, NDArray]:
    flux, flux_error = as_if_at(g_mag, stars, np.random.default_rng(0))
    return {"feh": stars["feh"], **predictor.predict({"flux": flux, "flux_error": flux_error, "ebv": stars["ebv"]})}
