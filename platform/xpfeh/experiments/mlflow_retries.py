"""A tracking server that cannot be reached: waited for where work would be lost, else told in one line."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from textwrap import shorten
from typing import ParamSpec, TypeVar

import requests
from mlflow.exceptions import MlflowException

from xpfeh.errors import UserError

PATIENCE_S = 600
_PAUSE_S = 2
_AWAY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")

P = ParamSpec("P")
R = TypeVar("R")

# MLflow's own retries take four minutes, leave out answers that break off, and create a run twice if an answer is lost.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


class UnreachableError(UserError):
    """The tracking server does not answer."""


def away(error: UnreachableError | MlflowException | requests.RequestException) -> bool:
    """Tell whether the server did not answer, or could not; otherwise it has answered that it will not."""
    if isinstance(error, MlflowException):
        return error.error_code in _AWAY
    if isinstance(error, requests.RequestException) and error.response is not None:
        return error.response.status_code >= 500
    return True


def patient(seconds: float = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate what asks the tracking server; with `seconds`, what may be done twice is tried again for so long.

    Raises
    ------
    UserError
        By the decorated function, if the server cannot be reached (UnreachableError) or refuses.
    """

    def decorate(deed: Callable[P, R]) -> Callable[P, R]:
        @wraps(deed)
        def tried(*args: P.args, **kwargs: P.kwargs) -> R:
            deadline = time.monotonic() + seconds
            warned = False
            while True:
                try:
                    return deed(*args, **kwargs)
                except (UnreachableError, MlflowException, requests.RequestException) as error:
                    late = time.monotonic() >= deadline
                    if late and isinstance(error, UnreachableError):
                        raise
                    reason = f"is MLFLOW_TRACKING_URI right? ({shorten(str(error), 200)})"
                    if not away(error):
                        raise UserError(f"{_server()} refuses; {reason}") from error
                    if late:
                        raise UnreachableError(f"{_server()} cannot be reached; does it run, {reason}") from error
                if not warned:
                    told = f"{_server()} cannot be reached; tried again for {seconds / 60:.0f} minutes"
                    print(told, file=sys.stderr)
                    warned = True
                time.sleep(_PAUSE_S)

        return tried

    return decorate


def _server() -> str:
    return f"the tracking server {os.environ.get('MLFLOW_TRACKING_URI', '')}"
