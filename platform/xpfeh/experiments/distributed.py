"""Training shared out over the workers of a cluster by Ray Train: each has a part of the stars."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
from numpy.typing import NDArray
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from rich.console import Console

from xpfeh.cluster.connection import connect, own_interrupts
from xpfeh.errors import UserError
from xpfeh.inference.bundle import copy_bundle, packed, unpacked
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe

Outcome = tuple[list[dict[str, float]], dict[str, bytes]]
"""The history of the first worker, and the files of the bundle."""


def train_distributed(
    sample: Sample, recipe: Recipe, out: str | Path, workers: int
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """Train `recipe` with `workers` processes, write the bundle at `out`, return the first one's history and the card.

    Raises
    ------
    UserError
        If the cluster has fewer CPUs than workers.
    """
    cpus = connect()
    if workers > cpus:
        raise UserError(f"{workers} workers need as many CPUs; this cluster has {cpus}")
    meeting = ray.remote(_Meeting).options(num_cpus=0, max_concurrency=2 * workers).remote(workers)
    with tempfile.TemporaryDirectory() as storage:
        trainer = DataParallelTrainer(
            _work,
            train_loop_config={"sample": ray.put(sample), "recipe": recipe.model_dump(), "meeting": meeting},
            scaling_config=ray.train.ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 1}),
            run_config=ray.train.RunConfig(name="train", storage_path=storage),
        )
        with own_interrupts(), Console().status(f"{recipe.name}: {workers} workers train {recipe.steps} steps"):
            trainer.fit()
    history, files = ray.get(meeting.outcome.remote())
    with unpacked(files) as folder:
        return history, copy_bundle(folder, out)


class _Meeting:
    """An actor in which a team takes the mean of its arrays, waiting for each other, and leaves what came of it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._brought: list[list[NDArray]] = []
        self._mean: asyncio.Future[list[NDArray]] | None = None
        self._outcome: Outcome | None = None

    async def leave(self, outcome: Outcome) -> None:
        self._outcome = outcome

    async def outcome(self) -> Outcome | None:
        return self._outcome

    async def mean(self, arrays: list[NDArray]) -> list[NDArray]:
        if self._mean is None:
            self._mean = asyncio.get_running_loop().create_future()
        mean = self._mean
        self._brought.append(arrays)
        if len(self._brought) == self._size:
            mean.set_result([np.mean(same, axis=0) for same in zip(*self._brought, strict=True)])
            self._brought, self._mean = [], None
        return await mean


def _work(config: dict[str, Any]) -> None:
    from xpfeh.training.fit import Team
    from xpfeh.training.train import train

    context = ray.train.get_context()
    rank = context.get_world_rank()
    team = Team(rank, context.get_world_size(), lambda arrays: ray.get(config["meeting"].mean.remote(arrays)))
    history: list[dict[str, float]] = []

    def remember(step: int, numbers: dict[str, float]) -> None:
        history.append({**numbers, "step": step})

    with tempfile.TemporaryDirectory() as folder:
        train(ray.get(config["sample"]), Recipe.of(config["recipe"]), folder, remember, team)
        if rank == 0:  # not as Ray's checkpoint: without a common disk that has no place to go
            ray.get(config["meeting"].leave.remote((history, packed(folder))))
