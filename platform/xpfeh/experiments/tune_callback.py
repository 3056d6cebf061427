"""What happens in a search, as MLflow runs: one for every trial, under the search's own."""

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
from xpfeh.experiments.space import METRIC, recipe_of
from xpfeh.files import exists
from xpfeh.inference.bundle import read_card


class Recorder(Callback):
    """Shows a progress bar, and writes each trial to its MLflow run.

    The driver alone writes, one thing after the other in a thread of its own: a search goes on while the tracking
    server is slow or away.
    """

    def __init__(self, search: str, parent: str, steps: int) -> None:
        self._search, self._parent, self._steps = search, parent, steps
        self._best = float("inf")

    def setup(self, total_num_samples: int | None = None, **info: Any) -> None:
        """Show the bar as the search begins, or goes on."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("trials"))
        self._bar = Progress(*columns, TimeElapsedColumn())
        self._task = self._bar.add_task("tune", total=total_num_samples)
        self._bar.start()
        self._writer = ThreadPoolExecutor(1)
        self._last: Future[None] = self._writer.submit(lambda: None)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record a trial's latest validation error."""
        self._write(self._record_error, trial, result["step"], result[METRIC])
        if result[METRIC] < self._best:
            self._best = result[METRIC]
            self._bar.update(self._task, description=f"tune, best MAE {self._best:.3f} dex")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a trial that has finished, or was stopped early."""
        self._write(self._record_end, trial)
        self._show(trials)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a failed trial as failed."""
        self._write(self._record_end, trial)
        self._show(trials)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Wait until all is recorded, what a killed driver had left unrecorded too, and drop runs of trials it lost."""
        self._show(trials)
        self._bar.stop()
        with suppress(UnreachableError):  # what could not be written then is written now
            self._last.result()
        try:
            self._complete(trials)
        except UnreachableError as error:
            told = f"{error}; nothing is lost, go on with --resume {self._search} when it is back"
            raise UnreachableError(told) from error

    def _complete(self, trials: list[Any]) -> None:
        runs = mlflow_runs.children(self._parent)
        for trial in trials:
            known = runs.pop(self._tag(trial), None)
            if (status := _status(trial)) != "RUNNING" and (known is None or known.status != status):
                mlflow_runs.log(self._run(trial), {}, _history(trial), {})
                self._record_end(trial)
        mine = {self._tag(trial) for trial in trials}
        for tag, run in runs.items():
            if mine and run.status == "RUNNING" and "/".join(tag.split("/")[:2]) not in mine:
                mlflow_runs.discard(run.run_id)

    def _show(self, trials: list[Any]) -> None:
        self._bar.update(self._task, completed=sum(_status(trial) != "RUNNING" for trial in trials))

    def _write(self, deed: Callable[..., None], *what: Any) -> None:
        """Do it after what came before, and not at all if that could not be done."""
        before = self._last

        def then() -> None:
            before.result()
            deed(*what)

        self._last = self._writer.submit(then)

    def _record_error(self, trial: Any, step: int, error: float) -> None:
        mlflow_runs.log(self._run(trial), {}, [{"step": step, METRIC: error}], {})

    def _record_end(self, trial: Any) -> None:
        run = self._run(trial)
        mlflow_runs.log(run, recipe_of(trial.config, self._steps).model_dump(), [], {"search": self._search})
        if (status := _status(trial)) == "FINISHED":
            with trial.checkpoint.as_directory() as bundle:
                mlflow_runs.finish(run, bundle, read_card(bundle))
        else:
            mlflow_runs.close(run, status)

    def _run(self, trial: Any) -> str:
        return mlflow_runs.run_of(self._tag(trial), f"{self._search}-{trial.trial_id}", self._parent)

    def _tag(self, trial: Any) -> str:
        return f"{self._search}/{trial.trial_id}"


def _status(trial: Any) -> str:
    """Return the status for MLflow; an interrupted trial is running still, Ray Tune goes on with it too."""
    if trial.status == Trial.ERROR:
        return "FAILED"
    if not trial.last_result.get("done"):
        return "RUNNING"
    return "FINISHED" if trial.checkpoint is not None else "KILLED"


def _history(trial: Any) -> list[dict[str, float]]:
    """Return what the trial has reported, from Ray Tune's own file."""
    fs, path = trial.storage.storage_filesystem, f"{trial.path}/result.json"
    if not exists(fs, path):
        return []
    with fs.open_input_stream(path) as file:
        reported = [json.loads(line) for line in file.read().splitlines()]
    return [{"step": each["step"], METRIC: each[METRIC]} for each in reported if METRIC in each]
