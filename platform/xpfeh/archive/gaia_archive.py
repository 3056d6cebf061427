"""Gaia's archive and VizieR over the network: spectra, photometry and distances of lists of stars; PASTEL.

Each answer is kept in a ledger next to the output, so that a second call requests only what is still missing, and
every requested star is accounted for: requested = received + missing. The ledger of spectra is in ``_xpfeh``, since
`xpfeh ingest` reads all files of spectra in a folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xpfeh.archive.archive_requests import TableResponse, request_neighbours, request_photometry, request_spectra
from xpfeh.archive.archives import PUBLIC, Services
from xpfeh.archive.datalink import ids_of_csv
from xpfeh.archive.ledger import BELIEVED_S, Answer, Ledger, gather
from xpfeh.archive.tap import query_vizier
from xpfeh.errors import UserError
from xpfeh.files import local_path, whole_file
from xpfeh.labels.neighbourhood import IDENTIFIERS
from xpfeh.releases import IDS_PER_REQUEST, RELEASES

_SPECTRA, _TABLE = "spectra.csv", "table.parquet"

_DISTANCES_ALTERNATIVE = "download source_id and r_med_geo of external.gaiaedr3_distance from the archive as CSV"


@dataclass(frozen=True)
class Tally:
    """Numbers of stars requested, received and missing."""

    asked: int
    received: int
    missing: int


def fetch_xp(
    source_ids: NDArray[np.int64], out: str | Path, release: str = "dr3", services: Services = PUBLIC
) -> Tally:
    """Download the XP spectra of a release as coefficients (CSV) into the folder `out`; call again to resume.

    Files ``xp-ID.csv``, named by their first star, hold at most `IDS_PER_REQUEST` stars each (no file is written if
    no star of a request has a spectrum); ``_xpfeh/missing.csv`` lists the missing stars.

    Raises
    ------
    UserError
        If the archive does not respond, or the folder was begun with other stars.
    """
    ids, folder = _distinct(source_ids), local_path(out)
    what, account = RELEASES[release].retrieval_types[0], folder / "_xpfeh"
    ledger = _ledger(account, what, ids)

    def request(chunk: NDArray[np.int64]) -> Answer:
        found = request_spectra(chunk, release, services)
        received = ids_of_csv(found.csv) if found.csv else np.empty(0, np.int64)
        believed_s = BELIEVED_S if found.whole else 0.0  # a mirror may lack what ESA has
        return ledger.keep(chunk, {_SPECTRA: found.csv} if found.csv else {}, received, believed_s, what=what)

    try:
        answers = gather(ledger, ids, lambda: IDS_PER_REQUEST, request, "spectra")
    finally:  # what arrived before a failure can be ingested, too
        for answer in ledger.answers():
            if (received := answer.ids("complete")).size:
                _link(answer.folder / _SPECTRA, folder / f"xp-{received.min()}.csv")
    return _close(ids, answers, account)


def fetch_gaia_source(
    source_ids: NDArray[np.int64], out: str | Path, release: str = "dr3", services: Services = PUBLIC
) -> Tally:
    """Download positions and photometry (gaia_source of a release) of stars as the Parquet table `out`.

    Raises
    ------
    UserError
        If the archive does not respond, or `out` was begun with other stars.
    """
    what = f"gaia_source of {RELEASES[release].title}"
    return _fetch_table(what, source_ids, out, lambda ids: request_photometry(ids, release, services))


def fetch_neighbourhood(
    source_ids: NDArray[np.int64], out: str | Path, release: str = "dr4", services: Services = PUBLIC
) -> Tally:
    """Download the matches between stars of a release and of the previous one, as the Parquet table `out`.

    Parameters
    ----------
    source_ids : (N,) int64
        Of the previous release.
    out : str or Path
        The table that `xpfeh.labels.neighbourhood.Neighbourhood` reads.
    release : {"dr4"}
        The newer one.
    services : Services

    Raises
    ------
    UserError
        If the release has no such table, the archive does not respond, or `out` was begun with other stars.
    """
    if release not in IDENTIFIERS:
        raise UserError(f"{RELEASES[release].title} has no table of matches with the previous release")
    what, (former, _) = f"neighbours in {RELEASES[release].title}", IDENTIFIERS[release]
    return _fetch_table(what, source_ids, out, lambda ids: request_neighbours(ids, release, services), former)


def fetch_distances(
    source_ids: NDArray[np.int64], out: str | Path, release: str = "dr3", services: Services = PUBLIC
) -> Tally:
    """Download geometric distances (VizieR I/352, Bailer-Jones et al. 2021) of stars as the Parquet table `out`.

    Only ``rgeo`` is requested: its limits ``b_rgeo`` and ``B_rgeo`` differ only in case.

    Raises
    ------
    UserError
        If there are none for that release, VizieR does not respond, or `out` was begun with other stars.
    """
    table = distances_table(release)
    return _fetch_table(
        table, source_ids, out, lambda ids: TableResponse(request_distances(ids, release, services), whole=True)
    )


def distances_table(release: str) -> str:
    """Return VizieR's table of distances of a release's stars.

    Raises
    ------
    UserError
        If there is no known table.
    """
    gaia = RELEASES[release]
    if gaia.distances is None:
        raise UserError(f"no table of distances of {gaia.title} is known; its identifiers are not those of DR3")
    return gaia.distances


def request_distances(ids: NDArray[np.int64], release: str, services: Services) -> pl.DataFrame:
    """Return ``source_id`` and ``rgeo`` (pc) of the stars that have a distance.

    Raises
    ------
    UserError
        If there are none for that release, or VizieR does not respond.
    """
    listed = ",".join(map(str, ids.tolist()))
    query = f'SELECT Source AS source_id, rgeo FROM "{distances_table(release)}" WHERE Source IN ({listed})'
    found = query_vizier(query, services, "distances", _DISTANCES_ALTERNATIVE)
    return found.cast({"source_id": pl.Int64, "rgeo": pl.Float64})


def fetch_pastel(out: str | Path, services: Services = PUBLIC) -> int:
    """Download PASTEL (VizieR B/pastel) as the CSV table `out` and return its number of rows.

    Raises
    ------
    UserError
        If VizieR does not respond.
    """
    query = 'SELECT ID, RAJ2000, DEJ2000, Teff, logg, "[Fe/H]", bibcode FROM "B/pastel/pastel"'
    frame = query_vizier(query, services, "PASTEL", "download B/pastel from VizieR as TSV")
    _write(out, frame.write_csv().encode())
    return frame.height


def _fetch_table(
    what: str,
    source_ids: NDArray[np.int64],
    out: str | Path,
    run: Callable[[NDArray[np.int64]], TableResponse],
    key: str = "source_id",
) -> Tally:
    """Request a table of all stars, chunk by chunk, and write it as Parquet; `key` is the column of requested stars."""
    ids, path = _distinct(source_ids), local_path(out)
    account = path.with_name(path.name + ".parts")
    ledger = _ledger(account, what, ids)

    def request(chunk: NDArray[np.int64]) -> Answer:
        response = run(chunk)
        identifiers = [name for name in response.frame.columns if name.endswith("source_id")]
        frame = response.frame.with_columns(pl.col(identifiers).cast(pl.Int64))
        received = frame[key].unique().sort().to_numpy()
        believed_s = BELIEVED_S if response.whole else 0.0
        return ledger.keep(chunk, {_TABLE: frame.to_arrow()}, received, believed_s, what=what)

    answers = gather(ledger, ids, lambda: IDS_PER_REQUEST, request, path.name)
    tables = [pl.DataFrame(pq.read_table(answer.folder / _TABLE)) for answer in answers]
    with whole_file(path) as temporary:
        pl.concat(tables, how="vertical_relaxed").sort(key, maintain_order=True).write_parquet(temporary)
    return _close(ids, answers, account)


# --- the ledger -------------------------------------------------------------------------------------------------


def _distinct(source_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    ids = np.unique(np.asarray(source_ids))
    if not ids.size or not np.issubdtype(ids.dtype, np.integer):
        raise UserError("no source_ids are given, or not as integers")
    return ids


def _ledger(folder: Path, what: str, ids: NDArray[np.int64]) -> Ledger:
    """Return the ledger of a download: a new one, or one begun with stars of the list and the same query."""
    if folder.parent.is_file():  # refused before anything is requested
        raise UserError(f"{folder.parent}: is a file; name a folder")
    if (folder / "asked.json").exists():  # 0.1.0's record: its files next to new ones would repeat every star
        raise UserError(f"{folder} was begun by an earlier version; choose another --out")
    ledger = Ledger(folder)
    for answer in ledger.answers():
        if answer.record.get("what") != what or not np.isin(answer.requested, ids).all():
            raise UserError(f"{folder} was begun with other stars or another query; choose another --out")
    return ledger


def _link(file: Path, path: Path) -> None:
    """Link a file of the ledger to a name where `xpfeh ingest` finds it."""
    with whole_file(path) as temporary:
        try:
            os.link(file, temporary)
        except OSError:  # the filesystem has no links
            shutil.copyfile(file, temporary)


def _close(ids: NDArray[np.int64], answers: Sequence[Answer], folder: Path) -> Tally:
    """Write the list of missing stars, and count."""
    missing = np.setdiff1d(ids, np.concatenate([np.empty(0, np.int64), *(a.ids("complete") for a in answers)]))
    rows = ["source_id,reason", *(f"{source_id},not in the service's response" for source_id in missing.tolist())]
    _write(folder / "missing.csv", ("\n".join(rows) + "\n").encode())
    return Tally(len(ids), len(ids) - len(missing), len(missing))


def _write(path: str | Path, content: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
