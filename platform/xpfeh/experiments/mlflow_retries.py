"""An unreachable tracking server: retried where work would be lost, otherwise reported in one line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from functools import wraps
from textwrap import shorten
from typing import ParamSpec, TypeVar

import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_fixed

from xpfeh.errors import UserError

PATIENCE_S = 600
"""How long a search waits for its tracking server: longer than a restart takes."""

_PAUSE_S = 2
_UNAVAILABLE = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
_FROM_THE_SERVER = (MlflowException, requests.RequestException, SQLAlchemyError)
_LASTING = {
    "out-of-date database schema": "upgrade it (back it up first): mlflow db upgrade with that URI",
    "readonly database": "this needs to write to it, and it is read-only",
    "read-only transaction": "this needs to write to it, and it is read-only",  # PostgreSQL's words
}
"""Permanent faults of a database, by part of their messages, and what to do."""

_logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class UnreachableError(UserError):
    """The tracking server does not answer."""


def is_unavailable(error: BaseException) -> bool:
    """Return whether the server was temporarily unable to answer, rather than refusing."""
    if _lasting(error):
        return False
    if isinstance(error, MlflowException):
        return error.error_code in _UNAVAILABLE
    if isinstance(error, requests.RequestException) and error.response is not None:
        return error.response.status_code >= 500
    return isinstance(error, (UnreachableError, *_FROM_THE_SERVER))


def patient(seconds: float = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate requests to the tracking server; with `seconds`, those that may be repeated are retried for that long.

    Raises
    ------
    UserError
        By the decorated function, if the server cannot be reached (UnreachableError) or refuses.
    """

    def warn(state: RetryCallState) -> None:
        if state.attempt_number == 1:
            _logger.warning("%s cannot be reached; retrying for %.0f minutes", _server(), seconds / 60)

    def decorate(request: Callable[P, R]) -> Callable[P, R]:
        @wraps(request)
        def with_retries(*args: P.args, **kwargs: P.kwargs) -> R:
            retrying = Retrying(
                retry=retry_if_exception(is_unavailable),
                stop=stop_after_delay(seconds),
                wait=wait_fixed(_PAUSE_S),
                before_sleep=warn,
                reraise=True,
            )
            try:
                return retrying(request, *args, **kwargs)
            except _FROM_THE_SERVER as error:
                detail = f"({shorten(str(error), 200)})"
                if is_unavailable(error):
                    message = f"{_server()} cannot be reached; is it running, is MLFLOW_TRACKING_URI right? {detail}"
                    raise UnreachableError(message) from error
                raise UserError(f"{_server()} refuses; {_what_to_do(error)} {detail}") from error

        return with_retries

    return decorate


def tracking_uri() -> str:
    """Return ``MLFLOW_TRACKING_URI`` for a message: without a password."""
    return re.sub(r"//([^/@:]*):[^/@]*@", r"//\1@", os.environ.get("MLFLOW_TRACKING_URI", ""))


def _server() -> str:
    return f"the tracking server {tracking_uri()}"


def _lasting(error: BaseException) -> str:
    """Return what to do about a permanent fault, or an empty text."""
    return next((advice for words, advice in _LASTING.items() if words in str(error)), "")


def _what_to_do(error: BaseException) -> str:
    if advice := _lasting(error):
        return advice
    match getattr(error, "error_code", ""):
        case "UNAUTHENTICATED":
            return "are MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD right?"
        case "PERMISSION_DENIED":
            return "this account may not do that; ask the server's administrator for a role"
    return "is MLFLOW_TRACKING_URI right?"
