"""Reports of an ensemble's members during training, as a progress bar and a history for MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import mean

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xpfeh.settings import Recipe
from xpfeh.training.fit import Report


class LearningCurve:
    """The reports of the members of an ensemble."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        # By step and member: a restarted member's reports replace its earlier ones.
        self._reports: dict[int, dict[int, dict[str, float]]] = {}
        self._steps: dict[int, int] = {}

    @property
    def history(self) -> list[dict[str, float]]:
        """The mean numbers of the members by ``step``, in the order of the steps."""
        return [{"step": step} | _means(list(reports.values())) for step, reports in sorted(self._reports.items())]

    @contextmanager
    def progress_bar(self) -> Iterator[Report]:
        """Show the optimiser steps of all members as one bar."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
        with Progress(*columns, TimeRemainingColumn()) as bar:
            task = bar.add_task(self._recipe.name, total=self._recipe.steps * self._recipe.members)

            def report(member: int, step: int, numbers: dict[str, float]) -> None:
                self._steps[member] = step
                self._reports.setdefault(step, {})[member] = numbers
                text = f"{self._recipe.name}, MAE {numbers['validation_mae']:.3f} dex"
                bar.update(task, completed=sum(self._steps.values()), description=text)

            yield report


def _means(reports: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: mean(report[name] for report in reports) for name in reports[0]}
