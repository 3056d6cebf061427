"""Which stars have XP spectra: from a column of gaia_source or all_source_flags, with various names and types."""

from __future__ import annotations

import re
from collections.abc import Sequence

from astropy.table import Table

from xpfeh.archive.archive_facts import recall, remember
from xpfeh.archive.archives import GaiaArchive
from xpfeh.archive.gaia_tap import FLAGS, SOURCES, GaiaTap, Tables
from xpfeh.releases import RELEASES

TOPIC = "has_xp"
_OTHER_PRODUCTS = ("sampled", "epoch", "sso", "crowd", "gravlens")
"""Parts of column names that mean other products than mean spectra as coefficients."""


def with_spectra(tap: GaiaTap, select: str, where: str) -> Table:
    """Return a selection of the stars with XP spectra, or of all stars where no column marks them.

    Parameters
    ----------
    tap : GaiaTap
    select : str
        "SELECT" and columns of ``g``, gaia_source.
    where : str
        Another condition on ``g``.

    Raises
    ------
    UserError
        If no archive responds, or each refuses the query.
    """
    tried: dict[str, list[str]] = {}

    def build(archive: GaiaArchive, tables: Tables) -> list[str]:
        conditions = list(dict.fromkeys([*_recall_columns(tap.release, archive), *conditions_of(tables, tap.release)]))
        tried[archive.tap] = conditions
        return [_query(tables, select, where, condition) for condition in conditions]

    answer = tap.ask("stars with spectra", build, "look them up on the archive's web page")
    if accepted := tried[answer.archive.tap][answer.number]:
        remember(tap.release, TOPIC, answer.archive.tap, accepted)
    return answer.table


def _recall_columns(release: str, archive: GaiaArchive) -> list[str]:
    condition = recall(release, TOPIC, archive.tap)
    return [condition] if isinstance(condition, str) else []


def _query(tables: Tables, select: str, where: str, condition: str) -> str:
    joined = f" JOIN {tables.full_name(FLAGS)} AS f ON f.source_id = g.source_id" if condition.startswith("f.") else ""
    conditions = f"{condition} AND {where}" if condition else where
    return f"{select} FROM {tables.full_name(SOURCES)} AS g{joined} WHERE {conditions}"


def conditions_of(tables: Tables, release: str) -> list[str]:
    """Return the conditions to try, in order: on columns of ``g``, gaia_source, or ``f``, all_source_flags.

    A boolean column is compared with text, as in the archive's documentation; a numeric one must be above 0. Without
    such a column the only condition is empty.

    Examples
    --------
    >>> conditions_of(Tables("gaiadr4", {"gaia_source": {"has_xp_continuous": "boolean"}}), "dr4")
    ["g.has_xp_continuous = 't'", "g.has_xp_continuous = 'true'"]
    >>> conditions_of(Tables("gaiadr4", {"all_source_flags": {"has_mean_xp": "unsignedByte"}}), "dr4")
    ['f.has_mean_xp > 0']
    """
    conditions: list[str] = []
    for alias, table in (("g", SOURCES), ("f", FLAGS)):
        types = tables.columns.get(table, {})
        for name in columns_of(list(types) if tables.columns else None, release, table):
            conditions += _tests(f"{alias}.{name}", types.get(name, "boolean"))
    return conditions or [""]


def columns_of(there: Sequence[str] | None, release: str, table: str = SOURCES) -> list[str]:
    """Return the columns of a table that may mark stars with spectra: expected names first, then similar ones.

    Examples
    --------
    >>> columns_of(["has_rvs", "has_xp_sampled", "has_xp_mean_spectra"], "dr4")
    ['has_xp_mean_spectra']
    """
    expected = RELEASES[release].has_xp
    if there is None:  # the archive does not list its columns
        return list(expected[:1]) if table == SOURCES else []
    alike = [name for name in there if re.match(r"has_(\w+_)?xp(_|$)", name)]
    alike = [name for name in alike if not any(word in name for word in _OTHER_PRODUCTS)]
    return list(dict.fromkeys([*(name for name in expected if name in there), *alike]))


def _tests(column: str, datatype: str) -> list[str]:
    if re.search("bool|char", datatype, re.IGNORECASE):
        return [f"{column} = 't'", f"{column} = 'true'"]
    return [f"{column} > 0"]
