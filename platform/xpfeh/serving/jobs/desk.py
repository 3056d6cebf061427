"""How a replica takes orders for jobs: how many a key may have, and which are its own."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ray.exceptions import RayActorError
from starlette.exceptions import HTTPException

from xpfeh.errors import UserError
from xpfeh.files import absolute, data_folder
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.config import EndpointArgs
from xpfeh.serving.guard import Guard
from xpfeh.serving.jobs import keeper
from xpfeh.serving.jobs.folder import JobFolder, JobStatus, folders, is_of, new_id
from xpfeh.serving.jobs.intake import JobInput, begin
from xpfeh.serving.keys import Key
from xpfeh.serving.problems import too_many

MAX_UNFINISHED, MAX_KEPT = 3, 20
"""Jobs of one key: so that nobody can keep others waiting for days, or fill the disk."""
_RETRY_S = 60
_ACCEPTED = timedelta(minutes=1)
"""A job that was not accepted by then never will be: its replica died."""
_LOG = logging.getLogger("ray.serve")


@contextmanager
def or_unavailable() -> Iterator[None]:
    """Answer 503 if the folder of jobs does not respond, or no keeper can run.

    The reason is only logged: it may contain a bucket's address, with its credentials.
    """
    try:
        yield
    except (UserError, OSError, RayActorError):
        _LOG.exception("jobs are unavailable")
        message = "this endpoint cannot take jobs now; its operator finds the reason in Ray's logs"
        raise HTTPException(503, message, {"Retry-After": str(_RETRY_S)}) from None


class Desk:
    """Takes a replica's orders for jobs.

    Parameters
    ----------
    args : EndpointArgs
    bundle, predictor
        The model that answers.
    """

    def __init__(self, args: EndpointArgs, bundle: Path, predictor: Predictor) -> None:
        self.archive = args.archive
        self._bundle, self._predictor = bundle, predictor
        self._jobs = absolute(args.jobs or data_folder("jobs"))
        # For each key: orders that arrive together must not exceed its limits together.
        self._ordering = defaultdict[str, asyncio.Lock](asyncio.Lock)
        try:
            keeper.resume(self._jobs)
        except (UserError, OSError) as error:  # requests can still be answered
            _LOG.warning("jobs cannot be resumed: %s", error)

    @or_unavailable()
    def all(self, key: Key | None) -> list[JobStatus]:
        """Return a key's jobs, the latest first.

        Raises
        ------
        HTTPException
            503 if the folder of jobs does not respond; likewise in the other methods.
        """
        found = [folder.job() for folder in folders(self._jobs, _owner(key))]
        return [job for job in reversed(found) if job]

    @or_unavailable()
    def find(self, key: Key | None, job_id: str) -> tuple[JobFolder, JobStatus]:
        """Return a key's job.

        Raises
        ------
        HTTPException
            404 if this key has no such job, or no longer.
        """
        folder = JobFolder(self._jobs, _owner(key), job_id)
        if (job := folder.job()) is None:
            raise HTTPException(404, "this key has no such job, or no longer: a job is kept for a day")
        return folder, job

    def admit(self, key: Key | None, request_id: str | None = None) -> JobFolder | None:
        """Return the job that an earlier request with this identifier has begun, or None if there is room for another.

        Raises
        ------
        HTTPException
            429 if the key has its maximum number of jobs; 503 while another replica begins the job of that request.
        """
        jobs = self.all(key)
        if request_id and (begun := self._begun(key, request_id)):
            return begun
        if sum(not job.has_ended for job in jobs) >= MAX_UNFINISHED:
            raise too_many(f"{MAX_UNFINISHED} unfinished jobs", _RETRY_S)
        if len(jobs) >= MAX_KEPT:
            left = min(job.expires for job in jobs) - datetime.now(UTC)
            raise too_many(f"{MAX_KEPT} kept jobs; DELETE one, or", max(1, round(left.total_seconds())))
        return None

    @or_unavailable()
    def _begun(self, key: Key | None, request_id: str) -> JobFolder | None:
        for folder in folders(self._jobs, _owner(key)):
            if is_of(folder.id, request_id):
                if folder.job():
                    return folder
                if folder.order() is None and folder.age() < _ACCEPTED:
                    raise HTTPException(503, "this job is still being accepted; retry in 10 s", {"Retry-After": "10"})
        return None

    async def order(self, key: Key | None, given: JobInput, guard: Guard, request_id: str | None = None) -> JobStatus:
        """Begin a job, unless an earlier request with this identifier has.

        Raises
        ------
        HTTPException
            As `admit` and `Guard.check`; 422 if the earlier request had another body; 503 if the job cannot be stored,
            or no keeper can work on it.
        """
        async with self._ordering[_owner(key)]:
            return await asyncio.to_thread(self._order, key, given, guard, request_id)

    @or_unavailable()
    def _order(self, key: Key | None, given: JobInput, guard: Guard, request_id: str | None) -> JobStatus:
        if begun := self.admit(key, request_id):
            return _status_of(begun, given)
        guard.check(key, given.stars)
        folder = JobFolder(self._jobs, _owner(key), new_id(request_id))
        begin(folder, given, self._bundle, self._predictor)
        try:
            self.take(folder)
        except HTTPException:
            folder.delete()
            raise
        guard.count(key, given.stars)
        return _status_of(folder, given)

    @or_unavailable()
    def take(self, folder: JobFolder) -> None:
        """Start or resume a job: after the whole cluster has died, the first request for a job resumes it.

        Raises
        ------
        HTTPException
            503 if no keeper can work on it.
        """
        keeper.take(folder)

    @or_unavailable()
    def cancel(self, folder: JobFolder, job: JobStatus) -> JobStatus:
        """Cancel a job that was unfinished when its owner last saw it as `job`, or delete it; return its last state."""
        keeper.cancel(folder, has_ended=job.has_ended)
        return folder.job() or job


def _status_of(folder: JobFolder, given: JobInput) -> JobStatus:
    """Return the status of the job that has this input."""
    order, job = folder.order(), folder.job()
    if order is None or job is None:
        raise HTTPException(503, "this job has just been deleted; send it again", {"Retry-After": "2"})
    if order.fingerprint not in (None, given.fingerprint):
        raise HTTPException(422, "an earlier job with this Idempotency-Key has another body; choose a new key")
    return job


def _owner(key: Key | None) -> str:
    """Return the folder of a key's jobs; not its name, which another key may get after it is revoked."""
    return key.sha256[:32] if key else "anybody"
