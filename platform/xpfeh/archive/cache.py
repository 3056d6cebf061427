"""The archives' answers for stars of a release, kept on this machine: spectra, photometry, distances."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xpfeh.archive.archive_facts import cache_folder
from xpfeh.archive.archive_requests import request_photometry, request_spectra, stars_per_request
from xpfeh.archive.archives import PUBLIC, Services
from xpfeh.archive.gaia_archive import request_distances
from xpfeh.archive.ledger import BELIEVED_S, Answer, Ledger, gather
from xpfeh.releases import IDS_PER_REQUEST, RELEASES
from xpfeh.sources.archive_stars import SCHEMA, ArchiveStars
from xpfeh.sources.coefficients import require_columns
from xpfeh.sources.gaia_text import read_text

_SPECTRA, _PHOTOMETRY, _DISTANCES = "spectra.parquet", "gaia_source.parquet", "distances.parquet"


@dataclass(frozen=True)
class Size:
    """Contents of the cache for a release: stars requested, stars with a spectrum, bytes."""

    folder: Path
    asked: int
    with_spectrum: int
    bytes: int


def bring(ids: NDArray[np.int64], release: str, services: Services = PUBLIC) -> ArchiveStars:
    """Return stars of the archive; those that are not in the cache are requested.

    An interrupted call can be repeated: each answer is kept as soon as it has arrived.

    Parameters
    ----------
    ids : (N,) int64
    release : {"dr3", "dr4"}
    services : Services

    Raises
    ------
    UserError
        If no archive gives a usable response.
    """
    ledger = _spectra_ledger(release)
    wanted = gather(
        ledger,
        ids,
        lambda: stars_per_request(services),
        lambda chunk: _request(ledger, chunk, release, services),
        "the archive's spectra",
    )
    return _stars(ids, release, sorted(wanted, key=lambda answer: answer.record["at"], reverse=True))


def _stars(ids: NDArray[np.int64], release: str, answers: Sequence[Answer]) -> ArchiveStars:
    """Return stars from the answers for them, sorted latest first: the latest counts if a star is in several."""
    title = RELEASES[release].title
    with_spectrum, of_answer = _join([answer.ids("with_spectrum") for answer in answers])
    taken, latest = np.unique(with_spectrum, return_index=True)  # if several, the first, which is the latest
    spectra = {
        str(answer.folder / _SPECTRA): taken[of_answer[latest] == number] for number, answer in enumerate(answers)
    }
    requested, of_answer = _join([answer.requested for answer in answers])
    without = ~np.isin(requested, taken)
    with_photometry = {
        number: {*answers[number].record["with_photometry"]} for number in {*of_answer[without].tolist()}
    }
    missing: dict[int, str] = {}
    for source_id, number in zip(requested[without].tolist(), of_answer[without].tolist(), strict=True):
        there = source_id in with_photometry[number]
        missing.setdefault(source_id, f"{title} has no XP spectrum of it" if there else f"not a source of {title}")
    photometry = [str(answer.folder / _PHOTOMETRY) for answer in answers if answer.ids("with_photometry").size]
    return ArchiveStars(release=release, ids=ids, spectra=spectra, photometry=photometry, missing=missing)


def _join(lists: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the lists concatenated, and for each identifier the index of its list."""
    joined = np.concatenate([np.empty(0, np.int64), *lists])
    return joined, np.repeat(np.arange(len(lists)), [len(each) for each in lists])


def bring_distances(ids: NDArray[np.int64], release: str, services: Services = PUBLIC) -> list[str]:
    """Return tables of VizieR's distances of stars; those that are not in the cache are requested.

    Raises
    ------
    UserError
        If there are none for that release, or VizieR does not respond.
    """
    ledger = Ledger(cache_folder(release) / "distances")

    def request(chunk: NDArray[np.int64]) -> Answer:
        table = request_distances(chunk, release, services)
        complete = table["source_id"].unique().sort().to_numpy()
        return ledger.keep(chunk, {_DISTANCES: table.to_arrow()}, complete, BELIEVED_S)

    wanted = gather(ledger, ids, lambda: IDS_PER_REQUEST, request, "VizieR's distances")
    return [str(answer.folder / _DISTANCES) for answer in wanted if answer.ids("complete").size]


def sizes() -> dict[str, Size]:
    """Return the contents of the cache, by release."""
    found = {}
    for release in RELEASES:
        kept, folder = _spectra_ledger(release).answers(), cache_folder(release)
        asked, with_spectrum = sum(len(a.requested) for a in kept), sum(len(a.ids("with_spectrum")) for a in kept)
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        found[release] = Size(folder, asked, with_spectrum, used)
    return found


def forget(release: str) -> None:
    """Delete the cache of a release, and the facts learned about its archives."""
    shutil.rmtree(cache_folder(release), ignore_errors=True)


def _spectra_ledger(release: str) -> Ledger:
    return Ledger(cache_folder(release), "with_spectrum", "with_photometry")


def _request(ledger: Ledger, ids: NDArray[np.int64], release: str, services: Services) -> Answer:
    """Request stars, and keep the answer."""
    found = request_spectra(ids, release, services)
    photometry = request_photometry(ids, release, services)
    where = f"{RELEASES[release].title}: spectra"
    tables = list(read_text(pa.BufferReader(found.csv), where, spectra=True)) if found.csv else []
    for table in tables:  # an archive may answer with samples
        require_columns(table.column_names, where)
    spectra = pa.concat_tables([SCHEMA.empty_table(), *(table.cast(SCHEMA) for table in tables)])
    files = {_SPECTRA: spectra.sort_by("source_id"), _PHOTOMETRY: photometry.frame.to_arrow()}
    with_spectrum = np.sort(spectra["source_id"].to_numpy())
    with_photometry = photometry.frame["source_id"].unique().sort().to_numpy()
    return ledger.keep(
        ids,
        files,
        np.intersect1d(with_spectrum, with_photometry),
        BELIEVED_S if found.whole and photometry.whole else 0.0,
        with_spectrum=with_spectrum.tolist(),
        with_photometry=with_photometry.tolist(),
        spectra_from=found.archive.title,
    )
