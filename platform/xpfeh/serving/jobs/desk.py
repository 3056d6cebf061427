"""How a replica takes orders for jobs: how many a key may have, and which are its own."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from ray.exceptions import RayActorError
from starlette.exceptions import HTTPException

from xpfeh.errors import UserError
from xpfeh.files import absolute, data_folder
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.config import EndpointArgs
from xpfeh.serving.jobs import keeper
from xpfeh.serving.jobs.folder import JobFolder, JobStatus, folders
from xpfeh.serving.jobs.intake import JobInput, begin
from xpfeh.serving.keys import Key
from xpfeh.serving.problems import too_many

MAX_UNFINISHED, MAX_KEPT = 3, 20
"""Jobs of one key: so that nobody can keep others waiting for days, or fill the disk."""
_RETRY_S = 60
_LOG = logging.getLogger("ray.serve")


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
        try:
            keeper.resume(self._jobs)
        except (UserError, OSError) as error:  # requests can still be answered
            _LOG.warning("jobs cannot be resumed: %s", error)

    def all(self, key: Key | None) -> list[JobStatus]:
        """Return a key's jobs, the latest first."""
        found = [folder.job() for folder in folders(self._jobs, _owner(key))]
        return [job for job in reversed(found) if job]

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

    def check_room(self, key: Key | None) -> None:
        """Refuse a key that has its maximum number of jobs.

        Raises
        ------
        HTTPException
            429.
        """
        jobs = self.all(key)
        if sum(not job.has_ended for job in jobs) >= MAX_UNFINISHED:
            raise too_many(f"{MAX_UNFINISHED} unfinished jobs", _RETRY_S)
        if len(jobs) >= MAX_KEPT:
            left = min(job.expires for job in jobs) - datetime.now(UTC)
            raise too_many(f"{MAX_KEPT} kept jobs; DELETE one, or", max(1, round(left.total_seconds())))

    def order(self, key: Key | None, given: JobInput) -> JobStatus:
        """Begin a job.

        Raises
        ------
        HTTPException
            503 if it cannot be stored, or no keeper can work on it.
        """
        try:
            folder = begin(self._jobs, _owner(key), given, self._bundle, self._predictor)
        except OSError:
            _LOG.exception("the folder of jobs cannot be written")
            raise _unavailable() from None
        try:
            self.take(folder)
        except HTTPException:
            folder.delete()
            raise
        job = folder.job()
        assert job is not None
        return job

    def take(self, folder: JobFolder) -> None:
        """Start or resume a job: after the whole cluster has died, the first request for a job resumes it.

        Raises
        ------
        HTTPException
            503 if no keeper can work on it.
        """
        try:
            keeper.take(folder)
        except (UserError, RayActorError):
            _LOG.exception("no keeper can work on jobs")
            raise _unavailable() from None

    def cancel(self, folder: JobFolder) -> None:
        """Cancel a job, or delete a finished one; see `take`."""
        try:
            keeper.cancel(folder)
        except (UserError, RayActorError):
            _LOG.exception("no keeper can work on jobs")
            raise _unavailable() from None


def _owner(key: Key | None) -> str:
    """Return the folder of a key's jobs; not its name, which another key may get after it is revoked."""
    return key.sha256[:32] if key else "anybody"


def _unavailable() -> HTTPException:
    message = "this endpoint cannot take jobs now; its operator finds the reason in Ray's logs"
    return HTTPException(503, message, {"Retry-After": str(_RETRY_S)})
