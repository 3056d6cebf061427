"""Train one model outside a search, and record it as a run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.distributed import train_distributed
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe
from xpfeh.training.train import train


def train_and_record(sample: Sample, recipe: Recipe, out: str | Path, workers: int = 1) -> tuple[str, dict[str, Any]]:
    """Train `recipe`, write its bundle at `out`, and return its MLflow run id and card.

    One worker trains here and shows its progress; more share the stars on the cluster.
    """
    mlflow_runs.experiment_id()  # better told now than after the training
    if workers > 1:
        history, card = train_distributed(sample, recipe, out, workers)
    else:
        history, card = _train_here(sample, recipe, out)
    run_id = mlflow_runs.run_of(f"{card['version']}/{recipe.fingerprint()}", card["version"])
    mlflow_runs.log(run_id, recipe.model_dump(), history, {})
    mlflow_runs.finish(run_id, out, card)
    return run_id, card


def record_ensemble(sample: Sample, recipe: Recipe, members: int) -> tuple[str, dict[str, Any]]:
    """Train a searched recipe as a cross-fitted ensemble and return its MLflow run id and card.

    One network's errors are calibrated on the validation stars alone, and one tenth of the sky is not like another:
    what shall become champion is calibrated on all of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        together = recipe.model_copy(update={"members": members, "cross_fit": True})
        return train_and_record(sample, together, Path(folder) / "bundle")


def _train_here(sample: Sample, recipe: Recipe, out: str | Path) -> tuple[list[dict[str, float]], dict[str, Any]]:
    history: list[dict[str, float]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
    with Progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task(recipe.name, total=recipe.steps)

        def report(step: int, numbers: dict[str, float]) -> None:
            history.append({**numbers, "step": step})
            bar.update(task, completed=step, description=f"{recipe.name}, MAE {numbers['validation_mae']:.3f} dex")

        return history, train(sample, recipe, out, report)
