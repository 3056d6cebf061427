"""Training with a progress bar; the reports of the members become a history for MLflow."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xpfeh.cluster.connection import ONE_CORE, Share
from xpfeh.cluster.members import fit_on_workers
from xpfeh.inference.card import ModelCard
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe
from xpfeh.training.fit import fit_members
from xpfeh.training.train import train

History = list[dict[str, float]]


def train_with_progress(
    sample: Sample, recipe: Recipe, out: str | Path, workers: int = 1, share: Share = ONE_CORE
) -> tuple[ModelCard, History]:
    """Train as `xpfeh.training.train.train`, and show the optimiser steps of all members as one bar.

    Parameters
    ----------
    sample : Sample
    recipe : Recipe
    out : str or Path
    workers : int
        1 trains here; more train that many members of an ensemble at a time on the cluster: the same bytes.
    share : Share
        Resources of each worker.

    Returns
    -------
    card : ModelCard
    history : list of dict
        The mean numbers of the members by ``step``, in the order of the steps.
    """
    # By step and member: a restarted member's reports replace its earlier ones.
    reports: dict[int, dict[int, dict[str, float]]] = {}
    steps: dict[int, int] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
    with Progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task(recipe.name, total=recipe.steps * recipe.members)

        def report(member: int, step: int, numbers: dict[str, float]) -> None:
            steps[member] = step
            reports.setdefault(step, {})[member] = numbers
            text = f"{recipe.name}, MAE {numbers['validation_mae']:.3f} dex"
            bar.update(task, completed=sum(steps.values()), description=text)

        card = train(sample, recipe, out, report, fit_members if workers == 1 else fit_on_workers(workers, share))
    return card, [{"step": step} | _means(list(of_step.values())) for step, of_step in sorted(reports.items())]


def _means(reports: History) -> dict[str, float]:
    return {name: mean(report[name] for report in reports) for name in reports[0]}
