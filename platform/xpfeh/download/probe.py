"""Does the archive have what we expect of a data release? Asked, and compared with `xpfeh.sources.releases`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import partial

import numpy as np
import polars as pl

from xpfeh.download.archive_requests import GAIA_SOURCE_COLUMNS, request_datalink
from xpfeh.download.http import PUBLIC, RefusedError, Services, run_query, with_retries
from xpfeh.errors import UserError
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.sources.releases import RELEASES, Release
from xpfeh.sources.text_lists import parse_lists
from xpfeh.xp.bases import BANDS, load_bands


class Verdict(StrEnum):
    """What a comparison shows."""

    HOLDS = "holds"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One expectation: what it is about, what we expect, what was found, and what that shows."""

    what: str
    expected: str
    found: str
    verdict: Verdict


_LONGEST = 160  # characters of what was found: a list of columns can have hundreds


def probe(release: str, services: Services = PUBLIC) -> Iterator[Finding]:
    """Yield what the archive has of a release beside what we expect; three queries and one or two spectra.

    Parameters
    ----------
    release : {"dr3", "dr4"}
    services : Services
    """
    gaia = RELEASES[release]
    services = replace(services, attempts=min(services.attempts, 2))  # an archive that is away is a finding, too
    columns = partial(_columns, services=services)
    yield _compared(f"columns of {gaia.gaia_source}", (*GAIA_SOURCE_COLUMNS, gaia.has_xp), columns, gaia.gaia_source)
    if gaia.neighbourhood and gaia.neighbours:
        names = (*gaia.neighbours, "angular_distance", "magnitude_difference")
        yield _compared(f"columns of {gaia.neighbourhood}", names, columns, gaia.neighbourhood)
    star = _one_star(gaia, services)
    if isinstance(star, UserError):
        yield Finding("a star with a spectrum", f"{gaia.has_xp} of {gaia.gaia_source}", str(star), Verdict.UNKNOWN)
    else:
        source_id, epoch = star
        verdict = Verdict.HOLDS if epoch == gaia.ref_epoch else Verdict.DIFFERS
        yield Finding("epoch of positions", f"J{gaia.ref_epoch}", f"J{epoch}", verdict)
        yield from _spectrum(source_id, gaia, services)
    yield _bases(release)


def _compared(what: str, names: tuple[str, ...], columns: Callable[[str], list[str]], table: str) -> Finding:
    expected = ", ".join(names)
    try:
        there = columns(table)
    except UserError as error:
        return Finding(what, expected, str(error), Verdict.UNKNOWN)
    if not there:
        return Finding(what, expected, "no such table", Verdict.DIFFERS)
    absent = [name for name in names if name not in there]
    if not absent:
        return Finding(what, expected, "all there", Verdict.HOLDS)
    others = [name for name in there if name not in names]
    similar = dict.fromkeys(name for each in absent for name in get_close_matches(each, others, cutoff=0.4))
    found = f"lacks {', '.join(absent)}" + (f"; there are {', '.join(similar)}" if similar else "")
    return Finding(what, expected, found[:_LONGEST], Verdict.DIFFERS)


def _columns(table: str, services: Services) -> list[str]:
    query = f"SELECT column_name FROM TAP_SCHEMA.columns WHERE table_name = '{table}'"
    frame = run_query(query, services.gaia_tap, services, table, "look it up in the archive's web page")
    return [str(name).lower() for name in frame["column_name"]] if len(frame) else []


def _one_star(gaia: Release, services: Services) -> tuple[int, float] | UserError:
    query = f"SELECT TOP 1 source_id, ref_epoch FROM {gaia.gaia_source} WHERE {gaia.has_xp} = 't'"
    try:
        frame = run_query(query, services.gaia_tap, services, "a star", "look one up in the archive's web page")
    except UserError as error:
        return error
    if frame.is_empty():
        return UserError("no star has one")
    return int(frame["source_id"][0]), float(frame["ref_epoch"][0])


def _spectrum(source_id: int, gaia: Release, services: Services) -> Iterator[Finding]:
    """Ask for one star's spectrum, and look at its columns and numbers of coefficients."""
    csv = b""
    for structure in gaia.data_structures:
        what = f"DataLink {gaia.retrieval_type}, {structure}"
        ask = partial(request_datalink, np.array([source_id]), gaia, structure, services)
        try:
            csv = with_retries(ask, services, what, "try the archive's web page")
        except RefusedError as refused:
            yield Finding(what, "accepted", f"refused: {refused}"[:_LONGEST], Verdict.DIFFERS)
            continue
        except UserError as error:
            yield Finding(what, "accepted", str(error), Verdict.UNKNOWN)
            continue
        yield Finding(what, "accepted", "accepted" if csv else "no spectrum came", Verdict.HOLDS)
        if csv:
            break
    expected = ", ".join(LIST_COLUMNS)
    if not csv:
        yield Finding("columns of spectra", expected, "no spectrum to look at", Verdict.UNKNOWN)
        return
    star = pl.read_csv(io.BytesIO(csv), infer_schema_length=0)
    yield _compared("columns of spectra", LIST_COLUMNS, lambda _: star.columns, "")
    for band in BANDS:
        name, n = f"{band}_coefficients", gaia.n_coefficients[band]
        if name in star.columns:
            count = len(parse_lists(star[name])[0])
            verdict = Verdict.HOLDS if count == n else Verdict.DIFFERS if count else Verdict.UNKNOWN
            yield Finding(f"{band.upper()} coefficients", f"{n}", f"{count}", verdict)


def _bases(release: str) -> Finding:
    """Look for the bases on this machine, which no archive has."""
    what, expected = "bases in the installed GaiaXPy", f"of {RELEASES[release].title}"
    try:
        load_bands(release)
    except UserError as error:
        return Finding(what, expected, str(error), Verdict.UNKNOWN)
    return Finding(what, expected, "there", Verdict.HOLDS)
