"""Jobs over HTTP.

Annotations stay real types here, as in `xpfeh.serving.app`.
"""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi import Path as PathItem
from fastapi.responses import FileResponse, JSONResponse
from ray import serve
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from xpfeh.errors import UserError
from xpfeh.serving.answers import ARROW, JSON
from xpfeh.serving.guard import Guard
from xpfeh.serving.jobs.desk import Desk, or_unavailable
from xpfeh.serving.jobs.folder import ID, JobFolder, JobState, JobStatus, ResultForm
from xpfeh.serving.jobs.intake import JobInput, JobRequest, of_arrow, of_file, of_ids
from xpfeh.serving.keys import Key, Scope
from xpfeh.serving.problems import Refusal, read_body
from xpfeh.serving.uploads import receive, store

_MAX_BODY_BYTES, _BODY_SECONDS = 30_000_000, 20.0
"""A million identifiers take 22 MB; a file or table is written to disk as it arrives."""

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

FileName = Annotated[str | None, Query(max_length=200, description="the file's name: its suffix gives the format")]
RequestId = Annotated[str | None, Header(alias="Idempotency-Key", max_length=200, description="a repeat finds the job")]
JobId = Annotated[str, PathItem(pattern=ID)]


def _guard() -> Guard:
    return serve.get_replica_context().servable_object.guard


def _desk() -> Desk:
    return serve.get_replica_context().servable_object.desk


OurGuard = Annotated[Guard, Depends(_guard)]
OurDesk = Annotated[Desk, Depends(_desk)]


def _key(request: Request, guard: OurGuard) -> Key | None:
    return guard.admit(request, Scope.PREDICT)


OurKey = Annotated[Key | None, Depends(_key)]


def _find(job_id: JobId, key: OurKey, desk: OurDesk) -> tuple[JobFolder, JobStatus]:
    return desk.find(key, job_id)


Found = Annotated[tuple[JobFolder, JobStatus], Depends(_find)]

_BODIES = {
    JSON: {"schema": JobRequest.model_json_schema()},
    ARROW: {"schema": {"type": "string", "format": "binary"}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}
_RESULT: dict[int | str, dict[str, Any]] = {
    200: {"description": "the result", "content": {form.media_type: {} for form in ResultForm}},
    409: {"model": Refusal, "description": "the job is not done"},
}


@router.post(
    "",
    status_code=202,
    response_model=JobStatus,
    openapi_extra={"requestBody": {"required": True, "content": _BODIES}},
    responses={503: {"model": Refusal, "description": "this endpoint cannot take jobs now"}},
)
async def submit(
    request: Request, key: OurKey, guard: OurGuard, desk: OurDesk, name: FileName = None, request_id: RequestId = None
) -> JSONResponse:
    """Start a job: long work that continues without you.

    The body is a list of `source_id`s, whose spectra come from Gaia's archive; or an Arrow stream, as for `predict`;
    or, with `name`, a file, as for `predict/file`.
    """
    await asyncio.to_thread(desk.admit, key, request_id)  # before the body is read
    with ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory())
        given = await _read_input(request, name, Path(work), desk.archive)
        # Once begun, a job is not left half made if the sender hangs up.
        job = await asyncio.shield(_order(stack.pop_all(), desk, key, given, guard, request_id))
    where = f"{request.scope.get('root_path', '')}{router.prefix}/{job.id}"
    return JSONResponse(job.model_dump(mode="json"), 202, {"Location": where})


@router.get("")
def jobs(key: OurKey, desk: OurDesk) -> list[JobStatus]:
    """Return your key's jobs, the latest first."""
    return desk.all(key)


@router.get("/{job_id}")
def job(found: Found, desk: OurDesk) -> JobStatus:
    """Return a job's progress."""
    folder, known = found
    if not known.has_ended:
        desk.take(folder)
    return known


@router.delete("/{job_id}")
def cancel(found: Found, desk: OurDesk) -> JobStatus:
    """Cancel a job; delete a finished one, with its result."""
    return desk.cancel(*found)


@router.get("/{job_id}/result", response_class=FileResponse, responses=_RESULT)
def result(found: Found, form: Annotated[ResultForm, Query(alias="format")] = ResultForm.PARQUET) -> FileResponse:
    """Return the result of a job that is done: a row for each star sent, in that order.

    A rejected star has its reason in the column `error`. `Range` resumes a download.
    """
    folder, known = found
    if known.state != JobState.DONE:
        raise HTTPException(409, f"the job is {known.state}{f': {known.error}' if known.error else ''}")
    if not form.takes(known.stars):
        raise HTTPException(406, f"{known.stars:,} stars are too many for a VOTable; ask for format=fits")
    work = tempfile.TemporaryDirectory()
    with or_unavailable():
        path = folder.fetch(form.file, Path(work.name))
    name = form.file.replace("result", f"xpfeh-{known.id[:8]}")
    return FileResponse(path, media_type=form.media_type, filename=name, background=BackgroundTask(work.cleanup))


async def _order(
    work: ExitStack, desk: Desk, key: Key | None, given: JobInput, guard: Guard, request_id: str | None
) -> JobStatus:
    with work:
        return await desk.order(key, given, guard, request_id)


async def _read_input(request: Request, name: str | None, work: Path, archive: bool) -> JobInput:
    if name is not None:
        return await asyncio.to_thread(of_file, await store(request, name, work), name)
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind == ARROW:
        return await asyncio.to_thread(of_arrow, await receive(request, work / "stars.arrow"), work, archive)
    if kind != JSON:
        raise HTTPException(415, f"Content-Type must be {JSON} or {ARROW}; for a file give ?name=")
    if not archive:
        raise UserError("this endpoint does not query Gaia's archive; send the spectra")
    return await asyncio.to_thread(of_ids, await read_body(request, _MAX_BODY_BYTES, _BODY_SECONDS), work)
