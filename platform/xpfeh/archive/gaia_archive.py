"""Gaia's archive and VizieR over the network: spectra, photometry and distances of lists of stars; PASTEL.

Requests are repeated, each response is checked, a file is whole or not there, a second call asks for what is still
missing, and every star that was asked for is accounted for: asked = received + missing. The account lies in
``_xpfeh`` beside the spectra, so that the folder holds nothing that `xpfeh ingest` would take for spectra.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.archive.archive_requests import request_neighbours, request_photometry, request_spectra
from xpfeh.archive.archives import PUBLIC, Services
from xpfeh.archive.datalink import ids_of_csv
from xpfeh.archive.http import BadResponseError
from xpfeh.archive.tap import run_query
from xpfeh.errors import UserError
from xpfeh.files import local_path, whole_file
from xpfeh.labels.neighbourhood import IDENTIFIERS
from xpfeh.releases import IDS_PER_REQUEST, RELEASES

_T = TypeVar("_T")

_DISTANCES_ALTERNATIVE = "download source_id and r_med_geo of external.gaiaedr3_distance from the archive as CSV"


@dataclass(frozen=True)
class Tally:
    """How many stars were asked for, and how many came."""

    asked: int
    received: int
    missing: int


def fetch_xp(
    source_ids: NDArray[np.int64], out: str | Path, release: str = "dr3", services: Services = PUBLIC
) -> Tally:
    """Download the XP spectra of a release as coefficients (CSV) into the folder `out`; call again to resume.

    Files ``xp-NNNNN.csv`` hold at most `IDS_PER_REQUEST` stars each (none is written where no star of a request has a
    spectrum); ``_xpfeh/missing.csv`` names the stars that did not come.

    Raises
    ------
    UserError
        If the archive does not respond, or the folder was begun with other stars.
    """
    ids, folder = _distinct(source_ids), local_path(out)
    account = _begin(folder / "_xpfeh", ids, RELEASES[release].retrieval_types[0])
    received = []
    for number, chunk in track(list(enumerate(_chunks(ids))), description="spectra"):
        # An empty mark says that ESA's archive has nothing for these stars; a mirror may lack what it has.
        path, none = folder / f"xp-{number:05d}.csv", account / f"xp-{number:05d}.none"
        if not path.exists() and not none.exists():
            found = request_spectra(chunk, release, services)
            if found.csv or found.whole:
                _write(path if found.csv else none, found.csv)
        if path.exists():
            received.append(_read_stored(path, ids_of_csv))
    return _close(ids, received, account)


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
    return _fetch_table(what, source_ids, out, lambda ids: request_photometry(ids, release, services).frame)


def fetch_neighbourhood(
    source_ids: NDArray[np.int64], out: str | Path, release: str = "dr4", services: Services = PUBLIC
) -> Tally:
    """Download which stars of a release lie near stars of the release before, as the Parquet table `out`.

    Parameters
    ----------
    source_ids : (N,) int64
        Of the release before.
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
        raise UserError(f"{RELEASES[release].title} has no table of the stars of the release before")
    what, (former, _) = f"neighbours in {RELEASES[release].title}", IDENTIFIERS[release]
    return _fetch_table(what, source_ids, out, lambda ids: request_neighbours(ids, release, services), former)


def fetch_distances(
    source_ids: NDArray[np.int64], out: str | Path, release: str = "dr3", services: Services = PUBLIC
) -> Tally:
    """Download geometric distances (VizieR I/352, Bailer-Jones et al. 2021) of stars as the Parquet table `out`.

    Only ``rgeo`` is asked for: its limits ``b_rgeo`` and ``B_rgeo`` differ in case alone.

    Raises
    ------
    UserError
        If there are none of that release, VizieR does not respond, or `out` was begun with other stars.
    """
    table = distances_table(release)
    return _fetch_table(table, source_ids, out, lambda ids: request_distances(ids, release, services))


def distances_table(release: str) -> str:
    """Return VizieR's table of distances of a release's stars.

    Raises
    ------
    UserError
        If none is known.
    """
    gaia = RELEASES[release]
    if gaia.distances is None:
        raise UserError(f"no table of distances of {gaia.title} is known; its identifiers are not those of DR3")
    return gaia.distances


