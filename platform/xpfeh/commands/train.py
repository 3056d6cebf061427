"""Train one model outside a search, and record it in MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xpfeh.cluster.connection import ONE_CORE, Share
from xpfeh.cluster.members import fit_on_workers
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.learning_curve import LearningCurve
from xpfeh.files import check_output_folder
from xpfeh.inference.bundle import CARD
from xpfeh.inference.card import ModelCard
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe
from xpfeh.training.fit import fit_members
from xpfeh.training.train import train


@dataclass(frozen=True)
class Trained:
    """A trained model: its MLflow run and its card."""

    run_id: str
    card: ModelCard


def train_and_record(
    sample: Sample, recipe: Recipe, out: str | Path, workers: int = 1, share: Share = ONE_CORE
) -> Trained:
    """Train `recipe`, write its bundle at `out`, and record it in MLflow.

    Parameters
    ----------
    sample : Sample
    recipe : Recipe
    out : str or Path
    workers : int
        1 trains here; more train that many members of an ensemble at a time on the cluster.
    share : Share
        Resources of each worker.

    Raises
    ------
    UserError
        As `xpfeh.training.train.train`, and if the tracking server cannot be reached.
    """
    check_output_folder(out, mark=CARD)
    mlflow_runs.experiment_id()  # an unreachable tracking server fails now, not after the training
    curve = LearningCurve(recipe)
    with curve.progress_bar() as report:
        card = train(sample, recipe, out, report, fit_members if workers == 1 else fit_on_workers(workers, share))
    run_id = mlflow_runs.run_of(_tag(card), card.version)
    mlflow_runs.log(run_id, params=recipe.model_dump(), history=curve.history)
    mlflow_runs.finish(run_id, out, card)
    return Trained(run_id, card)


def is_recorded(card: ModelCard) -> bool:
    """Return whether MLflow has a model's complete run: a process killed after the training leaves only the bundle."""
    run_id = mlflow_runs.find_run(_tag(card))
    return run_id is not None and mlflow_runs.get(run_id).info.status == "FINISHED"


def _tag(card: ModelCard) -> str:
    return f"{card.version}/{card.recipe.fingerprint()}"
