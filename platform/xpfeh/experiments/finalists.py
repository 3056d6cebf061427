"""The best trials of a search, trained again with other seeds: the mean decides, not one lucky draw."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import ray
from rich.progress import track

from xpfeh.cluster.connection import Share, result_of
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.mlflow_retries import UnreachableError
from xpfeh.inference.bundle import packed, read_card, unpacked
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe

SEEDS = 3
"""Trainings of a finalist, its trial among them."""


@dataclass(frozen=True)
class Finalist:
    """A trial that goes on: its tag in MLflow, its recipe, and which of the samples it was trained on."""

    trial: str
    recipe: Recipe
    sample: int


@dataclass(frozen=True)
class Winner:
    """The best finalist.

    Attributes
    ----------
    run_id : str
        MLflow run of its best seed.
    recipe : Recipe
    sample : int
        Which of the samples it was trained on.
    mean, spread : float
        Mean and standard deviation of its validation MAE over its seeds, dex.
    seeds : int
    """

    run_id: str
    recipe: Recipe
    sample: int
    mean: float
    spread: float
    seeds: int


@dataclass(frozen=True)
class _Seed:
    """A training that a worker has finished: its learning curve and the files of its bundle."""

    history: list[dict[str, float]]
    bundle: dict[str, bytes]


def decide(finalists: Sequence[Finalist], samples: Sequence[Sample], parent: str, share: Share) -> Winner:
    """Train every finalist with further seeds; return the best by the mean over its seeds.

    A seed that an earlier, interrupted call has finished is not trained again. A finalist that cannot be trained with
    another seed is out.

    Raises
    ------
    UserError
        If no finalist could be trained with other seeds.
    """
    stored = [ray.put(sample) for sample in samples]
    train = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus)(_train_seed)
    waiting = {}
    for finalist in finalists:
        for seed in range(1, SEEDS):
            run = mlflow_runs.run_of(_tag(finalist, seed), f"{finalist.trial}-seed-{seed}", parent)
            if mlflow_runs.get(run).info.status != "FINISHED":
                recipe = finalist.recipe.model_copy(update={"seed": finalist.recipe.seed + seed})
                waiting[train.remote(stored[finalist.sample], recipe)] = (finalist, run, recipe)
    pending, out = list(waiting), dict[str, UserError]()
    for _ in track(range(len(pending)), description="finalists"):
        (done,), pending = ray.wait(pending)
        finalist, run, recipe = waiting[done]
        try:
            _record(run, recipe, result_of(done))
        except UnreachableError:
            raise
        except UserError as error:
            mlflow_runs.close(run, "FAILED")
            out[finalist.trial] = error
    left = [finalist for finalist in finalists if finalist.trial not in out]
    if not left:
        raise UserError(f"no finalist could be trained with other seeds; the first: {next(iter(out.values()))}")
    return min((_judged(finalist, parent) for finalist in left), key=lambda judged: judged.mean)


def _tag(finalist: Finalist, seed: int) -> str:
    return f"{finalist.trial}/seed-{seed}" if seed else finalist.trial


def _judged(finalist: Finalist, parent: str) -> Winner:
    runs = [mlflow_runs.run_of(tag, tag, parent) for tag in (_tag(finalist, seed) for seed in range(SEEDS))]
    errors = {run: mlflow_runs.get(run).data.metrics["mae"] for run in runs}
    return Winner(
        run_id=min(errors, key=lambda run: errors[run]),
        recipe=finalist.recipe,
        sample=finalist.sample,
        mean=mean(errors.values()),
        spread=stdev(errors.values()),
        seeds=len(errors),
    )


def _train_seed(sample: Sample, recipe: Recipe) -> _Seed:
    from xpfeh.training.train import train

    history: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        train(sample, recipe, folder, lambda _, step, numbers: history.append({**numbers, "step": step}))
        return _Seed(history, packed(folder))


def _record(run: str, recipe: Recipe, seed: _Seed) -> None:
    mlflow_runs.log(run, params=recipe.model_dump(), history=seed.history)
    with unpacked(seed.bundle) as folder:
        mlflow_runs.finish(run, folder, read_card(folder))