def request_distances(ids: NDArray[np.int64], release: str, services: Services) -> pl.DataFrame:
    """Return ``source_id`` and ``rgeo`` (pc) of those of the stars that have a distance.

    Raises
    ------
    UserError
        If there are none of that release, or VizieR does not respond.
    """
    listed = ",".join(map(str, ids.tolist()))
    query = f'SELECT Source AS source_id, rgeo FROM "{distances_table(release)}" WHERE Source IN ({listed})'
    found = run_query(query, services.vizier_tap, services, "distances", _DISTANCES_ALTERNATIVE)
    return found.cast({"source_id": pl.Int64, "rgeo": pl.Float64})


def fetch_pastel(out: str | Path, services: Services = PUBLIC) -> int:
    """Download PASTEL (VizieR B/pastel) as the CSV table `out` and return how many rows it has.

    Raises
    ------
    UserError
        If VizieR does not respond.
    """
    query = 'SELECT ID, RAJ2000, DEJ2000, Teff, logg, "[Fe/H]", bibcode FROM "B/pastel/pastel"'
    frame = run_query(query, services.vizier_tap, services, "PASTEL", "download B/pastel from VizieR as TSV")
    _write(out, frame.write_csv().encode())
    return frame.height


def _fetch_table(
    what: str,
    source_ids: NDArray[np.int64],
    out: str | Path,
    run: Callable[[NDArray[np.int64]], pl.DataFrame],
    key: str = "source_id",
) -> Tally:
    """Request a table of all stars, chunk by chunk, and write it as Parquet; `key` names the requested identifiers."""
    ids, path = _distinct(source_ids), local_path(out)
    account = _begin(path.with_name(path.name + ".parts"), ids, what)
    frames = []
    for number, chunk in track(list(enumerate(_chunks(ids))), description=path.name):
        part = account / f"part-{number:05d}.parquet"
        if not part.exists():
            frame = run(chunk)
            with whole_file(part) as temporary:
                identifiers = [name for name in frame.columns if name.endswith("source_id")]
                frame.with_columns(pl.col(identifiers).cast(pl.Int64)).write_parquet(temporary)
        frames.append(_read_stored(part, lambda path: pl.DataFrame(pq.read_table(path))))
    table = pl.concat(frames, how="vertical_relaxed")
    with whole_file(path) as temporary:
        table.write_parquet(temporary)
    return _close(ids, [table[key].to_numpy()], account)


# --- the account ------------------------------------------------------------------------------------------------


def _distinct(source_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    ids = np.unique(np.asarray(source_ids))
    if not ids.size or not np.issubdtype(ids.dtype, np.integer):
        raise UserError("no source_ids are given, or not as integers")
    return ids


def _chunks(ids: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [ids[start : start + IDS_PER_REQUEST] for start in range(0, len(ids), IDS_PER_REQUEST)]


def _begin(folder: Path, ids: NDArray[np.int64], what: str) -> Path:
    """Return the folder of a download's account: new, or begun with the same stars and the same query."""
    path = folder / "asked.json"
    sha256 = hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()
    asked = {"what": what, "stars": len(ids), "sha256": sha256, "stars_per_request": IDS_PER_REQUEST}
    if not path.exists():
        _write(path, json.dumps(asked).encode())
    elif _read_stored(path, lambda file: json.loads(file.read_bytes())) != asked:
        raise UserError(f"{folder} was begun with other stars or another query; choose another --out")
    return folder


def _close(asked: NDArray[np.int64], received: Sequence[NDArray[np.int64]], folder: Path) -> Tally:
    """Write the list of the stars that did not come, and count."""
    missing = np.setdiff1d(asked, np.concatenate([np.empty(0, np.int64), *received]))
    rows = ["source_id,reason", *(f"{source_id},not in the service's response" for source_id in missing.tolist())]
    _write(folder / "missing.csv", ("\n".join(rows) + "\n").encode())
    return Tally(len(asked), len(asked) - len(missing), len(missing))


def _read_stored(path: Path, read: Callable[[Path], _T]) -> _T:
    """Read a file that an earlier request left; Parquet by pyarrow, for polars can panic on a damaged file."""
    try:
        return read(path)
    except (pl.exceptions.PolarsError, BadResponseError, pa.ArrowException, ValueError, OSError):
        raise UserError(f"{path}: was changed since it was downloaded; delete it and run again") from None


def _write(path: str | Path, content: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
