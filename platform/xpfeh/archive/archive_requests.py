"""One request to Gaia's archives: the spectra, or the photometry, of some stars of a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from astropy.table import Table
from numpy.typing import NDArray

from xpfeh.archive.archives import GaiaArchive, Services
from xpfeh.archive.datalink import DataLink, check_ids, ids_of_csv
from xpfeh.archive.gaia_tap import PHOTOMETRY, SOURCES, GaiaTap, Tables, first_answer
from xpfeh.archive.tap import to_frame
from xpfeh.errors import UserError
from xpfeh.labels.neighbourhood import IDENTIFIERS
from xpfeh.releases import IDS_PER_REQUEST, RELEASES
from xpfeh.sources import companions
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.tables.lists import number_lists
from xpfeh.xp.parallax import PARALLAX_INPUTS

POSITIONS = ("ra", "dec", "l", "b", "pmra", "pmdec", "ref_epoch")
MAGNITUDES = companions.PHOTOMETRY[2:]
GAIA_SOURCE_COLUMNS = ("source_id", *POSITIONS, *MAGNITUDES, *PARALLAX_INPUTS)
"""Queried where they exist; the others are null. A missing excess factor is computed."""
_SCHEMA = {name: pl.Int64 if name == "source_id" else pl.Float64 for name in GAIA_SOURCE_COLUMNS}

_ZERO_POINT_OF_DR3 = ("nu_eff_used_in_astrometry", "pseudocolour", "ecl_lat", "astrometric_params_solved")
"""The inputs of Lindegren's zero point, which is for DR3 only."""

IDS_PER_TAP_REQUEST = 500
"""Spectra by TAP: 26 kB per star in VOTable, and a synchronous query may take a minute."""


@dataclass(frozen=True)
class SpectraResponse:
    """Some stars' spectra as CSV in DataLink's form, and the archive they come from."""

    csv: bytes
    archive: GaiaArchive

    @property
    def whole(self) -> bool:
        """Whether this is all that ESA's archive has for them."""
        return self.archive.data is not None


def stars_per_request(services: Services) -> int:
    """Return the number of stars per request: fewer while DataLink is down and a mirror's TAP is queried."""
    links = [archive.data for archive in services.archives if archive.data is not None]
    by_datalink = any(services.state.why_down(url) is None for url in links)
    return IDS_PER_REQUEST if by_datalink else IDS_PER_TAP_REQUEST


def request_spectra(ids: NDArray[np.int64], release: str, services: Services) -> SpectraResponse:
    """Return the spectra (K,) of the stars that have one; empty if none has.

    Raises
    ------
    UserError
        If no archive returns a usable response.
    """

    def ask(archive: GaiaArchive) -> SpectraResponse:
        if archive.data is not None:
            return SpectraResponse(DataLink(release, archive, services).spectra(ids), archive)
        return SpectraResponse(_spectra_by_tap(ids, release, archive, services), archive)

    gaia = RELEASES[release]
    alternative = (
        f"download {gaia.retrieval_types[0]} as {gaia.data_structures[0]} CSV from the archive's DataLink into a "
        f"folder and give that as spectra; xpfeh probe {release} shows what works"
    )
    return first_answer("spectra", ask, services, alternative)


def _spectra_by_tap(ids: NDArray[np.int64], release: str, archive: GaiaArchive, services: Services) -> bytes:
    tap, table = GaiaTap(release, services), str(archive.spectra)
    parts = []
    for start in range(0, len(ids), IDS_PER_TAP_REQUEST):
        chunk = ids[start : start + IDS_PER_TAP_REQUEST]
        found = tap.ask_one(archive, partial(_select_spectra, table=table, ids=chunk)).table
        if len(found):
            parts.append(_to_csv(found))
    csv = b"".join(part if number == 0 else part.partition(b"\n")[2] for number, part in enumerate(parts))
    if csv:
        check_ids(ids_of_csv(csv), ids)
    return csv


def _select_spectra(_: GaiaArchive, tables: Tables, table: str, ids: NDArray[np.int64]) -> str | None:
    if tables.columns and not tables.has(table):
        return None
    names = ", ".join(("source_id", *LIST_COLUMNS))
    return f"SELECT {names} FROM {tables.full_name(table)} WHERE source_id IN ({_id_list(ids)})"


