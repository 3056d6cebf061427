"""Queries of Gaia's tables, at ESA's archive or, if it is down, at a mirror, with each one's own names.

An archive's tables and columns are looked up once a day: a query names only what exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from astropy.table import Table

from xpfeh.archive.archive_facts import recall, remember
from xpfeh.archive.archives import GaiaArchive, Services
from xpfeh.archive.http import RefusedError, UnavailableError, with_retries
from xpfeh.archive.login import session_at
from xpfeh.archive.tap import query_once, to_frame
from xpfeh.errors import ArchiveError, UserError
from xpfeh.releases import RELEASES

_T = TypeVar("_T")

SOURCES, PHOTOMETRY, FLAGS = "gaia_source", "all_source_photometry", "all_source_flags"
"""Tables of sources: the best ones (in DR3, all), and, in DR4, photometry and flags of all sources."""
_LOOKED_UP = (SOURCES, PHOTOMETRY, FLAGS, "dr3_neighbourhood", "xp_continuous_mean_spectrum")
TABLES = "tables"
"""The topic under which an archive's tables are remembered."""
_PING = "SELECT schema_name FROM TAP_SCHEMA.schemas"
_FRESH_S = 24 * 3600  # the archive's tables change with a data release


@dataclass(frozen=True)
class Tables:
    """An archive's tables of a release.

    Attributes
    ----------
    schema : str
        Prefix of its tables.
    columns : mapping
        Columns and data types of each table that the archive has and xpfeh uses. Empty: the archive does not list them.
    """

    schema: str
    columns: Mapping[str, Mapping[str, str]]

    def full_name(self, table: str) -> str:
        """Return the name of a table in a query, with its prefix."""
        return f"{self.schema}.{table}"

    def has(self, table: str) -> bool:
        """Return whether the archive has a table."""
        return table in self.columns

    def among(self, table: str, names: Iterable[str]) -> list[str]:
        """Return which of these columns a table has; all, if the archive does not list them."""
        return [name for name in names if not self.columns or name in self.columns.get(table, {})]


@dataclass(frozen=True)
class QueryResult:
    """A table, the archive it came from, what that archive has, and which of several queries returned the table."""

    table: Table
    archive: GaiaArchive
    tables: Tables
    number: int


Build = Callable[[GaiaArchive, Tables], str | Sequence[str] | None]
"""Makes one or more queries for an archive, of which the first accepted one counts; None: it has no such table."""


