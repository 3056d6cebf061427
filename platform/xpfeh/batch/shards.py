"""Ray Data runs the shards of a plan; the ledger says which are left and records what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ray.data
from ray.data import ActorPoolStrategy
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xpfeh.batch.cluster import connect
from xpfeh.batch.ledger import Delivery, Ledger, Plan, Record, Shard
from xpfeh.errors import UserError

ShardWork = Callable[[Shard], Iterable[Delivery]]
"""Makes a shard's rows, some at a time; built once in each worker process."""


class _Worker:
    """An actor of the pool: makes a shard's rows and commits them."""

    def __init__(self, uri: str, plan: dict[str, Any], make_work: Callable[[], ShardWork]) -> None:
        self._ledger = Ledger(uri, Plan.model_validate(plan))
        self._work = make_work()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        shard = Shard.model_validate(row["shard"])
        try:
            return {"rows": self._ledger.commit(shard, self._work(shard)).rows_written, "mistake": ""}
        except UserError as error:
            return {"rows": 0, "mistake": str(error)}


def run_plan(uri: str | Path, plan: Plan, make_work: Callable[[], ShardWork]) -> list[Record]:
    """Run what is left of a plan, with a progress bar, and return the records of all its shards.

    Parameters
    ----------
    uri : str or Path
        The output folder.
    plan : Plan
    make_work : callable
        Called once in each worker; returns the function that makes a shard's rows.

    Raises
    ------
    UserError
        If a shard's input cannot be read; the other shards are finished first.
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
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("parts"))
        mistakes = []
        with Progress(*columns, TextColumn("{task.fields[stars]:,} stars"), TimeRemainingColumn()) as bar:
            finished = len(ledger.plan.shards) - len(pending)
            task = bar.add_task(plan.kind, total=len(ledger.plan.shards), completed=finished, stars=0)
            stars = 0
            for row in done.iter_rows():
                stars += row["rows"]
                mistakes += [row["mistake"]] if row["mistake"] else []
                bar.update(task, advance=not row["mistake"], stars=stars)
        if mistakes:
            more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
            raise UserError(f"{mistakes[0]}{more}; the other parts are done, run again once it is mended")
    return ledger.records()
