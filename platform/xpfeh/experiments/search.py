"""Ray Tune searches UA-CSNet's hyperparameters; every trial is one MLflow run under the search's own."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from ray import tune
from ray.tune import Callback, Checkpoint, CheckpointConfig
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from xpfeh.batch.cluster import ONE_CORE, Share, connect
from xpfeh.errors import UserError
from xpfeh.experiments import tracking
from xpfeh.experiments.finalists import Finalist, decide
from xpfeh.labels.samples import Sample
from xpfeh.model.bundle import read_card
from xpfeh.settings import RECIPES, Recipe
from xpfeh.storage import absolute

METRIC = "validation_mae"
_RETRIES = 3

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new one prints tables however quiet it is told to be
optuna.logging.set_verbosity(optuna.logging.WARNING)
# Ray Tune warns of states saved in quick succession; a search saves its state whenever a trial finishes.
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")

SPACE: dict[str, Any] = {
    "hidden": tune.choice(["256,64", "128,64", "256,128", "128,128,64"]),
    "latent": tune.choice([16, 32]),
    "activation": tune.choice(["relu", "silu", "gelu"]),
    "inputs": tune.choice(["standardised", "log"]),
    "learning_rate": tune.loguniform(3e-4, 5e-3),
    "schedule": tune.choice(["constant", "cosine"]),
    "batch_size": tune.choice([128, 256, 512]),
    "stars": tune.choice(["paper", "wide"]),
    "noise": tune.uniform(0.0, 1.5),
    "faint": tune.choice([1.0, 12.0]),
    "beta_nll": tune.choice([0.0, 0.5]),
    "cost_gamma": tune.uniform(0.0, 0.7),
    "cost_bins": tune.choice(["10,15", "6,10", "15,24"]),
    "epsilon": tune.loguniform(5e-3, 5e-2),
    "l2": tune.loguniform(1e-7, 1e-4),
    "weight_decay": tune.loguniform(1e-5, 3e-2),
    "clip_norm": tune.choice([0.0, 1.0]),
}


def search(
    samples: Sequence[Sample],
    name: str,
    trials: int,
    steps: int,
    storage: str | Path,
    share: Share = ONE_CORE,
    resume: bool = False,
    finalists: int = 3,
) -> dict[str, Any]:
    """Search hyperparameters, train the finalists again with other seeds, and return the best run.

    Parameters
    ----------
    samples : sequence of Sample
        The same labelled stars by one or more features datasets (other pixel grids, say), which are searched over
        too; trials train on "train" and are judged on "validation".
    name : str
        The search's name: its folder under `storage`, and the beginning of its trials' tags in MLflow.
    trials, steps : int
        How many trials, and optimiser steps of a trial that is not stopped early.
    storage : str or Path
        Folder or URI for Ray Tune's state and the bundles.
    share : Share
    resume : bool
        Go on with the search of that name; finished trials are not run again.
    finalists : int
        So many of the best trials are trained with further seeds, and their mean decides.

    Raises
    ------
    UserError
        If the search to resume is not there, a new one's name is taken or no name, or every trial failed.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise UserError(f"--name {name}: a search is named by letters, digits, '_', '-' and '.'")
    storage = absolute(storage)
    folder = f"{storage}/{name}"
    known = tune.Tuner.can_restore(folder)
    if resume != known:
        told = (
            "there is no such search to resume"
            if resume
            else "a search of that name is there; use --resume, or another name"
        )
        raise UserError(f"{folder}: {told}")
    if not resume and tracking.known(name):
        raise UserError(f"a search {name!r} is recorded in MLflow already; choose another --name")
    cpus = connect()
    trainable = tune.with_resources(
        tune.with_parameters(_trial, samples=list(samples), steps=steps), {"cpu": share.cpus, "gpu": share.gpus}
    )
    parent = tracking.run_of(name, name)
    if known:
        tuner = tune.Tuner.restore(folder, trainable, resume_errored=True)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space={**SPACE, "features": tune.choice(list(range(len(samples))))},
            tune_config=tune.TuneConfig(
                metric=METRIC,
                mode="min",
                num_samples=trials,
                max_concurrent_trials=None if share.gpus else max(1, int(cpus / share.cpus)),
                search_alg=_sampler(),
                scheduler=ASHAScheduler(time_attr="step", max_t=steps, grace_period=max(1, steps // 4)),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=storage,
                callbacks=[_Recorder(name, parent, steps)],
                checkpoint_config=CheckpointConfig(num_to_keep=1),  # saves the search's state at each, not every 10 s
                failure_config=tune.FailureConfig(max_failures=_RETRIES),
                verbose=0,
            ),
        )
    results = tuner.fit()
    done = [r for r in results if r.checkpoint is not None and METRIC in (r.metrics or {})]
    if not done:
        raise UserError(f"search {name}: every trial failed; the first says: {results[0].error}")
    best = sorted(done, key=lambda result: result.metrics[METRIC])[:finalists]
    entries = [
        Finalist(f"{name}/{result.metrics['trial_id']}", recipe_of(result.config, steps), result.config["features"])
        for result in best
    ]
    winner = decide(entries, samples, parent, share)
    tracking.client().set_terminated(parent)
    return {"trials": len(results), **winner}


def recipe_of(config: dict[str, Any], steps: int) -> Recipe:
    """Return the recipe that a trial's parameters stand for, on the paper's other settings."""
    hidden = tuple(int(width) for width in config["hidden"].split(","))
    bins = tuple(int(count) for count in config["cost_bins"].split(","))
    given = {name: value for name, value in config.items() if name != "features"}
    told = {"hidden": hidden, "cost_bins": bins, "steps": steps, "name": "tuned"}
    return Recipe.of({**RECIPES["paper"].model_dump(), **given, **told})


def _trial(config: dict[str, Any], samples: list[Sample], steps: int) -> None:
    from xpfeh.model.train import train

    def report(step: int, numbers: dict[str, float]) -> None:
        if step < steps:
            tune.report({"step": step, METRIC: numbers[METRIC]})

    with tempfile.TemporaryDirectory() as folder:
        card = train(samples[config["features"]], recipe_of(config, steps), folder, report)
        last = {"step": steps, METRIC: card["validation"]["mae"]}
        tune.report(last, checkpoint=Checkpoint.from_directory(folder))


def _sampler() -> OptunaSearch:
    """Optuna's TPE, told to begin with the paper's own recipe and with a noise-augmented one."""
    paper = {
        "features": 0, "hidden": "256,64", "latent": 16, "activation": "relu", "inputs": "standardised",
        "learning_rate": 1e-3, "schedule": "constant", "batch_size": 512, "stars": "paper", "noise": 0.0, "faint": 1.0,
        "beta_nll": 0.0, "cost_gamma": 0.5, "cost_bins": "10,15", "epsilon": 0.02, "l2": 1e-5, "weight_decay": 1e-5,
        "clip_norm": 0.0,
    }  # fmt: skip
    robust = {
        **paper, "activation": "silu", "inputs": "log", "schedule": "cosine", "stars": "wide", "noise": 1.0,
        "faint": 12.0, "beta_nll": 0.5, "weight_decay": 1e-2, "clip_norm": 1.0,
    }  # fmt: skip
    return OptunaSearch(points_to_evaluate=[paper, robust], seed=0)


class _Recorder(Callback):
    """Writes each trial to its MLflow run, from the driver alone, and shows a progress bar."""

    def __init__(self, search: str, parent: str, steps: int) -> None:
        self._search, self._parent, self._steps = search, parent, steps
        self._best = float("inf")

    def setup(self, total_num_samples: int | None = None, **info: Any) -> None:
        """Show the bar as the search begins, or goes on."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("trials"))
        self._bar = Progress(*columns, TimeElapsedColumn())
        self._task = self._bar.add_task("tune", total=total_num_samples)
        self._bar.start()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record a trial's latest validation error."""
        tracking.log(self._run(trial), {}, [{"step": result["step"], METRIC: result[METRIC]}], {})
        if result[METRIC] < self._best:
            self._best = result[METRIC]
            self._bar.update(self._task, description=f"tune, best MAE {self._best:.3f} dex")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a finished trial's parameters, and its bundle unless it was stopped early."""
        run = self._run(trial)
        recipe = recipe_of(trial.config, self._steps)
        tracking.log(run, recipe.model_dump(), [], {"search": self._search})
        if trial.checkpoint is not None:
            with trial.checkpoint.as_directory() as bundle:
                tracking.finish(run, bundle, read_card(bundle))
        else:
            tracking.client().set_terminated(run, "KILLED")
        self._show(trials)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a failed trial as failed."""
        tracking.client().set_terminated(self._run(trial), "FAILED")
        self._show(trials)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Leave the bar as it stands, and no run of a trial that was lost with a killed driver."""
        self._show(trials)
        self._bar.stop()
        mine = {trial.trial_id for trial in trials}
        for tag, run in tracking.unfinished(self._parent).items():
            if tag.removeprefix(f"{self._search}/").partition("/")[0] not in mine:
                tracking.client().delete_run(run)

    def __getstate__(self) -> dict[str, Any]:
        """Ray Tune pickles its callbacks to resume; a bar belongs to one terminal."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_bar", "_task")}

    def _show(self, trials: list[Any]) -> None:
        self._bar.update(self._task, completed=sum(trial.is_finished() for trial in trials))

    def _run(self, trial: Any) -> str:
        return tracking.run_of(f"{self._search}/{trial.trial_id}", f"{self._search}-{trial.trial_id}", self._parent)
