"""The best trials of a search, trained again with other seeds: the mean decides, not one lucky draw."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import ray
from rich.progress import track

from xpfeh.cluster.connection import Share
from xpfeh.experiments import mlflow_runs
from xpfeh.inference.bundle import packed, unpacked
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe

SEEDS = 3


@dataclass(frozen=True)
class Finalist:
    """A trial that goes on: its tag in MLflow, its recipe, and which of the samples it was trained on."""

    trial: str
    recipe: Recipe
    sample: int


def decide(finalists: Sequence[Finalist], samples: Sequence[Sample], parent: str, share: Share) -> dict[str, Any]:
    """Train every finalist with further seeds; return the best by the mean over its seeds.

    A seed that an earlier, interrupted call has finished is not trained again.

    Returns
    -------
    dict
        ``run_id`` of the winner's best seed, its ``recipe`` and ``sample``, ``mean`` and ``spread`` (deviation)
        of its validation MAE (dex) over its ``seeds``.
    """
    kept = [ray.put(sample) for sample in samples]
    train = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus)(_train_seed)
    waiting = {}
    for finalist in finalists:
        for seed in range(1, SEEDS):
            run = mlflow_runs.run_of(f"{finalist.trial}/seed-{seed}", f"{finalist.trial}-seed-{seed}", parent)
            if mlflow_runs.recorded(run).info.status != "FINISHED":
                recipe = finalist.recipe.model_copy(update={"seed": finalist.recipe.seed + seed})
                waiting[train.remote(kept[finalist.sample], recipe)] = (run, recipe)
    pending = list(waiting)
    for _ in track(range(len(pending)), description="finalists"):
        (done,), pending = ray.wait(pending)
        run, recipe = waiting[done]
        _record(run, recipe, *ray.get(done))

    judged = []
    for finalist in finalists:
        tags = [finalist.trial, *(f"{finalist.trial}/seed-{seed}" for seed in range(1, SEEDS))]
        runs = [mlflow_runs.run_of(tag, tag, parent) for tag in tags]
        errors = {run: mlflow_runs.recorded(run).data.metrics["mae"] for run in runs}
        best = min(errors, key=lambda run: errors[run])
        judged.append(
            {
                "run_id": best,
                "recipe": finalist.recipe,
                "sample": finalist.sample,
                "mean": mean(errors.values()),
                "spread": stdev(errors.values()),
                "seeds": len(errors),
            }
        )
    return min(judged, key=lambda entry: entry["mean"])


def _train_seed(sample: Sample, recipe: Recipe) -> tuple[list[dict[str, float]], dict[str, Any], dict[str, bytes]]:
    from xpfeh.training.train import train

    history: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        card = train(sample, recipe, folder, lambda step, numbers: history.append({**numbers, "step": step}))
        return history, card, packed(folder)


def _record(
    run: str, recipe: Recipe, history: list[dict[str, float]], card: dict[str, Any], files: dict[str, bytes]
) -> None:
    with unpacked(files) as folder:
        mlflow_runs.log(run, recipe.model_dump(), history, {})
        mlflow_runs.finish(run, folder, card)
