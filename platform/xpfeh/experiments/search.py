"""Ray Tune searches UA-CSNet's hyperparameters; every trial is one MLflow run under the search's run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Checkpoint, CheckpointConfig
from ray.tune.schedulers import ASHAScheduler

from xpfeh.cluster.connection import ONE_CORE, Share, connect, own_interrupts
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.finalists import FOLDS, BestTrial, Winner, decide
from xpfeh.experiments.space import METRIC, SPACE, recipe_of, sampler
from xpfeh.experiments.tune_callback import RunWriter, SearchProgress
from xpfeh.files import absolute, check_output_file, filesystem, list_files
from xpfeh.labels.sample import Sample
from xpfeh.lease import only_one
from xpfeh.settings import check_name

_RETRIES = 3  # of a trial whose worker or node is lost


@dataclass(frozen=True)
class Outcome:
    """The result of a search: its winner, the number of trials, and how many failed."""

    winner: Winner
    trials: int
    failed: int


def search(
    samples: Sequence[Sample],
    name: str,
    trials: int,
    steps: int,
    storage: str | Path,
    share: Share = ONE_CORE,
    resume: bool = False,
    finalists: int = 3,
    members: int = 10,
    max_workers: int | None = None,
) -> Outcome:
    """Search hyperparameters, train the finalists as ensembles, and return the best.

    Parameters
    ----------
    samples : sequence of Sample
        The same labelled stars from one or more features datasets (with different corrections, say), which are searched
        over too; trials train on "train" and are judged on "validation".
    name : str
        The search's name: its folder under `storage`, and the prefix of its trials' tags in MLflow.
    trials, steps : int
        How many trials, and optimiser steps of a trial that is not stopped early.
    storage : str or Path
        Folder or URI for Ray Tune's state and the bundles.
    share : Share
    resume : bool
        Resume the search of that name; finished trials are not repeated.
    finalists : int
        Number of best trials that are trained as ensembles; their cross-validated error decides.
    members : int
        Networks of such an ensemble.
    max_workers : int, optional
        Maximum concurrent trials; those without a core wait, for which an autoscaling cluster grows. By default as many
        as the cluster's current cores or, if trials use them, GPUs: trials that start together cannot learn from each
        other.

    Raises
    ------
    UserError
        If the search to resume does not exist or was started with other data or settings, a new one's name is taken or
        invalid, another process runs it, it is interrupted, no trial finished, or the tracking server cannot be
        reached; what was not recorded then is recorded when the search is resumed.
    """
    check_name("--name", name)
    if members % FOLDS or members < 2 * FOLDS:
        raise UserError(
            f"--members {members}: at least two networks must leave out each of the {FOLDS} parts of the sky; "
            f"give {2 * FOLDS}, {3 * FOLDS}, ..."
        )
    storage = absolute(storage)
    folder = f"{storage}/{name}"
    _check_storage(folder)
    if resume and not tune.Tuner.can_restore(folder):
        raise UserError(f"{folder}: no such search to resume")
    with only_one(folder):
        if not resume and tune.Tuner.can_restore(folder):
            raise UserError(f"{folder}: a search of that name exists; use --resume, or another name")
        parent = _run_of_search(name, {"trials": str(trials), "steps": str(steps), **_data(samples)}, resume)
        tuner = _tuner(samples, name, trials, steps, storage, share, parent, max_workers)
        with own_interrupts():
            results = tuner.fit()
        if len(results) < trials or any(result.error is None and not result.metrics.get("done") for result in results):
            raise UserError(f"search {name} was interrupted; continue with --resume {name}")
        winner = decide(_best(results, name, steps, finalists), samples, parent, members, share)
        mlflow_runs.close(parent)
    return Outcome(winner, trials=len(results), failed=results.num_errors)


def _tuner(
    samples: Sequence[Sample],
    name: str,
    trials: int,
    steps: int,
    storage: str,
    share: Share,
    parent: str,
    max_workers: int | None,
) -> tune.Tuner:
    """Return the saved search, or a new one."""
    connect()
    fitting = share.fit_now()
    trainable = tune.with_resources(
        tune.with_parameters(_trial, samples=list(samples), steps=steps), {"cpu": share.cpus, "gpu": share.gpus}
    )
    if _has_state(f"{storage}/{name}"):
        return tune.Tuner.restore(f"{storage}/{name}", trainable, resume_errored=True)
    return tune.Tuner(
        trainable,
        param_space={**SPACE, "features": tune.choice(list(range(len(samples))))},
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="min",
            num_samples=trials,
            max_concurrent_trials=max_workers or fitting,
            search_alg=sampler(),
            scheduler=ASHAScheduler(time_attr="step", max_t=steps, grace_period=max(1, steps // 4)),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage,
            callbacks=[SearchProgress(), RunWriter(name, parent, steps)],
            # With it Ray Tune saves the search's state at each checkpoint, not every 10 s.
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            failure_config=tune.FailureConfig(max_failures=_RETRIES),
            verbose=0,
        ),
    )


def _best(results: tune.ResultGrid, name: str, steps: int, n: int) -> list[BestTrial]:
    """Return the `n` best of the finished trials."""
    done = [r for r in results if r.checkpoint is not None and METRIC in r.metrics]
    if not done:
        first = next(result.error for result in results if result.error is not None)
        reason = str(getattr(first, "cause", None) or first).splitlines()[0]
        raise UserError(f"search {name}: no trial finished; the first error: {reason}")
    return [
        BestTrial(f"{name}/{result.metrics['trial_id']}", recipe_of(result.config, steps), result.config["features"])
        for result in sorted(done, key=lambda result: result.metrics[METRIC])[:n]
    ]


def _trial(config: Mapping[str, Any], samples: list[Sample], steps: int) -> None:
    from xpfeh.training.train import train

    def report(member: int, step: int, numbers: dict[str, float]) -> None:
        if step < steps:
            tune.report({"step": step, METRIC: numbers[METRIC]})

    with tempfile.TemporaryDirectory() as folder:
        card = train(samples[config["features"]], recipe_of(config, steps), folder, report)
        last = {"step": steps, METRIC: card.validation["mae"]}
        tune.report(last, checkpoint=Checkpoint.from_directory(folder))


def _data(samples: Sequence[Sample]) -> dict[str, str]:
    """Return the fingerprints of the training data."""
    first = samples[0].origin
    features = " ".join(sample.origin.features for sample in samples)
    on_disk = str(first.spectra_on_disk)
    return {
        "features": features,
        "labels_sha256": first.labels_sha256,
        "split": first.split.salt,
        "spectra_on_disk": on_disk,
    }


def _run_of_search(name: str, given: dict[str, str], resume: bool) -> str:
    """Return the search's own run: a new one, or the existing one if it was started with the same data and settings."""
    mlflow_runs.experiment_id()  # without retries: nothing would be lost yet
    run = mlflow_runs.find_run(name)
    if run is None and resume:
        raise UserError(f"search {name!r} is not recorded in MLflow; is MLFLOW_TRACKING_URI the same as at its start?")
    if run is not None and not resume and mlflow_runs.children(run):  # otherwise it was killed before its first trial
        raise UserError(f"a search {name!r} is already recorded in MLflow; choose another --name")
    run = run or mlflow_runs.run_of(name, name)
    begun = mlflow_runs.get(run).data.params
    if differences := [
        f"{what} {value} (given: {given[what]})" for what, value in begun.items() if given[what] != value
    ]:
        raise UserError(
            f"search {name} was started with {', '.join(differences)}; continue with the same (spectra_on_disk: the "
            "same --memory), or choose another --name"
        )
    if not begun:
        mlflow_runs.log(run, params=given)
    return run


def _check_storage(folder: str) -> None:
    """Refuse a folder that cannot hold the search's state, before its run is recorded."""
    fs, path = filesystem(folder)  # raises if a bucket cannot be reached
    if fs.type_name == "local":
        check_output_file(f"{path}/state")


def _has_state(folder: str) -> bool:
    """Return whether Ray Tune can resume; a driver killed at its very start leaves nothing to resume."""
    fs, path = filesystem(folder)
    return any(Path(each).name.startswith("experiment_state") for each in list_files(fs, path, ".json"))