def _to_csv(table: Table) -> bytes:
    """Return spectra as DataLink writes them; single precision in its shortest decimals, as there."""
    columns: dict[str, pl.Series] = {"source_id": pl.Series(table["source_id"].tolist(), dtype=pl.Int64)}
    for name in LIST_COLUMNS:
        single = any(np.ma.asarray(cell).dtype == np.float32 for cell in table[name])
        lists = pl.Series(number_lists(table[name])).cast(pl.List(pl.Float32 if single else pl.Float64))
        text = "(" + lists.cast(pl.List(pl.String)).list.join(", ") + ")"
        columns[name] = text.set(lists.list.len() == 0, None)
    return pl.DataFrame(columns).write_csv().encode()


@dataclass(frozen=True)
class TableResponse:
    """Some stars' rows of a table, and whether this is all that the table has for them: a mirror may lack rows."""

    frame: pl.DataFrame
    whole: bool


def request_photometry(ids: NDArray[np.int64], release: str, services: Services) -> TableResponse:
    """Return the `GAIA_SOURCE_COLUMNS` of the stars that an archive has; missing values are null.

    In DR4 gaia_source holds only the best sources; the others are looked up in all_source_photometry.

    Raises
    ------
    UserError
        If no archive gives a usable response, or each refuses the query.
    """
    alternative = f"download these stars of {RELEASES[release].title}'s gaia_source from the archive as CSV"
    expected, known = columns_expected(release), columns_of_use(release)

    def build(_: GaiaArchive, tables: Tables) -> str:
        return _select(tables, SOURCES, known if tables.columns else expected, ids)

    answer = GaiaTap(release, services).ask("photometry", build, alternative)
    found, whole = to_frame(answer.table, _SCHEMA), answer.archive.data is not None
    others = np.setdiff1d(ids, found["source_id"].to_numpy())
    if others.size and answer.tables.has(PHOTOMETRY):
        try:
            more = _photometry_of_all(others, release, services.only(answer.archive.name), alternative)
            found = pl.concat([found, more])
        except UserError as error:  # spectra need no magnitudes: keep what has arrived
            services.state.notice(f"no magnitudes for {len(others)} source(s): {error}")
            whole = False
    return TableResponse(found, whole)


def _photometry_of_all(ids: NDArray[np.int64], release: str, services: Services, alternative: str) -> pl.DataFrame:
    """Return photometry from the table of all sources for stars that are not among the best."""
    names = ("source_id", *POSITIONS, *MAGNITUDES)
    more = GaiaTap(release, services).ask(
        "photometry", lambda _, tables: _select(tables, PHOTOMETRY, names, ids), alternative
    )
    return to_frame(more.table, _SCHEMA)


def columns_of_use(release: str) -> tuple[str, ...]:
    """Return the columns of a release's gaia_source to query, where they exist.

    >>> "ecl_lat" in columns_of_use("dr3"), "ecl_lat" in columns_of_use("dr4")
    (True, False)
    """
    return tuple(name for name in GAIA_SOURCE_COLUMNS if release == "dr3" or name not in _ZERO_POINT_OF_DR3)


def columns_expected(release: str) -> tuple[str, ...]:
    """Return the columns of `columns_of_use` that a release is expected to have."""
    other = "tentative_parallax_bias" if release == "dr3" else "phot_bp_rp_excess_factor"
    return tuple(name for name in columns_of_use(release) if name != other)


def request_neighbours(ids: NDArray[np.int64], release: str, services: Services) -> TableResponse:
    """Return the rows, all columns, of a release's table of neighbours for stars of the previous release.

    Raises
    ------
    UserError
        If no archive gives a usable response, or each refuses the query.
    """
    table, (former, _) = str(RELEASES[release].neighbourhood), IDENTIFIERS[release]

    def build(_: GaiaArchive, tables: Tables) -> str:
        return f"SELECT n.* FROM {tables.full_name(table)} AS n WHERE n.{former} IN ({_id_list(ids)})"

    alternative = f"download these stars' rows of {table} from the archive as CSV"
    answer = GaiaTap(release, services).ask(table, build, alternative)
    return TableResponse(to_frame(answer.table), answer.archive.data is not None)


def _select(tables: Tables, table: str, names: Sequence[str], ids: NDArray[np.int64]) -> str:
    there = ", ".join(tables.among(table, names))
    return f"SELECT {there} FROM {tables.full_name(table)} WHERE source_id IN ({_id_list(ids)})"


def _id_list(ids: NDArray[np.int64]) -> str:
    return ",".join(map(str, ids.tolist()))
