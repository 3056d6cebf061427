"""Cross-validate recipes: five times, train on four fifths of the sky and predict the remaining fifth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xpfeh.commands.read_sample import read_samples
from xpfeh.commands.report_stars import NOTHING, Comparisons
from xpfeh.commands.train import is_recorded, train_and_record
from xpfeh.commands.validate import validate
from xpfeh.errors import UserError
from xpfeh.evaluate.baseline import BASELINE
from xpfeh.evaluate.report import METRICS, Metrics
from xpfeh.files import check_output_folder
from xpfeh.inference.bundle import read_card
from xpfeh.inference.cross_validated import CrossValidated
from xpfeh.labels.sample import TEST_FOLDS, Sample
from xpfeh.provenance import code_version
from xpfeh.settings import SALT, Recipe


def cross_validate(
    features: str,
    labels: str | Path,
    recipes: Sequence[Recipe],
    out: Path,
    salt: str = SALT,
    comparisons: Comparisons = NOTHING,
    workers: int = 1,
) -> Metrics:
    """Train each recipe on the five splits of a salt; report on all stars, each by the model that has not seen it.

    Models finished by an earlier call with the same arguments are not trained again.

    Parameters
    ----------
    features : str
    labels : str or Path
    recipes : sequence of Recipe
        With different names; figures show the first.
    out : Path
        Folder for the models, ``models/RECIPE/FOLD``, and the report, ``report/``.
    salt : str
        Names the split of the sky.
    comparisons : Comparisons
        What the report compares with.
    workers : int
        As in `xpfeh.commands.train.train_and_record`.

    Raises
    ------
    UserError
        If the features or labels cannot be read or are too few, two recipes have the same name, or `out` holds
        something else.
    """
    check_output_folder(out / "report", mark=METRICS)
    comparisons.check()
    names = [recipe.name for recipe in recipes] + [BASELINE] * comparisons.baseline
    if len(set(names)) < len(names):
        raise UserError(f"--set name: two models of a report have the same name ({', '.join(names)}); rename one")
    for fold, sample in enumerate(read_samples(features, labels, salt, range(TEST_FOLDS))):
        if not (sample.columns["part"] == "test").any():
            raise UserError(f"no labelled star falls in fold {fold} of the sky; give more labels")
        for recipe in recipes:
            make_model(sample, recipe, _folder(out, recipe, fold), workers)
    models = {
        recipe.name: CrossValidated([_folder(out, recipe, fold) for fold in range(TEST_FOLDS)]) for recipe in recipes
    }
    return validate(models, features, labels, out / "report", comparisons)


def make_model(sample: Sample, recipe: Recipe, folder: Path, workers: int) -> None:
    """Train a recipe on a sample, unless an earlier call did."""
    try:
        card = read_card(folder)
        finished = (card.recipe, card.split, card.made_by) == (recipe, sample.origin.split, code_version())
        finished &= (card.features, card.labels_sha256) == (sample.origin.features, sample.origin.labels_sha256)
        finished &= is_recorded(card)
    except UserError:
        finished = False
    if not finished:
        train_and_record(sample, recipe, folder, workers)


def _folder(out: Path, recipe: Recipe, fold: int) -> Path:
    return out / "models" / recipe.name / str(fold)
