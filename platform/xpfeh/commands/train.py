"""Train one model outside a search, and record it in MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xpfeh.cluster.connection import ONE_CORE, Share
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.training_progress import train_with_progress
from xpfeh.files import check_output_folder
from xpfeh.inference.bundle import CARD
from xpfeh.inference.card import ModelCard
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe


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
    sample, recipe, out, workers, share
        As for `xpfeh.experiments.training_progress.train_with_progress`.

    Raises
    ------
    UserError
        As `xpfeh.training.train.train`, and if the tracking server cannot be reached.
    """
    check_output_folder(out, mark=CARD)
    mlflow_runs.experiment_id()  # an unreachable tracking server fails now, not after the training
    card, history = train_with_progress(sample, recipe, out, workers, share)
    run_id = mlflow_runs.run_of(_tag(card), card.version)
    mlflow_runs.log(run_id, params=recipe.model_dump(), history=history)
    mlflow_runs.finish(run_id, out, card)
    return Trained(run_id, card)


def is_recorded(card: ModelCard) -> bool:
    """Return whether MLflow has a model's complete run: a process killed after the training leaves only the bundle."""
    run_id = mlflow_runs.find_run(_tag(card))
    return run_id is not None and mlflow_runs.get(run_id).info.status == "FINISHED"


def _tag(card: ModelCard) -> str:
    return f"{card.version}/{card.recipe.fingerprint()}"
