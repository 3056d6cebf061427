"""Errors in one form everywhere: ``{"error": {"status": ..., "message": ...}}``; no value is echoed."""

import asyncio

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from xpfeh.errors import UserError

_NAMED = 3  # problems that a message names; a body can have a million


class Problem(BaseModel):
    """Why a request was not answered."""

    status: int = Field(description="the HTTP status")
    message: str = Field(description="what, where, and what to do")


class Refusal(BaseModel):
    """The body of every answer whose status is 400 or more."""

    error: Problem


def problem(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a refusal."""
    return JSONResponse(Refusal(error=Problem(status=status, message=message)).model_dump(), status, headers)


def named(error: ValidationError | RequestValidationError) -> str:
    """Return the first problems of an outside value in one line: where and what, never the value."""
    errors = error.errors()
    # Where in the request, as in stars.0.flux: a name that was sent may be of any length.
    found = [(".".join(str(part)[:40] for part in each["loc"]), each["msg"]) for each in errors[:_NAMED]]
    lines = [f"{place}: {message}".removeprefix(": ") for place, message in found]
    more = f"; and {len(errors) - _NAMED} more" if len(errors) > _NAMED else ""
    return "; ".join(lines) + more


def answer_problems(api: FastAPI) -> None:
    """Make `api` answer every failure as a `Refusal`."""

    async def mistake(request: Request, error: Exception) -> JSONResponse:
        return problem(422, str(error))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return problem(422, named(error))

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 405 and (methods := _methods(api, _path(request))):
            headers["Allow"] = ", ".join(methods)
        return problem(error.status_code, str(error.detail), headers)

    api.add_exception_handler(UserError, mistake)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(HTTPException, refused)


def _path(request: Request) -> str:
    return str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))


def _methods(api: FastAPI, path: str) -> list[str]:
    """Return the methods of a path: Starlette names only those of its first function."""
    described = (operations for each, operations in api.openapi()["paths"].items() if compile_path(each)[0].match(path))
    return [method.upper() for operations in described for method in operations]


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """Return the body of a request, if it has at most `most` bytes and arrives within `seconds`.

    Raises
    ------
    HTTPException
        413, 408, or 415 for a compressed body: a small one can unpack to any size.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "compressed bodies are not accepted; send it uncompressed, without Content-Encoding")
    too_large = HTTPException(413, f"a body may have at most {most / 1e6:g} MB; send fewer stars at a time")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {seconds:g} s") from None
    return bytes(body)


def too_many(limit: str, seconds: int) -> HTTPException:
    """Return the refusal of a key that has reached a limit, and may retry in `seconds`."""
    message = f"the limit of this key is {limit}; retry in {seconds} s"
    return HTTPException(429, message, {"Retry-After": str(seconds)})
