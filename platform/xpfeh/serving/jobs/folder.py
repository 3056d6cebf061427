"""A job as files in its own folder: order, progress, end and result. They can be read while nothing runs.

``JOBS/OWNER/ID/`` holds ``order.json``, written once all other files that the work needs exist; ``progress.json``,
by the running task; ``end.json``, by the keeper alone, and nothing changes after it. Each is written whole or not at
all.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import pyarrow.fs as pafs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xpfeh.files import filesystem, read_bytes, write_whole
from xpfeh.serving.answers import CSV, FITS, PARQUET, VOTABLE

KEPT = timedelta(days=1)
"""How long a job is kept after its last progress or its end."""

ID = r"^[0-9a-f]{32}$"
_SECONDS_DIGITS = 8  # of an id: its creation time, so that the age of a folder without an order is known, too

_Model = TypeVar("_Model", bound=BaseModel)
_LOG = logging.getLogger("ray.serve")


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


MAX_VOTABLE_STARS = 100_000


class ResultForm(StrEnum):
    """A format of the result."""

    PARQUET = "parquet"
    CSV = "csv"
    FITS = "fits"
    VOTABLE = "votable"

    @property
    def file(self) -> str:
        """Name of its file in the job's folder."""
        return f"result.{'vot' if self is ResultForm.VOTABLE else self}"

    def takes(self, stars: int) -> bool:
        """Whether a result of this size is written in this format: a VOTable of a million stars takes four minutes."""
        return self is not ResultForm.VOTABLE or stars <= MAX_VOTABLE_STARS

    @property
    def media_type(self) -> str:
        """Its media type in HTTP."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    ResultForm.PARQUET: PARQUET,
    ResultForm.CSV: CSV,
    ResultForm.FITS: FITS,
    ResultForm.VOTABLE: VOTABLE,
}


class JobOrder(BaseModel):
    """What was ordered; it never changes.

    ``source`` is the input's name in the folder, ``name`` the sender's name for it; ``fingerprint`` is of its bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    name: str
    fingerprint: str | None = None  # orders before 2026-11-30 lack it
    stars: int
    created: datetime


