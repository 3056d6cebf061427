"""Judge recipes on every labelled giant: five times train on four fifths of the sky, and predict the fifth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.commands.read_sample import read_samples
from xpfeh.commands.train import is_recorded, train_and_record
from xpfeh.commands.validate import answers, as_if_fainter
from xpfeh.errors import UserError
from xpfeh.evaluate.baseline import BASELINE, boosted_trees
from xpfeh.evaluate.report import METRICS, Metrics, write_report
from xpfeh.experiments.registry import count_look
from xpfeh.files import check_output_folder
from xpfeh.inference.bundle import read_card
from xpfeh.inference.card import ModelCard
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import TEST_FOLDS, Sample
from xpfeh.provenance import code_version
from xpfeh.settings import SALT, Recipe


def cross_validate(
    features: str,
    labels: str | Path,
    recipes: Sequence[Recipe],
    out: Path,
    salt: str = SALT,
    baseline: bool = False,
    workers: int = 1,
) -> Metrics:
    """Train each recipe on the five splits of a salt and report on the test stars of all, each predicted once.

    Models that an earlier call with the same arguments has finished are not trained again.

    Parameters
    ----------
    features : str
    labels : str or Path
    recipes : sequence of Recipe
        Of different names; the first is shown in the pictures.
    out : Path
        Folder for the models, ``models/RECIPE-FOLD``, and the report, ``report/``.
    salt : str
        Names the split of the sky.
    baseline : bool
        Also train XGBoost five times.
    workers : int
        As `xpfeh.commands.train.train_and_record` takes it.

    Raises
    ------
    UserError
        If the features or labels cannot be read or are too few, two recipes have one name, or `out` holds something
        else.
    """
    check_output_folder(out / "report", mark=METRICS)
    names = [recipe.name for recipe in recipes] + [BASELINE] * baseline
    if len(set(names)) < len(names):
        raise UserError(
            f"--set name: two models of one name in a report ({', '.join(names)}); give them different ones"
        )
    stars: dict[str, list[dict[str, NDArray]]] = {name: [] for name in names}
    fainter: dict[str, list[dict[str, dict[str, NDArray]]]] = {recipe.name: [] for recipe in recipes}
    slopes: list[NDArray[np.float32]] = []
    cards: dict[str, list[ModelCard]] = {recipe.name: [] for recipe in recipes}
    for fold, sample in enumerate(read_samples(features, labels, salt, range(TEST_FOLDS))):
        held_out = sample.part("test").columns
        if not len(held_out["feh"]):
            raise UserError(f"no labelled star falls in fold {fold} of the sky; give more labels")
        for recipe in recipes:
            predictor = _trained(sample, recipe, out / "models" / f"{recipe.name}-{fold}", workers)
            cards[recipe.name].append(predictor.card)
            stars[recipe.name].append(answers(predictor, held_out))
            fainter[recipe.name].append(as_if_fainter(predictor, held_out))
            if recipe is recipes[0]:
                slopes.append(predictor.sensitivity(held_out))
        if baseline:
            stars[BASELINE].append({**held_out, **boosted_trees(sample)})
    pooled = {name: _pooled(folds) for name, folds in stars.items()}
    faint = {
        name: {label: _pooled([fold[label] for fold in folds]) for label in folds[0]} for name, folds in fainter.items()
    }
    return write_report(out / "report", pooled, faint, cards, np.concatenate(slopes), "the labels'", count_look(salt))


def _trained(sample: Sample, recipe: Recipe, folder: Path, workers: int) -> Predictor:
    """Return the model of a recipe on a sample, trained now or by an earlier call."""
    try:
        card = read_card(folder)
        finished = (card.recipe, card.split, card.made_by) == (recipe, sample.origin.split, code_version())
        finished &= (card.features, card.labels_sha256) == (sample.origin.features, sample.origin.labels_sha256)
        finished &= is_recorded(card)
    except UserError:
        finished = False
    if not finished:
        train_and_record(sample, recipe, folder, workers)
    return Predictor(folder)


def _pooled(folds: Sequence[Mapping[str, NDArray]]) -> dict[str, NDArray]:
    return {name: np.concatenate([fold[name] for fold in folds]) for name in folds[0]}
