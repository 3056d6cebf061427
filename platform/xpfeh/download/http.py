"""Requests to services over the network: repeated until the response is usable, and bounded in time."""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import polars as pl
import pyvo
import requests
import tenacity
from astropy.table import Table

from xpfeh.errors import UserError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Services:
    """Where the services are, and how patient to be with them.

    Attributes
    ----------
    datalink : str
        Gaia's DataLink: spectra by source_id.
    gaia_tap, vizier_tap : str
        Table Access Protocol (IVOA TAP 1.1) of the Gaia archive and of VizieR.
    timeout_s : float
        Longest silence of a service, s.
    attempts : int
        Requests before giving up.
    pause_s : float
        Wait before the second attempt, s; it doubles each time.
    """

    datalink: str = "https://gea.esac.esa.int/data-server/data"
    gaia_tap: str = "https://gea.esac.esa.int/tap-server/tap"
    vizier_tap: str = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"
    timeout_s: float = 120.0
    attempts: int = 5
    pause_s: float = 2.0


PUBLIC = Services()
"""The services that everyone uses; tests give a server of this machine."""

_MOST_ROWS = 10_000_000  # without it each TAP service applies a limit of its own, which may be a few thousand


class BadResponseError(Exception):
    """The service responded, but not with what was asked for: ask again."""


class RefusedError(Exception):
    """The service says that it does not do what was asked for: to ask again is of no use."""


_WAIT = (408, 429)  # timeout and too many requests: the two statuses of a client's error that pass by themselves
_WORTH_ANOTHER_ATTEMPT = (
    requests.RequestException,
    pyvo.dal.DALAccessError,
    zipfile.BadZipFile,
    zlib.error,
    pl.exceptions.PolarsError,
    BadResponseError,
)


def with_retries(request: Callable[[], _T], services: Services, what: str, alternative: str) -> _T:
    """Repeat a request until its response is usable, and return that.

    Parameters
    ----------
    request : callable
    services : Services
        How often, and how long to wait.
    what : str
        What is asked for, in messages.
    alternative : str
        What a user without a network can do instead.

    Raises
    ------
    UserError
        If no response is usable, or the service refuses the request.

    Examples
    --------
    >>> with_retries(lambda: "spectra", PUBLIC, "spectra", "copy them from a colleague")
    'spectra'
    """
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(services.attempts),
        wait=tenacity.wait_exponential(multiplier=services.pause_s),
        # PyVO derives a query that is refused from a service that cannot be reached.
        retry=tenacity.retry_if_exception_type(_WORTH_ANOTHER_ATTEMPT)
        & tenacity.retry_if_not_exception_type(pyvo.dal.DALQueryError),
        reraise=True,
    )
    try:
        return retrying(request)
    except pyvo.dal.DALQueryError as error:
        raise UserError(f"{what}: the service refuses it: {' '.join(str(error.reason).split())}") from None
    except _WORTH_ANOTHER_ATTEMPT as error:
        # What libraries say of a lost connection is long; what we found wrong with a response is one phrase.
        reason = error if isinstance(error, BadResponseError) else type(error).__name__
        message = f"{what}: no usable response in {services.attempts} attempts ({reason})"
        raise UserError(f"{message}; without a network, {alternative}") from None


def run_query(
    query: str,
    tap: str,
    services: Services,
    what: str,
    alternative: str,
    uploads: Mapping[str, Table] | None = None,
) -> pl.DataFrame:
    """Return the table with which a TAP service responds to an ADQL query; see `with_retries` for the parameters.

    `uploads` are tables that the query calls ``TAP_UPLOAD.NAME``.

    Raises
    ------
    UserError
        If no response is usable, the service refuses the query, or cuts its response short.
    """
    session = _Session(services.timeout_s)

    def request() -> pl.DataFrame:
        result = pyvo.dal.TAPService(tap, session=session).run_sync(query, maxrec=_MOST_ROWS, uploads=uploads)
        if result.query_status == "OVERFLOW":
            raise UserError(f"{what}: the service cuts its response after {len(result)} rows; ask for less at a time")
        return _frame(result.to_table())

    with warnings.catch_warnings():
        # A response that is cut is an error, above.
        warnings.filterwarnings("ignore", category=pyvo.dal.exceptions.DALOverflowWarning)
        return with_retries(request, services, what, alternative)


class _Session(requests.Session):
    """A session that waits for a response so long; PyVO would wait for ever."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        return super().request(*arguments, **{"timeout": self._timeout_s, **options})


def check_status(response: requests.Response) -> None:
    """Raise what a failed response means: a refusal with the service's own words, or an error worth another attempt.

    Gaia's DataLink refuses an unknown retrieval type with status 500, "Unknown retrieval type".

    Raises
    ------
    RefusedError, requests.HTTPError
    """
    words = " ".join(re.sub(r"<[^>]*>", " ", response.text[:2000]).split()) if response.status_code >= 400 else ""
    client_error = 400 <= response.status_code < 500 and response.status_code not in _WAIT
    if client_error or re.search("unknown|invalid|not (valid|supported|allowed)", words, re.IGNORECASE):
        raise RefusedError(words[:200] or f"status {response.status_code}")
    response.raise_for_status()


def get(url: str, services: Services) -> bytes:
    """Return the content of a small file."""
    response = requests.get(url, timeout=services.timeout_s)
    response.raise_for_status()
    return response.content


def _frame(table: Table) -> pl.DataFrame:
    """Masked values become null; through Python's integers, since a column with nulls would pass through floats."""
    return pl.DataFrame({name: pl.Series(name, table[name].tolist()) for name in table.colnames})
