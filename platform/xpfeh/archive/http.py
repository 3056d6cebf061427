"""Requests to services over the network: repeated until the response is usable, and bounded in time."""

from __future__ import annotations

import html
import re
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import polars as pl
import requests
import tenacity

from xpfeh.archive.archives import Services
from xpfeh.errors import ArchiveError

_T = TypeVar("_T")


class UnavailableError(Exception):
    """The service cannot be reached, or its answer is unusable: another attempt may help, or another service."""


class ServerError(UnavailableError):
    """The service can be reached, but fails without a reason: perhaps only on this request."""


class TimeOutError(UnavailableError):
    """The service has not answered in time."""


class BadResponseError(UnavailableError):
    """The service answered, but with something other than was requested, or only part of it."""


class RefusedError(Exception):
    """The service refuses the request: retrying does not help."""


_WAIT = (408, 429)  # timeout and too many requests: the two client errors that are temporary
_GATEWAY = (502, 503, 504)  # from a proxy; its page reads "invalid response" or "not available", like a refusal
_REFUSAL = re.compile(r"unknown|quota|not (valid|supported|allowed)|permission denied", re.IGNORECASE)
_BUSY = re.compile(r"too many|active jobs", re.IGNORECASE)  # Daiquiri (AIP) reports it with status 400
_TIME_OUTS = 2  # a long wait is repeated once: five would be ten minutes
_BROKEN = (zipfile.BadZipFile, zlib.error, pl.exceptions.PolarsError, requests.exceptions.ChunkedEncodingError)
_CONNECT_S = 3.0  # a round trip, and a second one after 1 s where a packet was lost
_SHOWN = 200  # characters of a service's message


def with_retries(request: Callable[[], _T], services: Services, known: bool = False) -> _T:
    """Repeat a request until its response is usable, and return that.

    Parameters
    ----------
    request : callable
    services : Services
        Number of attempts, and waiting times.
    known : bool
        Whether the service has answered before: it then gets all attempts, otherwise only `patience_s`.

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

    def give_up(state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        slow = (state.seconds_since_start or 0.0) + state.upcoming_sleep > services.patience_s
        lost = slow and not known and not isinstance(error, BadResponseError)  # wait for a service that answers
        silent = isinstance(error, TimeOutError) and state.attempt_number >= _TIME_OUTS
        return lost or silent or state.attempt_number >= services.attempts

    retrying = tenacity.Retrying(
        stop=give_up,
        wait=tenacity.wait_exponential(multiplier=services.pause_s),
        retry=tenacity.retry_if_exception_type(UnavailableError),
        reraise=True,
    )
    try:
        return retrying(_usable, request)
    except UnavailableError as error:
        attempts = retrying.statistics["attempt_number"]
        times = "attempt" if attempts == 1 else "attempts"
        raise type(error)(f"no usable response in {attempts} {times} ({error})") from None


def _usable(request: Callable[[], _T]) -> _T:
    """Return a response, or raise its fault in one phrase: the libraries' messages are long."""
    try:
        return request()
    except requests.ConnectTimeout:  # also a Timeout, but no other request to that service would succeed
        raise UnavailableError("cannot be reached, ConnectTimeout") from None
    except requests.Timeout:
        raise TimeOutError("no answer in time") from None
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
        Name of the request in messages.
    alternative : str
        What the user can do instead.

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
        raise ArchiveError(f"{what}: the service refuses it: {refused}") from None
    except UnavailableError as error:
        raise ArchiveError(f"{what}: {error}; or {alternative}") from None


class TimedSession(requests.Session):
    """A session with a timeout; without one `requests` waits forever."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request, as `requests.Session` does."""
        timeout = (min(_CONNECT_S, self._timeout_s), self._timeout_s)
        return super().request(*arguments, **{"timeout": timeout, **options})


def check_response(response: requests.Response) -> None:
    """Raise the meaning of a failed response: a refusal in the service's own words, or an error worth a retry.

    Gaia's DataLink refuses an unknown retrieval type with status 500, "Unknown retrieval type"; so does its TAP an
    upload that exceeds the quota shared by anonymous users. During maintenance it answers every request with a web
    page, and while it is being reinstalled with a page of status 404.

    Raises
    ------
    RefusedError, ServerError
    UnavailableError
        If the answer is a web page, or a proxy's.
    """
    status, page = response.status_code, is_web_page(response.content)
    if status < 400:
        if page:
            raise UnavailableError(f"it answers with a web page: {_shorten(_words(response.text)) or 'empty'}")
        return
    words = _words(response.text)
    reason = f"HTTP {status}" + (f", {_shorten(words)}" if words else "")
    if status in (*_GATEWAY, *_WAIT) or (status == 404 and page) or (status < 500 and _BUSY.search(words)):
        raise UnavailableError(reason)
    if status < 500 or _REFUSAL.search(words):
        raise RefusedError(_shorten(words) or reason)
    raise ServerError(reason)


def is_web_page(content: bytes) -> bool:
    """Return whether a response is HTML, which no data service should send.

    Examples
    --------
    >>> is_web_page(b"<!DOCTYPE html><html>"), is_web_page(b"<?xml version='1.0'?><VOTABLE>")
    (True, False)
    """
    return content[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _words(text: str) -> str:
    """Return the text of a message: a VOTable's status, a web page's text, otherwise all of it."""
    if found := re.search(r'(?s)<INFO[^>]*value="ERROR"[^>]*>(.*?)</INFO>', text):
        text = html.unescape(re.sub(r"(?s)<!\[CDATA\[(.*?)\]\]>", r"\1", found[1]))
    elif is_web_page(text.encode()):
        text = re.sub(r"(?s)<(style|script)\b.*?</\1>", " ", text)
        text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return " ".join(text.split())


def _shorten(words: str) -> str:
    """Return the end of a long message: ESA's begin with the whole query and end with the reason."""
    return words if len(words) <= _SHOWN else "... " + words[-_SHOWN:]


def get(url: str, services: Services) -> bytes:
    """Return the content of a small file.

    Raises
    ------
    RefusedError, UnavailableError, requests.RequestException
        If it cannot be downloaded.
    """
    response = requests.get(url, timeout=services.timeout_s)
    if response.status_code == 404:  # a file, not a service: a wrong address stays wrong
        raise RefusedError(f"there is no {url}")
    check_response(response)
    return response.content
