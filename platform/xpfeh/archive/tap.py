"""One query to a TAP service (IVOA Table Access Protocol 1.1), and its response as a table."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from functools import partial

import polars as pl
import pyvo
import requests
from astropy.io.votable import parse
from astropy.table import Table

from xpfeh.archive.archives import Services
from xpfeh.archive.http import BadResponseError, RefusedError, TimedSession, check_response, or_user_error
from xpfeh.errors import ArchiveError

_MOST_ROWS = 10_000_000  # without it each TAP service applies its own limit, which may be a few thousand


def query_once(tap: str, query: str, session: requests.Session, uploads: Mapping[str, Table] | None = None) -> Table:
    """Return a service's response to an ADQL query; the query refers to `uploads` as ``TAP_UPLOAD.NAME``.

    Raises
    ------
    RefusedError
        If the service refuses the query.
    UnavailableError
        If it returns no usable response.
    UserError
        If it cuts its response short.
    requests.RequestException
        If it cannot be reached.
    """
    request = pyvo.dal.TAPQuery(tap, query, maxrec=_MOST_ROWS, uploads=uploads, session=session)
    response = request.submit()
    content = response.content
    check_response(response)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about small breaches of the standard; a truncated response is an error below
        try:
            results = pyvo.dal.TAPResults(parse(io.BytesIO(content), verify="ignore"))
        except pyvo.dal.DALQueryError as error:
            raise RefusedError(" ".join(str(error.reason).split())) from None
        except Exception as error:  # from expat, VOTable's own hierarchy, ValueError, IndexError
            raise BadResponseError(f"not a VOTable, {type(error).__name__}") from None
        # A query with its own TOP limit is not truncated, whatever status the service reports.
        if results.query_status == "OVERFLOW" and not re.search(r"\bTOP\s+\d", query, re.IGNORECASE):
            raise ArchiveError(f"the service cuts its response after {len(results)} rows; request fewer at a time")
        return results.to_table()


def to_frame(table: Table, schema: Mapping[str, type[pl.DataType]] | None = None) -> pl.DataFrame:
    """Return a table of one value per cell; masked ones become null.

    With a schema, return its columns alone; one that the table lacks is null.
    """
    # Via Python integers: a column with nulls would pass through floats.
    frame = pl.DataFrame({name: pl.Series(name, table[name].tolist()) for name in table.colnames})
    if schema is None:
        return frame
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None).alias(name)).cast(kind)
        for name, kind in schema.items()
    )


def query_vizier(query: str, services: Services, what: str, alternative: str) -> pl.DataFrame:
    """Return VizieR's response, which has no mirrors; see `xpfeh.archive.http.or_user_error`.

    Raises
    ------
    UserError
        If no response is usable, the service refuses the query, or cuts its response short.
    """
    ask = partial(query_once, services.vizier_tap, query, TimedSession(services.timeout_s))
    return to_frame(or_user_error(ask, services, what, alternative))
