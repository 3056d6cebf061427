"""The keeper: one detached actor that runs the tasks of jobs on Ray, independently of replicas.

Jobs take turns, one task at a time: Ray keeps no order between tasks and replicas that wait for a core, so a second
waiting task could hold up a rollout for as long as there are jobs.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import ray
import tenacity
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError

from xpfeh.cluster.connection import result_of
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.records import Record
from xpfeh.errors import ArchiveError, UserError
from xpfeh.lease import only_one
from xpfeh.serving.jobs.folder import JobEnd, JobFolder, JobProgress, JobState, folders
from xpfeh.serving.jobs.intake import ANSWERS
from xpfeh.serving.jobs.work import make_part, make_result

_LOG = logging.getLogger("ray.serve")
_NAMESPACE = "xpfeh"
_SWEEP_S, _LOOK_S = 300.0, 0.5
_ATTEMPTS, _FIRST_PAUSE_S, _LONGEST_PAUSE_S = 7, 30.0, 900.0
"""Retries of a shard while the archive is down: half an hour in all."""


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
        self._alone.enter_context(only_one(jobs))
        self._me = ray.get_runtime_context().current_actor
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

    def cancel(self, owner: str, job_id: str) -> None:
        """Cancel a job, keeping its record; delete a finished one entirely."""
        folder = JobFolder(self._jobs, owner, job_id)
        with self._changing:
            work = self._work.get(job_id)
        if work:
            work.cancel()
        job = folder.job()
        if job is None or job.has_ended:
            folder.delete()
        else:
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
                self.cancel(folder.owner, folder.id)
        if not left:
            self._alone.close()
            ray.kill(self._me, no_restart=True)


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
        try:
            self._run_tasks()
            end = JobEnd(state=JobState.DONE)
        except _CancelledError:
            return
        except UserError as error:
            end = JobEnd(state=JobState.FAILED, error=str(error))
        except Exception as error:  # a bug of ours, or a worker that died repeatedly
            _LOG.exception("job %s failed", self._folder.id)
            why = f"the endpoint failed ({type(error).__name__}); its operator finds more in Ray's logs"
            end = JobEnd(state=JobState.FAILED, error=why)
        self._folder.write(end)
        if end.state == JobState.DONE:  # the ledger of a failed job shows where it failed
            self._folder.delete(but_results=True)
        _LOG.info("job %s: %s", self._folder.id, end.state)

    def _run_tasks(self) -> None:
        dataset = Dataset.at(self._folder.uri(ANSWERS))
        pending = dataset.without_part(records := dataset.records())
        left = {shard.name for shard in pending}
        records = [record for record in records if record.shard not in left]
        for shard in pending:
            records.append(self._result(make_part, _progress(records), shard))
        self._result(make_result, _progress(records))

    def _result(self, task: Any, *given: object) -> Any:
        """Return the result of a task, retried while the archive does not respond."""

        def once() -> Any:
            with self._my_turn():
                self._task = task.remote(self._folder.jobs, self._folder.owner, self._folder.id, *given)
                try:
                    return result_of(self._task)
                except RayError:
                    if self.is_cancelled():
                        raise _CancelledError from None
                    raise

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(ArchiveError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(_FIRST_PAUSE_S, _LONGEST_PAUSE_S),
            sleep=tenacity.sleep_using_event(self._cancelled),
            reraise=True,
        )(once)

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
    return ray.remote(Keeper).options(  # its work is done by tasks, so it holds no core
        name=name, namespace=_NAMESPACE, lifetime="detached", get_if_exists=True, max_restarts=-1, num_cpus=0,
        max_concurrency=16,
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
def cancel(folder: JobFolder) -> None:
    """Let the keeper cancel a job, or delete a finished one; see `take`."""
    result_of(_keeper(folder.jobs).cancel.remote(folder.owner, folder.id))
