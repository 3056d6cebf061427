"""Judge bundles on the held-out stars, with the same predictor that makes catalogs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.commands.models import bundle_of
from xpfeh.commands.read_sample import read_sample
from xpfeh.errors import UserError
from xpfeh.evaluate.baseline import BASELINE, boosted_trees
from xpfeh.evaluate.report import METRICS, Metrics, write_report
from xpfeh.files import check_output_folder
from xpfeh.inference.bundle import read_card
from xpfeh.inference.estimate import prediction_flags
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.label_table import read_labels
from xpfeh.labels.sample import Sample, Split
from xpfeh.training.noise import as_if_at

_FAINT = (16.0, 17.0, 17.5)
"""G of the stars that held-out stars are made as faint as: most of the catalog is fainter than the labels."""


@dataclass(frozen=True)
class Judged:
    """A model's report: the split of the sky that it was judged on, its numbers, and the page."""

    split: Split
    metrics: Metrics
    page: Path


def validate_models(
    models: Sequence[str], features: str, labels: str | Path, out: Path, baseline: bool = False
) -> list[Judged]:
    """Write a report on each model, on the stars held out from it.

    Parameters
    ----------
    models : sequence of str
        As `xpfeh.commands.models.bundle_of` takes them.
    features : str
    labels : str or Path
    out : Path
        Folder of the report; of several models, a folder in it each.
    baseline : bool
        Also train XGBoost on each sample and judge it.

    Raises
    ------
    UserError
        As `validate`, and if the features or labels cannot be read.
    """
    table = read_labels(labels)
    samples: dict[Split, Sample] = {}  # models of one split are judged on one sample
    judged = []
    for model in models:
        bundle = bundle_of(model)
        card = read_card(bundle)
        split = card.split
        if split not in samples:
            samples[split] = read_sample(features, table, split.salt, split.test_fold)
        folder = out / f"{card.version}-{split.salt}" if len(models) > 1 else out
        metrics = validate({card.recipe.name: bundle}, samples[split], folder, baseline=baseline)
        judged.append(Judged(split, metrics, folder / "index.html"))
    return judged


def validate(
    bundles: Mapping[str, str | Path],
    sample: Sample,
    out: str | Path,
    truth: str = "the labels'",
    baseline: bool = False,
) -> Metrics:
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
    check_output_folder(out, mark=METRICS)
    held_out = sample.part("test").columns
    predictors = {name: fair_judge(folder, sample) for name, folder in bundles.items()}
    models = {name: answers(predictor, held_out) for name, predictor in predictors.items()}
    fainter = {name: as_if_fainter(predictor, held_out) for name, predictor in predictors.items()}
    cards = {name: [predictor.card] for name, predictor in predictors.items()}
    if baseline:
        models[BASELINE] = {**held_out, **boosted_trees(sample)}
    slopes = next(iter(predictors.values())).sensitivity(held_out)
    return write_report(out, models, fainter, cards, slopes, truth, _count_look(sample.origin.split.salt))


def answers(predictor: Predictor, stars: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return the stars with the predictor's columns, and ``flags`` as a catalog has them."""
    predicted = predictor.predict(stars)
    flags = stars["flags"] | prediction_flags(predicted, predictor.card.domain_threshold)
    return {**stars, **predicted, "flags": flags}


def as_if_fainter(predictor: Predictor, stars: Mapping[str, NDArray]) -> dict[str, dict[str, NDArray]]:
    """Return ``feh`` and the predictor's columns of the stars made as faint as most of a catalog, by what that is."""
    return {f"as if G={g_mag:g}": _as_if(g_mag, stars, predictor) for g_mag in _FAINT}


def fair_judge(bundle: str | Path, sample: Sample) -> Predictor:
    """Return the predictor of a bundle that the test stars of `sample` can judge.

    Raises
    ------
    UserError
        If the bundle is none, does not fit the features, or was trained on another split of the sky, or no star is
        held out.
    """
    predictor = Predictor(bundle)
    if not len(sample.part("test")):
        raise UserError("no labelled star falls in the held-out sky cells; give more labels")
    predictor.check_features(sample.origin.preprocess, "the sample's features")
    if predictor.card.split != sample.origin.split:
        raise UserError(
            f"{predictor.version}: trained on the split {predictor.card.split.name!r} of the sky; the held-out "
            f"stars of the split {sample.origin.split.name!r} are not held out from it"
        )
    return predictor


def _count_look(salt: str) -> int | None:
    try:
        from xpfeh.experiments.registry import count_look
    except ModuleNotFoundError as error:
        if error.name not in ("mlflow", "sqlalchemy"):
            raise
        return None  # without MLflow there is no store that counts
    return count_look(salt)


def _as_if(g_mag: float, stars: Mapping[str, NDArray], predictor: Predictor) -> dict[str, NDArray]:
    flux, flux_error = as_if_at(g_mag, stars, np.random.default_rng(0))
    return {"feh": stars["feh"], **predictor.predict({"flux": flux, "flux_error": flux_error, "ebv": stars["ebv"]})}
