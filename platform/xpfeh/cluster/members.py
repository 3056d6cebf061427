"""Members of an ensemble trained in parallel on the workers of a cluster.

Members do not communicate, so each is a Ray task and not a rank of a Ray Train group: a lost worker costs only its
member, results need no shared disk, and pending tasks make an autoscaling cluster grow.
"""

from __future__ import annotations

import gc
import uuid
from typing import Any

import ray

from xpfeh.cluster.connection import ONE_CORE, Share, connect, result_of
from xpfeh.settings import Recipe
from xpfeh.training.fit import Columns, FitMembers, Member, Report, Roles, Trainer

_RETRIES = 3  # of a member whose worker or node is lost


def fit_on_workers(workers: int, share: Share = ONE_CORE) -> FitMembers:
    """Return a function that trains the members of a recipe on a cluster, `workers` at a time.

    On machines of the same kind the weights equal those of a single process to the bit.

    Parameters
    ----------
    workers : int
    share : Share
        What each worker gets.

    Raises
    ------
    UserError
        When the function is called: as in training, or if a worker does not fit on this machine.
    """

    def fit(stars: Columns, roles: Roles, recipe: Recipe, progress: Report | None = None) -> list[Member]:
        connect()
        share.fit_now()
        task = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_retries=_RETRIES)(_train_member)
        shared, call = ray.put((dict(stars), roles)), uuid.uuid4().hex
        waiting: dict[Any, int] = {}
        trained: dict[int, Member] = {}
        untrained = list(range(recipe.members))
        while untrained or waiting:
            while untrained and len(waiting) < workers:
                member = untrained.pop(0)
                waiting[task.remote(shared, call, recipe, member)] = member
            (done,), _ = ray.wait(list(waiting))
            member = waiting.pop(done)
            trained[member] = result_of(done)
            if progress:
                for numbers in trained[member].history:
                    progress(member, int(numbers["step"]), numbers)
        return [trained[member] for member in range(recipe.members)]

    return fit


def _train_member(shared: tuple[Columns, Roles], call: str, recipe: Recipe, member: int) -> Member:
    if call not in _trainers:
        _trainers.clear()
        gc.collect()  # compiled programs refer to themselves, and would keep the spectra in Ray's store
        _trainers[call] = Trainer(*shared, recipe)
    return _trainers[call].train(member)


_trainers: dict[str, Trainer] = {}
"""In a worker: the last call's, since compiling takes as long as 2,000 steps."""
