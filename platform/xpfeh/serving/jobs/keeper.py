"""The keeper: one detached actor that runs the tasks of jobs on Ray, independently of replicas.

Jobs take turns, one task at a time: Ray keeps no order between tasks and replicas that wait for a core, so a second
waiting task could hold up a rollout for as long as there are jobs.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

import ray
import tenacity
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xpfeh.cluster.connection import result_of
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Shard
from xpfeh.dataset.records import Record
from xpfeh.errors import ArchiveError, InputError, StorageError, UserError
from xpfeh.lease import LOST_S, only_one
from xpfeh.serving.jobs.folder import JobEnd, JobFolder, JobProgress, JobState, folders
from xpfeh.serving.jobs.intake import ANSWERS
from xpfeh.serving.jobs.work import make_part, make_result

_LOG = logging.getLogger("ray.serve")
_NAMESPACE = "xpfeh"
_SWEEP_S = 300.0  # a job may be kept this much longer than promised
_LOOK_S = 0.5  # between two looks at a cancelled task, a turn or a lease
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 30.0, 900.0
_HALF_AN_HOUR = tenacity.stop_after_attempt(7)  # pauses of 30, 60, 120, 240, 480 and 900 s
_PASSING = (ArchiveError, StorageError, OSError)

_T = TypeVar("_T")


class Keeper:
    """Works on jobs until they end, deletes expired ones, and stops when none are left.

    Ray restarts it if it dies; it then resumes what the ledgers show as unfinished.

    Parameters
    ----------
    jobs : str
        Folder or URI of all jobs.

    Raises
    ------
    UserError
        If another endpoint's keeper works on the same folder.
    """

    def __init__(self, jobs: str) -> None:
        self._jobs = jobs
        self._work: dict[str, _Work] = {}
        self._changing, self._turn = threading.Lock(), threading.Lock()
        self._alone = ExitStack()
        context = ray.get_runtime_context()
        self._me = context.current_actor
        # After the death of a node its lease is valid for a while, and Ray does not restart an actor that cannot start.
        patience_s = LOST_S + _LOOK_S if context.was_current_actor_reconstructed else 0.0
        tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(UserError),
            stop=tenacity.stop_after_delay(patience_s),
            wait=tenacity.wait_fixed(_LOOK_S),
            reraise=True,
        )(lambda: self._alone.enter_context(only_one(jobs)))
        for folder in folders(jobs):
            self._begin(folder)
        threading.Thread(target=self._keep, daemon=True).start()

    def take(self, owner: str, job_id: str) -> None:
        """Start or resume a job.

        Raises
        ------
        UserError
            If its folder does not exist here: the replica's node sees a different folder.
        """
        folder = JobFolder(self._jobs, owner, job_id)
        if folder.order() is None:
            raise UserError(f"{self._jobs}: not the same folder on all nodes; set args.jobs to one that they share")
        self._begin(folder)

    def cancel(self, owner: str, job_id: str, *, has_ended: bool) -> None:
        """Cancel a job, keeping its record, or its result if it has just ended; delete one that its owner saw ended."""
        folder = JobFolder(self._jobs, owner, job_id)
        with self._changing:
            work = self._work.get(job_id)
        if work:
            work.cancel()
        with self._changing:  # two requests may do the same at once
            if has_ended:
                folder.delete()
            elif (job := folder.job()) and not job.has_ended:
                folder.write(JobEnd(state=JobState.CANCELLED))
                folder.delete(but_results=True)

    def _begin(self, folder: JobFolder) -> None:
        with self._changing:
            work = self._work.get(folder.id)
            if work and (work.is_alive() or work.is_cancelled()):
                return
            job = folder.job()
            if job and not job.has_ended:
                self._work[folder.id] = _Work(folder, self._turn)
                self._work[folder.id].start()

    def _keep(self) -> None:
        while True:
            with suppress(OSError, UserError):  # a bucket may be unreachable for a moment
                self._sweep()
            time.sleep(_SWEEP_S)

    def _sweep(self) -> None:
        left = list(folders(self._jobs))
        for folder in left:
            if folder.is_over():
                self.cancel(folder.owner, folder.id, has_ended=True)
        if left:
            return
        with self._changing:
            if next(folders(self._jobs), None) is None:
                self._alone.close()
                ray.kill(self._me, no_restart=True)
                time.sleep(_SWEEP_S)  # a job that arrives until it takes effect waits for the lock, and is not lost


class _CancelledError(Exception):
    pass


class _Work(threading.Thread):
    """One job: waits for its tasks, one after another, and takes turns with other jobs."""

    def __init__(self, folder: JobFolder, turn: threading.Lock) -> None:
        super().__init__(daemon=True)
        self._folder, self._turn = folder, turn
        self._cancelled = threading.Event()
        self._task: ray.ObjectRef | None = None

    def cancel(self) -> None:
        """Cancel the work, and wait until no task runs."""
        self._cancelled.set()
        while self.is_alive():
            if self._task is not None:
                ray.cancel(self._task, force=True)
            self.join(_LOOK_S)  # a task may have started since

    def is_cancelled(self) -> bool:
        """Whether it must not be restarted."""
        return self._cancelled.is_set()

    def run(self) -> None:
        """Run all tasks, and write how the job ended."""
        with suppress(_CancelledError):
            end = self._end()
            # This thread lives until the disk has room: otherwise the next request would start the job again.
            self._retry(lambda: self._folder.write(end), tenacity.stop_never)
            if end.state == JobState.DONE:  # the ledger of a failed job shows where it failed
                self._folder.delete(but_results=True)
            _LOG.info("job %s: %s", self._folder.id, end.state)

    def _end(self) -> JobEnd:
        try:
            self._run_tasks()
            return JobEnd(state=JobState.DONE)
        except _CancelledError:
            raise
        except (InputError, ArchiveError) as error:  # the others name the operator's files and buckets
            return JobEnd(state=JobState.FAILED, error=str(error))
        except Exception as error:  # a bug of ours, or a worker that died repeatedly
            _LOG.exception("job %s failed", self._folder.id)
            why = f"the endpoint failed ({type(error).__name__}); its operator finds more in Ray's logs"
            return JobEnd(state=JobState.FAILED, error=why)

    def _run_tasks(self) -> None:
        records, pending = self._retry(self._ledger)
        for shard in pending:
            records.append(self._result(make_part, _progress(records), shard))
        self._result(make_result)

    def _ledger(self) -> tuple[list[Record], list[Shard]]:
        """Return the records of the finished shards, and the other shards."""
        dataset = Dataset.at(self._folder.uri(ANSWERS))
        pending = dataset.without_part(records := dataset.records())
        left = {shard.name for shard in pending}
        return [record for record in records if record.shard not in left], pending

    def _result(self, task: Any, *given: object) -> Any:
        """Return the result of a task."""

        def once() -> Any:
            with self._my_turn():
                self._task = task.remote(self._folder.jobs, self._folder.owner, self._folder.id, *given)
                try:
                    return result_of(self._task)
                except RayError:
                    if self.is_cancelled():
                        raise _CancelledError from None
                    raise

        return self._retry(once)

    def _retry(self, once: Callable[[], _T], stop: tenacity.stop.StopBaseT = _HALF_AN_HOUR) -> _T:
        """Return the result of `once`, retried while the archive or the folder of jobs does not respond."""

        def unless_cancelled() -> _T:
            if self.is_cancelled():
                raise _CancelledError
            return once()

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PASSING),
            stop=stop,
            wait=tenacity.wait_exponential(_FIRST_PAUSE_S, _LONGEST_PAUSE_S),
            sleep=tenacity.sleep_using_event(self._cancelled),
            reraise=True,
        )(unless_cancelled)

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        while not self._turn.acquire(timeout=_LOOK_S):
            if self.is_cancelled():
                raise _CancelledError
        try:
            if self.is_cancelled():
                raise _CancelledError
            yield
        finally:
            self._turn.release()


def _progress(records: list[Record]) -> JobProgress:
    rejected = sum(sum(record.rejected.values()) for record in records)
    return JobProgress(done=sum(record.rows_read for record in records), rejected=rejected)


def _keeper(jobs: str) -> ActorHandle:
    name = f"jobs-{hashlib.sha256(jobs.encode()).hexdigest()[:16]}"
    # On a replica's node if possible: another one, such as the head's, may lack the folder, and its work is done by
    # tasks, so it holds no core.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(Keeper).options(
        name=name, namespace=_NAMESPACE, lifetime="detached", get_if_exists=True, max_restarts=-1, num_cpus=0,
        max_concurrency=16, scheduling_strategy=here,
    ).remote(jobs)  # fmt: skip


# A keeper that is just stopping, with no jobs left, is replaced by another.
_retried = tenacity.retry(
    retry=tenacity.retry_if_exception_type(RayActorError), stop=tenacity.stop_after_attempt(2), reraise=True
)


def resume(jobs: str) -> None:
    """Start the keeper if there are jobs, without waiting for it."""
    if next(folders(jobs), None):
        _keeper(jobs)


@_retried
def take(folder: JobFolder) -> None:
    """Let the keeper start or resume a job.

    Raises
    ------
    UserError, RayActorError
        If no keeper can run: see `Keeper`.
    """
    result_of(_keeper(folder.jobs).take.remote(folder.owner, folder.id))


@_retried
def cancel(folder: JobFolder, *, has_ended: bool) -> None:
    """Let the keeper cancel a job, or delete one that its owner saw ended; see `take`."""
    result_of(_keeper(folder.jobs).cancel.remote(folder.owner, folder.id, has_ended=has_ended))
