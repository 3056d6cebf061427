"""One request to Gaia's archives: the spectra, or the photometry, of some stars of a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from astropy.table import Table
from numpy.typing import NDArray

from xpfeh.download.archives import Archive, Services
from xpfeh.download.datalink import DataLink, check_ids, ids_of_csv
from xpfeh.download.gaia_tap import PHOTOMETRY, SOURCES, GaiaTap, Tables, notice_substitute
from xpfeh.download.http import RefusedError, UnavailableError
from xpfeh.download.tap import to_frame
from xpfeh.errors import UserError
from xpfeh.labels.neighbourhood import IDENTIFIERS
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.sources.gaia_tables import number_lists
from xpfeh.sources.releases import IDS_PER_REQUEST, RELEASES
from xpfeh.xp.parallax import PARALLAX_INPUTS

POSITIONS = ("ra", "dec", "l", "b", "pmra", "pmdec", "ref_epoch")
MAGNITUDES = ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "phot_bp_rp_excess_factor")
GAIA_SOURCE_COLUMNS = ("source_id", *POSITIONS, *MAGNITUDES, *PARALLAX_INPUTS)
"""Asked for where they are there; the others are null. Without the excess factor it is computed."""

IDS_PER_TAP_REQUEST = 500
"""Spectra by TAP: 26 kB a star in VOTable, and a synchronous query has a minute."""


@dataclass(frozen=True)
class Spectra:
    """Some stars' spectra as CSV, as DataLink writes it, and the archive that they are from."""

    csv: bytes
    archive: Archive


def stars_per_request(services: Services) -> int:
    """Return how many stars to ask for at a time: fewer where DataLink is away, and a mirror's TAP is asked."""
    links = [archive.data for archive in services.archives if archive.data is not None]
    by_datalink = any(services.state.why_away(url) is None for url in links)
    return IDS_PER_REQUEST if by_datalink else IDS_PER_TAP_REQUEST


def request_spectra(ids: NDArray[np.int64], release: str, services: Services) -> Spectra:
    """Return the spectra (K,) of those of the stars that have one, nothing if none has.

    Raises
    ------
    UserError
        If no archive gives a usable response.
    """
    reasons = []
    for archive in services.archives:
        try:
            if archive.data is not None:
                spectra = Spectra(DataLink(release, archive, services).spectra(ids), archive)
            elif archive.spectra is not None:
                spectra = Spectra(_spectra_by_tap(ids, release, archive, services), archive)
            else:
                continue
        except (RefusedError, UnavailableError) as error:
            reasons.append(f"{archive.title}: {error}")
        except UserError as error:
            raise UserError(f"spectra: {error}") from None
        else:
            notice_substitute("spectra", archive, reasons, services)
            return spectra
    gaia = RELEASES[release]
    alternative = f"download {gaia.retrieval_types[0]} as {gaia.data_structures[0]} CSV from the archive's DataLink"
    raise UserError(
        f"spectra of {gaia.title}: {'; '.join(reasons) or 'none of the archives has them'}; xpfeh probe {release} "
        f"shows what works; without a network, {alternative} into a folder and ingest that"
    )


def _spectra_by_tap(ids: NDArray[np.int64], release: str, archive: Archive, services: Services) -> bytes:
    tap, table = GaiaTap(release, services), str(archive.spectra)
    parts = []
    for start in range(0, len(ids), IDS_PER_TAP_REQUEST):
        listed = _listed(ids[start : start + IDS_PER_TAP_REQUEST])

        def build(_: Archive, tables: Tables, listed: str = listed) -> str | None:
            if tables.columns and not tables.has(table):
                return None
            names = ", ".join(("source_id", *LIST_COLUMNS))
            return f"SELECT {names} FROM {tables.named(table)} WHERE source_id IN ({listed})"

        found = tap.ask_one(archive, build).table
        if len(found):
            parts.append(_to_csv(found))
    csv = b"".join(part if number == 0 else part.partition(b"\n")[2] for number, part in enumerate(parts))
    if csv:
        check_ids(ids_of_csv(csv), ids)
    return csv


def _to_csv(table: Table) -> bytes:
    """Return spectra as DataLink writes them; single precision in its shortest decimals, as there."""
    columns: dict[str, pl.Series] = {"source_id": pl.Series(table["source_id"].tolist(), dtype=pl.Int64)}
    for name in LIST_COLUMNS:
        single = any(np.ma.asarray(cell).dtype == np.float32 for cell in table[name])
        lists = pl.Series(number_lists(table[name])).cast(pl.List(pl.Float32 if single else pl.Float64))
        text = "(" + lists.cast(pl.List(pl.String)).list.join(", ") + ")"
        columns[name] = text.set(lists.list.len() == 0, None)
    return pl.DataFrame(columns).write_csv().encode()


def request_photometry(ids: NDArray[np.int64], release: str, services: Services) -> pl.DataFrame:
    """Return `GAIA_SOURCE_COLUMNS` of those of the stars that an archive has; null where it does not have one.

    In DR4 gaia_source holds the best sources; what it does not have is looked for in all_source_photometry.

    Raises
    ------
    UserError
        If no archive gives a usable response, or each refuses the query.
    """
    title = RELEASES[release].title
    alternative = f"download these stars of {title}'s gaia_source from the archive as CSV"
    tap = GaiaTap(release, services)

    def build(_: Archive, tables: Tables) -> list[str]:
        every = _select(tables, SOURCES, GAIA_SOURCE_COLUMNS, ids)
        if tables.columns:
            return [every]
        return [every, _select(tables, SOURCES, ("source_id", *POSITIONS, *MAGNITUDES[:3]), ids)]

    answer = tap.ask("photometry", build, alternative)
    found = _with_all_columns(answer.table)
    others = np.setdiff1d(ids, found["source_id"].to_numpy())
    if others.size and RELEASES[release].all_sources and tap.tables(answer.archive).has(PHOTOMETRY):
        names = ("source_id", *POSITIONS, *MAGNITUDES)
        more = GaiaTap(release, services.only(answer.archive.name)).ask(
            "photometry", lambda _, tables: _select(tables, PHOTOMETRY, names, others), alternative
        )
        found = pl.concat([found, _with_all_columns(more.table)])
    return found


def request_neighbours(ids: NDArray[np.int64], release: str, services: Services) -> pl.DataFrame:
    """Return the rows of a release's table of neighbours, with all its columns, of stars of the release before.

    Raises
    ------
    UserError
        If no archive gives a usable response, or each refuses the query.
    """

    table, (former, _) = str(RELEASES[release].neighbourhood), IDENTIFIERS[release]

    def build(_: Archive, tables: Tables) -> str:
        return f"SELECT n.* FROM {tables.named(table)} AS n WHERE n.{former} IN ({_listed(ids)})"

    alternative = f"download these stars' rows of {table} from the archive as CSV"
    return to_frame(GaiaTap(release, services).ask(table, build, alternative).table)


def _select(tables: Tables, table: str, names: Sequence[str], ids: NDArray[np.int64]) -> str:
    there = ", ".join(tables.among(table, names))
    return f"SELECT {there} FROM {tables.named(table)} WHERE source_id IN ({_listed(ids)})"


def _listed(ids: NDArray[np.int64]) -> str:
    return ",".join(map(str, ids.tolist()))


def _with_all_columns(table: Table) -> pl.DataFrame:
    frame = to_frame(table)
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None).alias(name)).cast(
            pl.Int64 if name == "source_id" else pl.Float64
        )
        for name in GAIA_SOURCE_COLUMNS
    )
