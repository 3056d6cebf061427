"""Does the archive have what we expect of a data release, and what should be done if not?"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

import numpy as np
import polars as pl

from xpfeh.archive.archive_facts import forget, recall
from xpfeh.archive.archive_requests import columns_expected
from xpfeh.archive.archives import PUBLIC, GaiaArchive, Services
from xpfeh.archive.availability import columns_of, conditions_of, with_spectra
from xpfeh.archive.datalink import TOPIC, DataLink
from xpfeh.archive.gaia_tap import FLAGS, PHOTOMETRY, SOURCES, GaiaTap, Tables
from xpfeh.archive.http import RefusedError, UnavailableError
from xpfeh.errors import UserError
from xpfeh.labels.neighbourhood import IDENTIFIERS
from xpfeh.releases import RELEASES
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.tables.lists import parse_lists
from xpfeh.xp.bases import BANDS, load_bands


class Verdict(StrEnum):
    """The result of a comparison."""

    HOLDS = "holds"
    ADAPTED = "adapted"  # differs from what was expected, but is handled
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One expectation: its subject, what we expect, what was found, the verdict, and what to do."""

    what: str
    expected: str
    found: str
    verdict: Verdict
    advice: str = ""


_LONGEST = 200  # characters shown: a list of columns can be long
_NEEDED = ("source_id", "ra", "dec", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")
"""Without these a star has no colour, magnitude or position from Gaia; all else can be computed, or is flagged."""
_LATER = "it does not respond now: try again in an hour, or see its news at cosmos.esa.int/web/gaia"
_MIRROR = "mirror "
_WITHOUT = "results lack these values, as flags show; or give your own table with --photometry"
_RELEASES_FILE = "put the new value into xpfeh/releases.py, and please report it"


def probe(release: str, services: Services = PUBLIC) -> Iterator[Finding]:
    """Yield comparisons of the archives with what we expect of a release: small queries, and one star's spectrum.

    Parameters
    ----------
    release : {"dr3", "dr4"}
    services : Services
    """
    first, *mirrors = services.archives
    tap = GaiaTap(release, services.only(first.name))
    forget(release)  # earlier facts may have changed
    try:
        tables = tap.tables(first)
    except RefusedError as refused:
        yield _not_published(release, first, str(refused))
    except UnavailableError as error:
        yield Finding(f"tables at {first.title}", "an answer", str(error)[:_LONGEST], Verdict.UNKNOWN, _LATER)
    else:
        yield from _tables(release, tables)
        yield from _star_and_spectrum(release, tap, tables, first, services)
    yield _bases(release)
    for mirror in mirrors:
        yield _mirror(release, mirror, services)


def advice(findings: Sequence[Finding]) -> list[str]:
    """Return what to do about the findings, one line each.

    Examples
    --------
    >>> advice([Finding("epoch of positions", "J2016.0", "J2016.0", Verdict.HOLDS)])
    ['nothing to do: xpfeh predict --ids works as it is']
    """
    lines = list(dict.fromkeys(f"{each.what}: {each.advice}" for each in findings if each.advice))
    whole = [each.what for each in findings if each.what.startswith(_MIRROR) and each.verdict is Verdict.HOLDS]
    mirrors = [what.removeprefix(_MIRROR) for what in whole]
    if mirrors and any(each.advice == _LATER for each in findings):
        return [*lines, f"until then photometry and spectra come from {mirrors[0]} automatically"]
    if lines:
        return lines
    return ["nothing to do: xpfeh predict --ids works as it is"]


def _not_published(release: str, archive: GaiaArchive, found: str) -> Finding:
    gaia = RELEASES[release]
    todo = f"{gaia.title} is not at {archive.title}, or has an unknown name there: try again after its release"
    expected = f"{gaia.schemas[0]}.{SOURCES}"
    return Finding(f"tables at {archive.title}", expected, found[:_LONGEST], Verdict.UNKNOWN, todo)


# --- tables -----------------------------------------------------------------------------------------------------


def _tables(release: str, tables: Tables) -> Iterator[Finding]:
    gaia = RELEASES[release]
    expected = gaia.schemas[0]
    if not tables.columns:
        yield Finding("prefix of tables", expected, "the archive does not list its tables", Verdict.UNKNOWN)
        return
    verdict = Verdict.HOLDS if tables.schema == expected else Verdict.ADAPTED
    yield Finding("prefix of tables", expected, tables.schema, verdict)
    sources = tables.columns[SOURCES]
    yield _compare(f"columns of {tables.full_name(SOURCES)}", _NEEDED, columns_expected(release), sources, _WITHOUT)
    yield _availability(release, tables)
    if gaia.all_sources:
        there = tables.columns.get(PHOTOMETRY)
        found = "there" if there else "no such table: sources that gaia_source leaves out get NO_PHOTOMETRY"
        yield Finding(tables.full_name(PHOTOMETRY), "there", found, Verdict.HOLDS if there else Verdict.ADAPTED)
    if gaia.neighbourhood:
        yield _neighbourhood(release, tables, gaia.neighbourhood)


def _compare(what: str, needed: Sequence[str], optional: Sequence[str], there: Collection[str], todo: str) -> Finding:
    expected = ", ".join(needed) + f", and {len({*optional} - {*needed})} that are optional"
    lacking = [name for name in needed if name not in there]
    absent = [name for name in optional if name not in there and name not in needed]
    if lacking:
        others = [name for name in there if name not in (*needed, *optional)]
        similar = dict.fromkeys(name for each in lacking for name in get_close_matches(each, others, cutoff=0.4))
        found = f"lacks {', '.join(lacking)}" + (f"; there are {', '.join(similar)}" if similar else "")
        return Finding(what, expected, found[:_LONGEST], Verdict.DIFFERS, todo)
    if absent:
        return Finding(what, expected, f"without {', '.join(absent)}: computed, or null", Verdict.ADAPTED)
    return Finding(what, expected, "all there", Verdict.HOLDS)


def _availability(release: str, tables: Tables) -> Finding:
    expected = RELEASES[release].has_xp[0]
    found = {table: columns_of(list(tables.columns.get(table, {})), release) for table in (SOURCES, FLAGS)}
    named = [f"{table}.{name}" for table, names in found.items() for name in names]
    what = "column of stars with spectra"
    if not named:
        return Finding(what, expected, "none: all stars in a cone are requested", Verdict.ADAPTED)
    condition = conditions_of(tables, release)[0]
    usual = named[0] == f"{SOURCES}.{expected}" and condition.endswith("= 't'")
    return Finding(what, expected, f"{named[0]} ({condition})", Verdict.HOLDS if usual else Verdict.ADAPTED)


def _neighbourhood(release: str, tables: Tables, table: str) -> Finding:
    columns, (former, newer) = tables.columns.get(table, {}), IDENTIFIERS[release]
    measured = ("angular_distance", "magnitude_difference")
    expected = ", ".join([former, newer[-1], *measured, "probable_match"])
    what = f"columns of {tables.full_name(table)}"
    if not columns:
        return Finding(what, expected, "no such table", Verdict.DIFFERS, "labels cannot be moved yet")
    found = next((name for name in newer if name in columns), None)
    if found is None or not {former, *measured} <= columns.keys():
        there = ", ".join(columns)[:_LONGEST]
        return Finding(what, expected, there, Verdict.DIFFERS, "rename its columns before xpfeh labels move")
    probable = "" if "probable_match" in columns else ", without probable_match"
    verdict = Verdict.HOLDS if found == newer[-1] and not probable else Verdict.ADAPTED
    return Finding(what, expected, f"{former}, {found}{probable}", verdict)


# --- a star -----------------------------------------------------------------------------------------------------


def _star_and_spectrum(
    release: str, tap: GaiaTap, tables: Tables, archive: GaiaArchive, services: Services
) -> Iterator[Finding]:
    gaia = RELEASES[release]
    try:
        star = with_spectra(tap, "SELECT TOP 1 g.source_id, g.ref_epoch", "1 = 1")
    except UserError as error:
        todo = "please report it" if "refuses" in str(error) else _LATER
        yield Finding("a star with a spectrum", "one", str(error)[:_LONGEST], Verdict.UNKNOWN, todo)
        return
    if not len(star):
        yield Finding("a star with a spectrum", "one", "none", Verdict.UNKNOWN, _LATER)
        return
    epoch = float(star["ref_epoch"][0])
    todo = "" if epoch == gaia.ref_epoch else f"--around matches at J{gaia.ref_epoch}; {_RELEASES_FILE}"
    verdict = Verdict.DIFFERS if todo else Verdict.HOLDS
    yield Finding("epoch of positions", f"J{gaia.ref_epoch}", f"J{epoch}", verdict, todo)
    if archive.data is not None:
        yield from _spectrum(int(star["source_id"][0]), release, archive, services)


def _spectrum(source_id: int, release: str, archive: GaiaArchive, services: Services) -> Iterator[Finding]:
    """Request one star's spectrum, and check its columns and numbers of coefficients."""
    gaia = RELEASES[release]
    what, expected = "DataLink's retrieval type and structure", f"{gaia.retrieval_types[0]}, {gaia.data_structures[0]}"
    try:
        csv = DataLink(release, archive, services).spectra(np.array([source_id]))
    except RefusedError as refused:
        todo = f"look up the new ones on its web page; {_RELEASES_FILE}"
        yield Finding(what, expected, f"refused: {refused}"[:_LONGEST], Verdict.DIFFERS, todo)
        return
    except UnavailableError as error:
        yield Finding(what, expected, str(error)[:_LONGEST], Verdict.UNKNOWN, _LATER)
        return
    if not csv:
        yield Finding(what, expected, "accepted, but no spectrum in the answer", Verdict.UNKNOWN, _LATER)
        return
    found = ", ".join(recall(release, TOPIC, str(archive.data)) or ())
    yield Finding(what, expected, found, Verdict.HOLDS if found == expected else Verdict.ADAPTED)
    star = pl.read_csv(io.BytesIO(csv), infer_schema_length=0)
    correlations = [name for name in LIST_COLUMNS if name.endswith("correlations")]
    needed = [name for name in LIST_COLUMNS if name not in correlations]
    yield _compare("columns of spectra", needed, correlations, star.columns, _RELEASES_FILE)
    for band in BANDS:
        name, n = f"{band}_coefficients", gaia.n_coefficients[band]
        if name in star.columns:
            yield _coefficients(band, n, len(parse_lists(star[name].cast(pl.Binary))[0]))


def _coefficients(band: str, expected: int, count: int) -> Finding:
    what = f"{band.upper()} coefficients"
    if count in (expected, 0):  # a star may lack a band
        return Finding(what, f"{expected}", f"{count}", Verdict.HOLDS if count else Verdict.UNKNOWN)
    todo = f"such spectra are refused until then; {_RELEASES_FILE}"
    return Finding(what, f"{expected}", f"{count}", Verdict.DIFFERS, todo)


# --- elsewhere --------------------------------------------------------------------------------------------------


def _bases(release: str) -> Finding:
    """Look for the bases on this machine; no archive provides them."""
    what, expected = "bases in the installed GaiaXPy", f"of {RELEASES[release].title}"
    try:
        load_bands(release)
    except UserError as error:
        todo = "pip install --upgrade --pre gaiaxpy; until it has them, spectra can be downloaded but not calibrated"
        return Finding(what, expected, str(error)[:_LONGEST], Verdict.UNKNOWN, todo)
    return Finding(what, expected, "there", Verdict.HOLDS)


def _mirror(release: str, mirror: GaiaArchive, services: Services) -> Finding:
    what = f"{_MIRROR}{mirror.title}"
    try:
        tables = GaiaTap(release, services).tables(mirror)
    except (RefusedError, UnavailableError) as error:
        return Finding(what, "photometry, spectra", re.sub(r"\s+", " ", str(error))[:_LONGEST], Verdict.UNKNOWN)
    if not tables.columns:
        return Finding(what, "photometry, spectra", "answers, but does not list its tables", Verdict.UNKNOWN)
    has = ["photometry"] + (["spectra"] if mirror.spectra and tables.has(mirror.spectra) else [])
    verdict = Verdict.HOLDS if len(has) == 2 else Verdict.ADAPTED
    return Finding(what, "photometry, spectra", ", ".join(has), verdict)