class JobProgress(BaseModel):
    """How many stars have been answered or rejected so far, and how many of these were rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    done: int = 0
    rejected: int = 0
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class JobEnd(BaseModel):
    """How a job ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: JobState
    error: str | None = None
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class JobStatus(BaseModel):
    """A job, as its owner sees it."""

    id: str
    state: JobState
    stars: int = Field(description="stars that were sent")
    done: int = Field(description="of these, how many have been answered or rejected")
    rejected: int = Field(description="of the done ones, how many were rejected; the result has the reasons")
    created: datetime
    expires: datetime = Field(description="when it will be deleted; postponed while it makes progress")
    error: str | None = Field(description="why it failed")

    @property
    def has_ended(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self.state not in (JobState.QUEUED, JobState.RUNNING)


_NAMES: dict[type[BaseModel], str] = {JobOrder: "order.json", JobProgress: "progress.json", JobEnd: "end.json"}


class JobFolder:
    """The files of one job.

    Parameters
    ----------
    jobs : str
        Folder or URI of all jobs.
    owner, job_id : str
    """

    def __init__(self, jobs: str, owner: str, job_id: str) -> None:
        self.jobs, self.owner, self.id = jobs, owner, job_id
        self.fs, self.path = filesystem(self.uri())

    def uri(self, name: str = "") -> str:
        """Return the URI of the folder, or of a file in it; a bucket's options (``?...``) stay at the end."""
        place, mark, options = self.jobs.partition("?") if "://" in self.jobs else (self.jobs, "", "")
        return f"{place.rstrip('/')}/{self.owner}/{self.id}/{name}".rstrip("/") + mark + options

    def order(self) -> JobOrder | None:
        """Return what was ordered; None if there is no such job."""
        return self._read(JobOrder)

    def job(self) -> JobStatus | None:
        """Return the job's status; None if there is no such job, it has expired, or its files cannot be read."""
        try:
            order, started, end = self.order(), self._read(JobProgress), self._read(JobEnd)
        except ValidationError:
            _LOG.exception("the job %s of %s is skipped", self.id, self.owner)
            return None
        if order is None:
            return None
        progress = started or JobProgress(at=order.created)
        state = end.state if end else JobState.RUNNING if started else JobState.QUEUED
        expires = (end.at if end else progress.at) + KEPT
        if datetime.now(UTC) > expires:
            return None
        return JobStatus(
            id=self.id,
            state=state,
            stars=order.stars,
            done=progress.done,
            rejected=progress.rejected,
            created=order.created,
            expires=expires,
            error=end.error if end else None,
        )

    def is_over(self) -> bool:
        """Whether it may be deleted: it has expired, or its order was never completed."""
        return self.job() is None and self.age() > KEPT

    def age(self) -> timedelta:
        """Return the time since the folder was begun."""
        return datetime.now(UTC) - datetime.fromtimestamp(int(self.id[:_SECONDS_DIGITS], 16), UTC)

    def write(self, content: JobOrder | JobProgress | JobEnd) -> None:
        """Write one of the JSON files."""
        self.store(_NAMES[type(content)], content.model_dump_json(indent=1).encode())

    def store(self, name: str, content: bytes) -> None:
        """Write any other file."""
        write_whole(self.fs, f"{self.path}/{name}", content)

    def put(self, name: str, file: Path) -> None:
        """Copy a local file here."""
        if self.fs.type_name == "local":
            self.fs.create_dir(self.path, recursive=True)
        temporary = f"{self.path}/.{name}.tmp"
        pafs.copy_files(str(file), temporary, destination_filesystem=self.fs)
        self.fs.move(temporary, f"{self.path}/{name}")

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return read_bytes(self.fs, f"{self.path}/{name}")

    def fetch(self, name: str, folder: Path) -> Path:
        """Return a local copy of a file, in `folder`; the file itself where it is local."""
        if self.fs.type_name == "local":
            return Path(self.path, name)
        pafs.copy_files(f"{self.path}/{name}", str(folder / name), source_filesystem=self.fs)
        return folder / name

    def delete(self, *, but_results: bool = False) -> None:
        """Delete the folder, or everything in it except JSON and results."""
        if not but_results:
            if self.fs.get_file_info(self.path).type == pafs.FileType.Directory:
                self.fs.delete_dir(self.path)
            return
        for info in self.fs.get_file_info(pafs.FileSelector(self.path)):
            if info.type == pafs.FileType.Directory:
                self.fs.delete_dir(info.path)
            elif not info.base_name.startswith("result.") and info.extension != "json":
                self.fs.delete_file(info.path)

    def _read(self, kind: type[_Model]) -> _Model | None:
        try:
            return kind.model_validate_json(self.read(_NAMES[kind]))
        except FileNotFoundError:  # or deleted just now
            return None


def new_id(request_id: str | None = None) -> str:
    """Return the identifier of a new job, see `is_of`. It need not be secret: a job is only found with its key."""
    time = f"{int(datetime.now(UTC).timestamp()):0{_SECONDS_DIGITS}x}"
    return f"{time}{secrets.token_hex(4)}{_digits_of(request_id) if request_id else secrets.token_hex(8)}"


def is_of(job_id: str, request_id: str) -> bool:
    """Whether the request that began a job had this identifier."""
    return job_id.endswith(_digits_of(request_id))


def _digits_of(request_id: str) -> str:
    return hashlib.sha256(request_id.encode()).hexdigest()[:16]


def folders(jobs: str, owner: str | None = None) -> Iterator[JobFolder]:
    """Yield the folders of all jobs, or of one owner's, incomplete ones too; others' folders are ignored."""
    fs, path = filesystem(jobs)
    for each in [owner] if owner else _inside(fs, path):
        for job_id in _inside(fs, f"{path}/{each}"):
            if re.fullmatch(ID, job_id):
                yield JobFolder(jobs, each, job_id)


def _inside(fs: pafs.FileSystem, folder: str) -> list[str]:
    infos = fs.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return sorted(info.base_name for info in infos if info.type == pafs.FileType.Directory)
