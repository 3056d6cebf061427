"""Asking services over the network: sound answers or another try, and files that are whole or not there."""

from __future__ import annotations

import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pyvo
import requests
from astropy.table import Table

from xpfeh.errors import UserError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Services:
    """Where the services are, and how patient to be with them."""

    datalink: str = "https://gea.esac.esa.int/data-server/data"
    gaia_tap: str = "https://gea.esac.esa.int/tap-server/tap"
    vizier_tap: str = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"
    bulk: str = "https://cdn.gea.esac.esa.int/Gaia/gdr3/Spectroscopy/xp_continuous_mean_spectrum"
    timeout_s: float = 120.0
    tries: int = 5
    pause_s: float = 2.0


PUBLIC = Services()
"""The real ones."""


class UnsoundError(Exception):
    """The service answered, but not with what was asked for: ask again."""


def run_query(query: str, tap: str, services: Services, what: str, by_hand: str) -> pl.DataFrame:
    """Return the answer of a TAP service to an ADQL query.

    Raises
    ------
    UserError
        If there is no sound answer, the service refuses the query, or cuts its answer short.
    """
    session = _Session(services.timeout_s)

    def ask() -> pl.DataFrame:
        result = pyvo.dal.TAPService(tap, session=session).run_sync(query, maxrec=10_000_000)
        if result.query_status == "OVERFLOW":
            raise UserError(f"{what}: the service cuts its answer after {len(result)} rows; ask for less at a time")
        return _frame(result.to_table())

    with warnings.catch_warnings():
        # An answer that is cut is an error, above.
        warnings.filterwarnings("ignore", category=pyvo.dal.exceptions.DALOverflowWarning)
        return trying(ask, services, what, by_hand)


class _Session(requests.Session):
    """A session that waits for an answer so long; PyVO would wait for ever."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        return super().request(*arguments, **{"timeout": self._timeout_s, **options})


_NO_ANSWER = (
    requests.RequestException,
    pyvo.dal.DALAccessError,
    zipfile.BadZipFile,
    zlib.error,
    pl.exceptions.PolarsError,
    UnsoundError,
    OSError,
)


def trying(ask: Callable[[], _T], services: Services, what: str, by_hand: str) -> _T:
    """Ask until there is a sound answer, pausing twice as long each time."""
    for attempt in range(services.tries):
        try:
            return ask()
        except pyvo.dal.DALQueryError as error:
            raise UserError(f"{what}: the service refuses it: {' '.join(str(error.reason).split())}") from None
        except _NO_ANSWER as error:
            last: Exception = error
            if attempt + 1 < services.tries:
                time.sleep(services.pause_s * 2**attempt)
    told = f"{what}: no sound answer in {services.tries} tries ({type(last).__name__})"
    raise UserError(f"{told}; without a network, {by_hand}") from None


def get(url: str, services: Services) -> bytes:
    """Return the content of a small file."""
    reply = requests.get(url, timeout=services.timeout_s)
    reply.raise_for_status()
    return reply.content


def _frame(table: Table) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(name, table[name].tolist()) for name in table.colnames})


def place(path: Path, content: bytes) -> None:
    """Write a file that is either not there or whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    temporary.rename(path)