class GaiaTap:
    """Queries the archives for a release's tables, in order.

    Parameters
    ----------
    release : {"dr3", "dr4"}
    services : Services
    """

    def __init__(self, release: str, services: Services) -> None:
        self.release = release
        self.services = services

    def ask(self, what: str, build: Build, alternative: str, refusal_is_final: bool = False) -> QueryResult:
        """Return the response of the first archive that has one; see `first_answer`.

        Raises
        ------
        UserError
            If no archive returns a usable response; the message names the reason for each.
        """
        ask = partial(self.ask_one, build=build)
        return first_answer(what, ask, self.services, alternative, refusal_is_final)

    def ask_one(self, archive: GaiaArchive, build: Build, uploads: Mapping[str, Table] | None = None) -> QueryResult:
        """Return the response of one archive; the query refers to `uploads` as ``TAP_UPLOAD.NAME``.

        Raises
        ------
        RefusedError
            If it refuses all queries, or has neither the release nor the table.
        UnavailableError
            If it returns no usable response; it is not queried again for a while.
        """
        tables = self.tables(archive)
        built = build(archive, tables)
        queries = [built] if isinstance(built, str) else list(built or ())
        refusals = []
        for number, query in enumerate(queries):
            try:
                return QueryResult(self._run(archive, query, self.services.timeout_s, uploads), archive, tables, number)
            except RefusedError as refused:
                refusals.append(str(refused))
        raise RefusedError("; ".join(dict.fromkeys(refusals)) or "it has no such table")

    def tables(self, archive: GaiaArchive) -> Tables:
        """Return an archive's tables of the release, looked up once a day.

        Raises
        ------
        RefusedError
            If the archive does not have the release.
        UnavailableError
            If it does not answer.
        """
        found = recall(self.release, TABLES, archive.tap, _FRESH_S)
        if found is None:
            return self._look_up(archive)
        self.check(archive)  # a short query before a long one shows whether the service hangs
        return Tables(found["schema"], found["columns"])

    def check(self, archive: GaiaArchive) -> None:
        """Raise an `UnavailableError` if an archive's TAP does not answer a short query."""
        if not self.services.state.has_answered(archive.tap):
            self._run(archive, _PING, self.services.answer_s)

    def _look_up(self, archive: GaiaArchive) -> Tables:
        gaia = RELEASES[self.release]
        which = " OR ".join(f"table_name LIKE '%{name}'" for name in _LOOKED_UP)
        query = f"SELECT table_name, column_name, datatype FROM TAP_SCHEMA.columns WHERE {which}"
        try:
            rows = to_frame(self._run(archive, query, self.services.answer_s)).rows()
        except RefusedError:  # it does not list its tables: assume the expected names
            return Tables(gaia.schemas[0], {})
        by_schema: dict[str, dict[str, dict[str, str]]] = {}
        for table_name, column, datatype in rows:
            schema, _, table = str(table_name).strip('"').rpartition(".")
            if table in _LOOKED_UP:
                by_schema.setdefault(schema, {}).setdefault(table, {})[str(column).strip('"').lower()] = str(datatype)
        there = {schema: tables for schema, tables in by_schema.items() if SOURCES in tables}
        chosen = choose_schema(there, self.release)
        if chosen is None and not any(there):  # names without a prefix: their release is unknown
            return Tables(gaia.schemas[0], {})
        if chosen is None:
            others = f"; it has {', '.join(sorted(there))}" if there else ""
            raise RefusedError(f"it has no table {gaia.schemas[0]}.{SOURCES}, nor one like it{others}")
        remember(self.release, TABLES, archive.tap, {"schema": chosen, "columns": there[chosen]})
        return Tables(chosen, there[chosen])

    def _run(
        self, archive: GaiaArchive, query: str, timeout_s: float, uploads: Mapping[str, Table] | None = None
    ) -> Table:
        state, services = self.services.state, self.services
        if (reason := state.why_down(archive.tap)) is not None:
            raise UnavailableError(reason)
        request = partial(query_once, archive.tap, query, session_at(archive, timeout_s), uploads)
        try:
            table = with_retries(request, services, known=state.has_answered(archive.tap))
        except UnavailableError as error:
            state.down(archive.tap, str(error))
            raise
        except RefusedError:
            state.answered(archive.tap)
            raise
        state.answered(archive.tap)
        table.rename_columns(table.colnames, [name.lower() for name in table.colnames])
        return table


def choose_schema(schemas: Iterable[str], release: str) -> str | None:
    """Return the prefix of a release's tables: an expected one, else one with the release's number, else None.

    Examples
    --------
    >>> choose_schema(["gaiadr3", "gaiaedr3", "gaia_release_dr4"], "dr4")
    'gaia_release_dr4'
    >>> choose_schema(["gaiadr3", "gaiaedr4"], "dr4") is None
    True
    """
    schemas = sorted(schemas)
    expected = [schema for schema in RELEASES[release].schemas if schema in schemas]
    number = re.compile(rf"(?<!e)dr_?{release.removeprefix('dr')}(?!\d)", re.IGNORECASE)  # EDR4 is not DR4
    return next(iter([*expected, *filter(number.search, schemas)]), None)


def first_answer(
    what: str,
    ask: Callable[[GaiaArchive], _T],
    services: Services,
    alternative: str,
    refusal_is_final: bool = False,
) -> _T:
    """Return the answer of the first archive that has one, and warn if it is not the first on the list.

    Parameters
    ----------
    what : str
        Name of the request in messages.
    ask : callable
        Queries one archive, and raises `RefusedError` or `UnavailableError` if it has no answer.
    services : Services
    alternative : str
        What the user can do instead.
    refusal_is_final : bool
        Whether a request that one archive refuses is not sent to the next.

    Raises
    ------
    UserError
        If no archive has an answer; the message names the reason for each.
    """
    reasons: list[str] = []
    for archive in services.archives:
        try:
            answer = ask(archive)
        except RefusedError as refused:
            if refusal_is_final:
                raise ArchiveError(f"{what}: {archive.title} refuses it: {refused}") from None
            reasons.append(f"{archive.title} refuses it: {refused}")
        except UnavailableError as error:
            reasons.append(f"{archive.title}: {error}")
        except UserError as error:
            raise ArchiveError(f"{what}: {error}") from None
        else:
            if reasons:
                services.state.notice(f"{what} from {archive.title}, since {'; '.join(reasons)}")
            return answer
    raise ArchiveError(f"{what}: {'; '.join(reasons)}; or {alternative}")
