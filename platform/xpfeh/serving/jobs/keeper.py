"""The keeper: one detached actor that has the work of jobs done by Ray, whatever becomes of replicas.

Jobs take turns, one task at a time: Ray keeps no order between tasks that wait for a core and a replica that does, so a
second task that waits could hold up a rollout for as long as there are jobs.
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
"""Of a shard while the archive is down: half an hour in all."""


class Keeper:
    """Works on jobs until they end, removes what has been kept long enough, and ends when there is nothing left.

    Ray restarts it where it dies, and then it resumes what its ledgers say is not done.

    Parameters
    ----------
    jobs : str
        Folder or URI of all jobs.

    Raises
    ------
    UserError
        If another endpoint's keeper is at work there.
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
        """Begin a job, or go on with it.

        Raises
        ------
        UserError
            If its folder is not there: this node sees another folder than the replica.
        """
        folder = JobFolder(self._jobs, owner, job_id)
        if folder.order() is None:
            raise UserError(f"{self._jobs}: not the same folder on all nodes; set args.jobs to one that they share")
        self._begin(folder)

    def cancel(self, owner: str, job_id: str) -> None:
        """End a job; of one that has ended delete all."""
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
            with suppress(OSError, UserError):  # a bucket that is away for a moment
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
    """One job: waits for its tasks, one after the other, and takes turns with others."""

    def __init__(self, folder: JobFolder, turn: threading.Lock) -> None:
        super().__init__(daemon=True)
        self._folder, self._turn = folder, turn
        self._cancelled = threading.Event()
        self._task: ray.ObjectRef | None = None

    def cancel(self) -> None:
        """End the work, and wait until nobody is at it."""
        self._cancelled.set()
        while self.is_alive():
            if self._task is not None:
                ray.cancel(self._task, force=True)
            self.join(_LOOK_S)  # a task may have begun since

    def is_cancelled(self) -> bool:
        """Whether nobody may begin it again."""
        return self._cancelled.is_set()

    def run(self) -> None:
        """Have all tasks done, and write how it ended."""
        try:
            self._have_all_done()
            end = JobEnd(state=JobState.DONE)
        except _CancelledError:
            return
        except UserError as error:
            end = JobEnd(state=JobState.FAILED, error=str(error))
        except Exception as error:  # a mistake of ours, or a worker that died again and again
            _LOG.exception("job %s failed", self._folder.id)
            why = f"the endpoint failed ({type(error).__name__}); its operator finds more in Ray's logs"
            end = JobEnd(state=JobState.FAILED, error=why)
        self._folder.write(end)
        if end.state == JobState.DONE:  # the ledger of a failed one says where it failed
            self._folder.delete(but_results=True)
        _LOG.info("job %s: %s", self._folder.id, end.state)

    def _have_all_done(self) -> None:
        dataset = Dataset.at(self._folder.uri(ANSWERS))
        pending = dataset.without_part(records := dataset.records())
        left = {shard.name for shard in pending}
        records = [record for record in records if record.shard not in left]
        for shard in pending:
            records.append(self._result(make_part, _progress(records), shard))
        self._result(make_result, _progress(records))

    def _result(self, task: Any, *given: object) -> Any:
        """Return the result of a task, tried again while the archive does not respond."""

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


# A keeper that is just ending, with nothing left to keep, is followed by another.
_while_ending = tenacity.retry(
    retry=tenacity.retry_if_exception_type(RayActorError), stop=tenacity.stop_after_attempt(2), reraise=True
)


def resume(jobs: str) -> None:
    """Start the keeper if there are jobs, and do not wait for it."""
    if next(folders(jobs), None):
        _keeper(jobs)


@_while_ending
def take(folder: JobFolder) -> None:
    """Let the keeper begin a job, or go on with it.

    Raises
    ------
    UserError, RayActorError
        If there can be none: see `Keeper`.
    """
    result_of(_keeper(folder.jobs).take.remote(folder.owner, folder.id))


@_while_ending
def cancel(folder: JobFolder) -> None:
    """Let the keeper end a job, or delete one that has ended; see `take`."""
    result_of(_keeper(folder.jobs).cancel.remote(folder.owner, folder.id))
