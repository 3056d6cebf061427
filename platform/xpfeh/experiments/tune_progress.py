"""A search's progress bar: the number of finished trials, and the best error so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from xpfeh.experiments.space import METRIC
from xpfeh.experiments.tune_callback import status_of


class SearchProgress(Callback):
    """Shows a bar while Ray Tune runs."""

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

    def _count(self, trials: Sequence[Trial]) -> None:
        self._bar.update(self._task, completed=sum(status_of(trial) != "RUNNING" for trial in trials))
