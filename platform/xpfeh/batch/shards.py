"""Ray Data runs the shards of a plan; the ledger says which are left and records what is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray.data
from ray.data import ActorPoolStrategy
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xpfeh.batch.cluster import connect
from xpfeh.batch.ledger import Ledger, Plan, Record, Shard

ShardWork = Callable[[Shard], pa.Table]
"""Makes a shard's rows; built once in each worker process."""


class _Worker:
    """An actor of the pool: makes a shard's rows and commits them."""

    def __init__(self, uri: str, plan: dict[str, Any], make_work: Callable[[], ShardWork]) -> None:
        self._ledger = Ledger(uri, Plan.model_validate(plan))
        self._work = make_work()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        shard = Shard.model_validate(row["shard"])
        begun = time.perf_counter()
        table = self._work(shard)
        return {"rows": self._ledger.commit(shard, table, time.perf_counter() - begun).rows_written}


def run_plan(uri: str | Path, plan: Plan, make_work: Callable[[], ShardWork]) -> list[Record]:
    """Run what is left of a plan, with a progress bar, and return the records of all its shards.

    Parameters
    ----------
    uri : str or Path
        The output folder.
    plan : Plan
    make_work : callable
        Called once in each worker; returns the function that makes a shard's rows.
    """
    ledger = Ledger.open(uri, plan)
    pending = ledger.pending()
    if pending:
        workers = min(connect(), len(pending))
        shards = ray.data.from_items([{"shard": s.model_dump()} for s in pending], override_num_blocks=len(pending))
        done = shards.map(
            _Worker,
            fn_constructor_args=(str(uri), ledger.plan.model_dump(), make_work),
            compute=ActorPoolStrategy(size=workers),
            num_cpus=1,
        )
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("stars"))
        with Progress(*columns, TimeRemainingColumn()) as bar:
            task = bar.add_task(plan.kind, total=sum(s.rows for s in plan.shards))
            bar.advance(task, sum(s.rows for s in plan.shards) - sum(s.rows for s in pending))
            for row in done.iter_rows():
                bar.advance(task, row["rows"])
    return ledger.records()
