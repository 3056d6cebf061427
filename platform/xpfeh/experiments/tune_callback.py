"""What a search reports while it runs: an MLflow run for every trial, under the search's run, and a progress bar."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.mlflow_retries import UnreachableError
from xpfeh.experiments.mlflow_runs import ENSEMBLE
from xpfeh.experiments.space import METRIC, recipe_of
from xpfeh.files import exists
from xpfeh.inference.bundle import read_card


class RunWriter(Callback):
    """Writes each trial to its MLflow run.

    Only the driver writes, in order, in a separate thread: the search continues while the tracking server is slow or
    cannot be reached.
    """

    def __init__(self, search: str, parent: str, steps: int) -> None:
        self._search, self._parent, self._steps = search, parent, steps

    def setup(self, **info: Any) -> None:
        """Start the writing thread when the search starts or resumes."""
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] = self._thread.submit(lambda: None)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Write a trial's latest validation error."""
        self._later(self._write_error, trial, result["step"], result[METRIC])

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Close the run of a trial that has finished, or was stopped early."""
        self._later(self._write_end, trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Close the run of a failed trial as failed."""
        self._later(self._write_end, trial)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Wait until all is written, also what a killed driver left unwritten, and drop runs of trials it lost."""
        with suppress(UnreachableError):  # what could not be written then is written below
            self._last.result()
        self._thread.shutdown()
        try:
            self._complete(trials)
        except UnreachableError as error:
            raise UnreachableError(
                f"{error}; nothing is lost, continue with --resume {self._search} when it is back"
            ) from error

    def _complete(self, trials: list[Trial]) -> None:
        runs = mlflow_runs.children(self._parent)
        for trial in trials:
            known = runs.pop(self._tag(trial), None)
            if (status := status_of(trial)) != "RUNNING" and (known is None or known.status != status):
                mlflow_runs.log(self._run(trial), history=_history(trial))
                self._write_end(trial)
        # A trial that Ray Tune had not saved when its driver was killed restarts under another name.
        saved = {self._tag(trial) for trial in trials}
        for tag, run in runs.items():
            if saved and run.status == "RUNNING" and tag.removesuffix(ENSEMBLE) not in saved:
                mlflow_runs.discard(run.run_id)

    def _later(self, write: Callable[..., None], *what: Any) -> None:
        """Queue a write after the earlier ones, and skip it if one of those failed."""
        before = self._last

        def in_order() -> None:
            before.result()
            write(*what)

        self._last = self._thread.submit(in_order)

    def _write_error(self, trial: Trial, step: int, error: float) -> None:
        mlflow_runs.log(self._run(trial), history=[{"step": step, METRIC: error}])

    def _write_end(self, trial: Trial) -> None:
        run = self._run(trial)
        recipe = recipe_of(trial.config, self._steps)
        mlflow_runs.log(run, params=recipe.model_dump(), tags={"search": self._search})
        if (status := status_of(trial)) == "FINISHED":
            with trial.checkpoint.as_directory() as bundle:
                mlflow_runs.finish(run, bundle, read_card(bundle))
        else:
            mlflow_runs.close(run, status)

    def _run(self, trial: Trial) -> str:
        return mlflow_runs.run_of(self._tag(trial), f"{self._search}-{trial.trial_id}", self._parent)

    def _tag(self, trial: Trial) -> str:
        return f"{self._search}/{trial.trial_id}"


class SearchProgress(Callback):
    """Shows a bar while Ray Tune runs: the number of finished trials, and the best error so far."""

    def __init__(self) -> None:
        self._best = float("inf")

    def setup(self, total_num_samples: int | None = None, **info: Any) -> None:
        """Show the bar when the search starts or resumes."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("trials"))
        self._bar = Progress(*columns, TimeElapsedColumn())
        self._task = self._bar.add_task("tune", total=total_num_samples)
        self._bar.start()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Show the best error so far."""
        if result[METRIC] < self._best:
            self._best = result[METRIC]
            self._bar.update(self._task, description=f"tune, best MAE {self._best:.3f} dex")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Count a trial that has finished, or was stopped early."""
        self._count(trials)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Count a trial that has failed."""
        self._count(trials)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Stop the bar."""
        self._count(trials)
        self._bar.stop()

    def _count(self, trials: list[Trial]) -> None:
        self._bar.update(self._task, completed=sum(status_of(trial) != "RUNNING" for trial in trials))


def status_of(trial: Trial) -> str:
    """Return the status for MLflow; an interrupted trial still counts as running, since Ray Tune resumes it."""
    if trial.status == Trial.ERROR:
        return "FAILED"
    if not trial.last_result.get("done"):
        return "RUNNING"
    return "FINISHED" if trial.checkpoint is not None else "KILLED"


def _history(trial: Trial) -> list[dict[str, float]]:
    """Return what the trial has reported, from Ray Tune's own file."""
    fs, path = trial.storage.storage_filesystem, f"{trial.path}/result.json"
    if not exists(fs, path):
        return []
    with fs.open_input_stream(path) as file:
        reported = [json.loads(line) for line in file.read().splitlines()]
    return [{"step": each["step"], METRIC: each[METRIC]} for each in reported if METRIC in each]
