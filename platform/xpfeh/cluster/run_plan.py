"""Ray Data runs the shards of a plan; the dataset knows which are left and records what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypedDict

import ray.data
from ray.data import ActorPoolStrategy
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xpfeh.cluster.connection import ONE_CORE, connect
from xpfeh.cluster.meters import PlanMeters
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery, Record
from xpfeh.errors import UserError
from xpfeh.files import absolute
from xpfeh.lease import LOST_S, only_one

ShardWork = Callable[[Shard], Iterable[Delivery]]
"""Makes a shard's rows in batches; built once in each worker process."""

MAX_WORKERS = 128
"""Enough for most clusters."""
_GATHER_EVERY = 1000  # parts: `xpfeh status` then reads fewer records one by one


class _Outcome(TypedDict):
    """The outcome of a shard: the stars written, or in one line why it failed."""

    rows: int
    failure: str


class _Worker:
    """An actor of the pool: makes a shard's rows and commits them."""

    def __init__(self, uri: str, make_work: Callable[[], ShardWork]) -> None:
        self._dataset = Dataset.at(uri)
        self._make_work = make_work
        self._work: ShardWork | None = None
        self._meters = PlanMeters(self._dataset.plan)

    def __call__(self, row: Mapping[str, object]) -> _Outcome:
        shard = Shard.model_validate(row["shard"])
        try:
            if self._work is None:  # not sooner: so a node that cannot read the input records a failure
                self._work = self._make_work()
            record = self._dataset.commit(shard, self._work(shard))
            self._meters.done(record)
            return {"rows": record.rows_written, "failure": ""}
        except Exception as error:  # of any kind: it is recorded, and the other shards continue
            failure = self._dataset.fail(shard, error)
            self._meters.failed(failure)
            return {"rows": 0, "failure": failure.reason}


def run_plan(
    uri: str | Path, plan: Plan, make_work: Callable[[], ShardWork], max_workers: int = MAX_WORKERS
) -> list[Record]:
    """Run what is left of a plan, with a progress bar, and return the records of all its shards.

    Parameters
    ----------
    uri : str or Path
        The output folder.
    plan : Plan
    make_work : callable
        Called once in each worker; returns the function that makes a shard's rows.
    max_workers : int
        Maximum number of workers, of one core each: Ray Data starts with the available cores, requests more from an
        autoscaling cluster, and uses nodes that join later.

    Raises
    ------
    UserError
        If shards could not be made; the others are finished first, and each failure is recorded. Or if another process
        works on the same folder.
    """
    dataset = Dataset.begin(uri, plan)
    with only_one(uri, patience_s=LOST_S + 1):  # a run that was killed on another machine still holds its lease
        if pending := dataset.pending():
            failures = _run(dataset, absolute(uri), pending, make_work, max_workers)
            if failures:
                more = f" (and {len(failures) - 1} more: xpfeh failed {uri})" if len(failures) > 1 else ""
                raise UserError(f"{failures[0]}{more}; the other parts are done; rerun once it is fixed")
        dataset.clear()
        dataset.gather_records()
        return dataset.records()


def _run(
    dataset: Dataset, uri: str, pending: list[Shard], make_work: Callable[[], ShardWork], max_workers: int
) -> list[str]:
    """Make the shards on the cluster and return the reasons of those that failed."""
    connect()
    most = min(max_workers, len(pending))
    # No more at the start than fit: actors that wait for a lost node are slow to come back.
    first = min(most, ONE_CORE.fit_now())
    shards = ray.data.from_items([{"shard": shard.model_dump()} for shard in pending], override_num_blocks=len(pending))
    done = shards.map(
        _Worker,
        fn_constructor_args=(uri, make_work),
        compute=ActorPoolStrategy(min_size=1, max_size=most, initial_size=first),
        num_cpus=1,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("parts"))
    speed = TextColumn("{task.fields[stars]:,} stars, {task.fields[rate]:,.0f} per second")
    failures: list[str] = []
    stars = 0
    with Progress(*columns, speed, TimeRemainingColumn()) as bar:
        total = len(dataset.plan.shards)
        task = bar.add_task(dataset.plan.kind, total=total, completed=total - len(pending), stars=0, rate=0)
        for row in done.iter_rows():
            if row["failure"]:
                failures.append(row["failure"])
                continue
            stars += row["rows"]
            bar.update(task, advance=1, stars=stars, rate=stars / (bar.tasks[task].elapsed or 1))
            if bar.tasks[task].completed % _GATHER_EVERY == 0:
                dataset.gather_records()
    return failures
