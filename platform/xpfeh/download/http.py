"""Requests to services over the network: repeated until the response is usable, and bounded in time."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import polars as pl
import requests
import tenacity

from xpfeh.download.archives import Services
from xpfeh.errors import UserError

_T = TypeVar("_T")


class UnavailableError(Exception):
    """The service cannot be reached, or its answer is of no use: another attempt may help, or another service."""


class ServerError(UnavailableError):
    """The service can be reached, but fails, and does not say why: perhaps at this request alone."""


class BadResponseError(UnavailableError):
    """The service answered, but with something else than was asked for, or with half of it."""


class RefusedError(Exception):
    """The service says that it does not do what was asked for: to ask again is of no use."""


_WAIT = (408, 429)  # timeout and too many requests: the two statuses of a client's error that pass by themselves
_REFUSAL = re.compile(r"unknown|invalid|quota|not (valid|supported|allowed|found|exist)|cannot find", re.IGNORECASE)
_BROKEN = (zipfile.BadZipFile, zlib.error, pl.exceptions.PolarsError, requests.exceptions.ChunkedEncodingError)
_WORDS = 200  # characters of a service's message that are shown


def with_retries(request: Callable[[], _T], services: Services, known: bool = False) -> _T:
    """Repeat a request until its response is usable, and return that.

    Parameters
    ----------
    request : callable
    services : Services
        How often, and how long to wait.
    known : bool
        Whether the service has answered before: it is then given all attempts, and otherwise `patience_s`.

    Raises
    ------
    UnavailableError
        If no response is usable.
    RefusedError
        If the service refuses the request.

    Examples
    --------
    >>> with_retries(lambda: "spectra", Services())
    'spectra'
    """
    attempts = 0

    def once() -> _T:
        nonlocal attempts
        attempts += 1
        return _usable(request)

    def given_up(state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        slow = (state.seconds_since_start or 0.0) + state.upcoming_sleep > services.patience_s
        lost = slow and not known and not isinstance(error, BadResponseError)  # one that answers is waited for
        return lost or state.attempt_number >= services.attempts

    retrying = tenacity.Retrying(
        stop=given_up,
        wait=tenacity.wait_exponential(multiplier=services.pause_s),
        retry=tenacity.retry_if_exception_type(UnavailableError),
        reraise=True,
    )
    try:
        return retrying(once)
    except UnavailableError as error:
        times = "attempt" if attempts == 1 else "attempts"
        raise type(error)(f"no usable response in {attempts} {times} ({error})") from None


def _usable(request: Callable[[], _T]) -> _T:
    """Return a response, or raise what is wrong with it in one phrase: what libraries say is long."""
    try:
        return request()
    except requests.Timeout:
        raise UnavailableError("no answer in time") from None
    except requests.HTTPError as error:
        raise UnavailableError(str(error).partition(" for url")[0]) from None
    except _BROKEN as error:
        raise BadResponseError(f"a broken response, {type(error).__name__}") from None
    except requests.RequestException as error:
        raise UnavailableError(f"cannot be reached, {type(error).__name__}") from None


def or_user_error(request: Callable[[], _T], services: Services, what: str, alternative: str) -> _T:
    """Return `with_retries`, its errors as lines for the user.

    Parameters
    ----------
    request, services
        As for `with_retries`.
    what : str
        What is asked for.
    alternative : str
        What a user without a network can do instead.

    Raises
    ------
    UserError

    Examples
    --------
    >>> or_user_error(lambda: "spectra", Services(), "spectra", "copy them from a colleague")
    'spectra'
    """
    try:
        return with_retries(request, services, known=True)
    except RefusedError as refused:
        raise UserError(f"{what}: the service refuses it: {refused}") from None
    except UnavailableError as error:
        raise UserError(f"{what}: {error}; without a network, {alternative}") from None


class TimedSession(requests.Session):
    """A session that waits for a response so long; without a limit `requests` waits for ever."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request, as `requests.Session` does."""
        return super().request(*arguments, **{"timeout": self._timeout_s, **options})


def check_response(response: requests.Response) -> None:
    """Raise what a failed response means: a refusal in the service's own words, or an error worth another attempt.

    Gaia's DataLink refuses an unknown retrieval type with status 500, "Unknown retrieval type", and its TAP an upload
    that exceeds the quota of all anonymous users likewise. In maintenance it answers every request with a web page.

    Raises
    ------
    RefusedError, ServerError
    UnavailableError
        If the answer is a web page.
    """
    status = response.status_code
    if status >= 400:
        words = _words(response.text)
        if (400 <= status < 500 and status not in _WAIT) or _REFUSAL.search(words):
            raise RefusedError(words or f"HTTP {status}")
        raise ServerError(f"HTTP {status}" + (f", {words}" if words else ""))
    if is_web_page(response.content):
        raise UnavailableError(f"it answers with a web page: {_words(response.text) or 'empty'}")


def is_web_page(content: bytes) -> bool:
    """Return whether a response is HTML, which no service of data answers with.

    Examples
    --------
    >>> is_web_page(b"<!DOCTYPE html><html>"), is_web_page(b"<?xml version='1.0'?><VOTABLE>")
    (True, False)
    """
    return content[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _words(text: str) -> str:
    """Return what a message in HTML, XML or plain text says, without its markup."""
    text = re.sub(r"(?s)<(style|script)\b.*?</\1>", " ", text[:4000])
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:_WORDS]


def get(url: str, services: Services) -> bytes:
    """Return the content of a small file.

    Raises
    ------
    requests.RequestException
        If it cannot be had.
    """
    response = requests.get(url, timeout=services.timeout_s)
    response.raise_for_status()
    return response.content
