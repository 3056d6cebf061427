"""Train one model outside a search, and record it as a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xpfeh.cluster.connection import ONE_CORE, Share
from xpfeh.cluster.members import fit_on_workers
from xpfeh.experiments import mlflow_runs
from xpfeh.files import check_output_folder
from xpfeh.inference.bundle import CARD
from xpfeh.inference.card import ModelCard
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe
from xpfeh.training.fit import Report, fit_members
from xpfeh.training.train import train


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
    sample : Sample
    recipe : Recipe
    out : str or Path
    workers : int
        1 trains here; more train the members of an ensemble on the cluster, so many at a time.
    share : Share
        What each worker gets.

    Raises
    ------
    UserError
        As `xpfeh.training.train.train`, and if the tracking server cannot be reached.
    """
    check_output_folder(out, mark=CARD)
    mlflow_runs.experiment_id()  # a tracking server that does not answer is noticed now, not after the training
    curve = LearningCurve(recipe)
    with curve.progress_bar() as report:
        card = train(sample, recipe, out, report, fit_members if workers == 1 else fit_on_workers(workers, share))
    run_id = mlflow_runs.run_of(f"{card.version}/{recipe.fingerprint()}", card.version)
    mlflow_runs.log(run_id, params=recipe.model_dump(), history=curve.history)
    mlflow_runs.finish(run_id, out, card)
    return Trained(run_id, card)


def record_ensemble(sample: Sample, recipe: Recipe, members: int, workers: int = 1, share: Share = ONE_CORE) -> Trained:
    """Train a searched recipe as a cross-fitted ensemble and record it in MLflow.

    One network's errors are calibrated on the validation stars alone, and one tenth of the sky is not like another:
    a candidate for champion is calibrated on all of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        together = recipe.model_copy(update={"members": members, "cross_fit": True})
        return train_and_record(sample, together, Path(folder) / "bundle", workers, share)


class LearningCurve:
    """What the members of an ensemble report while they are trained, as a progress bar and for MLflow."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        # By step and member: the report of a member that is started afresh takes the place of its earlier one.
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
