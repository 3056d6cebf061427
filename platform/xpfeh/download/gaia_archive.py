"""Gaia's archive and VizieR over the network: spectra, photometry, distances and labels for lists of stars.

Requests are repeated, each response is checked, a file is whole or not there, a second call asks for what is still
missing, and every star that was asked for is accounted for: asked = received + missing. The account lies in
``_xpfeh`` beside the spectra, so that the folder holds nothing that `xpfeh ingest` would take for spectra.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import requests
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.download.http import PUBLIC, BadResponseError, Services, run_query, with_retries
from xpfeh.errors import UserError
from xpfeh.files import filesystem, local_path, read_bytes, whole_file
from xpfeh.sources.companions import PHOTOMETRY
from xpfeh.tables import read_table, with_source_id

_T = TypeVar("_T")

IDS_PER_REQUEST = 5_000
"""The most that the archive's DataLink service takes (Gaia archive help, as of 2026)."""

_SPECTRA_ALTERNATIVE = "download XP_CONTINUOUS as RAW CSV from the archive's DataLink into a folder and ingest that"
_PHOTOMETRY_ALTERNATIVE = "download these stars of gaiadr3.gaia_source from the archive as CSV"
_DISTANCES_ALTERNATIVE = "download source_id and r_med_geo of external.gaiaedr3_distance from the archive as CSV"


@dataclass(frozen=True)
class Account:
    """How many stars were asked for, and how many came."""

    asked: int
    received: int
    missing: int


# --- lists of stars ---------------------------------------------------------------------------------------------


def ids_by_adql(query: str, services: Services = PUBLIC) -> NDArray[np.int64]:
    """Return the ``source_id`` column (N,) of an ADQL query of the Gaia archive.

    Raises
    ------
    UserError
        If the archive does not respond, refuses the query, or finds no star.
    """
    frame = run_query(query, services.gaia_tap, services, "the query", "run it in the archive's web page")
    if frame.is_empty():
        raise UserError("the query finds no star")
    return _int64(frame, "the query's table")


def ids_by_cone(ra: float, dec: float, radius: float, services: Services = PUBLIC) -> NDArray[np.int64]:
    """Return the stars with XP continuous spectra within `radius` of a position, all in degrees (ICRS).

    Raises
    ------
    UserError
        If it is no position, or as `ids_by_adql`.
    """
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 < radius <= 180):  # NaN neither
        raise UserError(f"--cone {ra:g} {dec:g} {radius:g}: RA 0 to 360, DEC -90 to 90, RADIUS above 0, all in degrees")
    circle = f"CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {radius})) = 1"
    return ids_by_adql(
        f"SELECT source_id FROM gaiadr3.gaia_source WHERE has_xp_continuous = 't' AND {circle}", services
    )


def read_ids(path: str | Path) -> NDArray[np.int64]:
    """Return the identifiers (N,) of a text file, one a line, or of any table with a ``source_id`` column.

    Raises
    ------
    UserError
        If the file is missing or holds anything but 64-bit integers.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "ids.txt").write_text("5937083312263887616\\n4295806720\\n")
    ...     read_ids(f"{folder}/ids.txt")
    array([5937083312263887616,          4295806720])
    """
    fs, inside = filesystem(path)
    if not fs.get_file_info(inside).is_file:
        raise UserError(f"{path}: no such file")
    if bare := re.fullmatch(rb"\s*(?:source_id\s)?([\d\s]*)", read_bytes(fs, inside)):
        frame = pl.DataFrame({"source_id": bare[1].decode().split()}, schema={"source_id": pl.String})
    else:
        frame = read_table(path)
    ids = _int64(frame, path)
    if not ids.size:
        raise UserError(f"{path}: holds no source_id")
    return ids


def _int64(frame: pl.DataFrame, where: str | Path) -> NDArray[np.int64]:
    return with_source_id(frame, where)["source_id"].to_numpy()


# --- what the services have of them -----------------------------------------------------------------------------


def fetch_xp(source_ids: NDArray[np.int64], out: str | Path, services: Services = PUBLIC) -> Account:
    """Download XP continuous spectra (DataLink, CSV) into the folder `out`; call again to go on.

    Files ``xp-NNNNN.csv`` hold at most `IDS_PER_REQUEST` stars each (none is written where no star of a request has a
    spectrum); ``_xpfeh/missing.csv`` names the stars that did not come.

    Raises
    ------
    UserError
        If the archive does not respond, or the folder was begun with other stars.
    """
    ids, folder = _distinct(source_ids), local_path(out)
    account = _begin(folder / "_xpfeh", ids, "XP_CONTINUOUS")
    received = []
    for number, chunk in track(list(enumerate(_chunks(ids))), description="spectra"):
        # An empty mark says that the request was made and brought nothing.
        path, none = folder / f"xp-{number:05d}.csv", account / f"xp-{number:05d}.none"
        if not path.exists() and not none.exists():
            content = with_retries(
                partial(_request_spectra, chunk, services), services, "spectra", _SPECTRA_ALTERNATIVE
            )
            _write(path if content else none, content)
        if path.exists():
            received.append(_stored(path, _ids_of_csv))
    return _close(ids, received, account)


def fetch_gaia_source(source_ids: NDArray[np.int64], out: str | Path, services: Services = PUBLIC) -> Account:
    """Download positions and photometry (gaia_source) of stars as the Parquet table `out`.

    Raises
    ------
    UserError
        If the archive does not respond, or `out` was begun with other stars.
    """
    columns = ", ".join(("source_id", *PHOTOMETRY, "l", "b", "parallax", "pmra", "pmdec", "ref_epoch"))
    query = f"SELECT {columns} FROM gaiadr3.gaia_source WHERE source_id IN ({{ids}})"
    run = partial(
        run_query, tap=services.gaia_tap, services=services, what="photometry", alternative=_PHOTOMETRY_ALTERNATIVE
    )
    return _fetch_table(query, source_ids, out, run)


def fetch_distances(source_ids: NDArray[np.int64], out: str | Path, services: Services = PUBLIC) -> Account:
    """Download geometric distances (VizieR I/352, Bailer-Jones et al. 2021) of stars as the Parquet table `out`.

    Only ``rgeo`` is asked for: its limits ``b_rgeo`` and ``B_rgeo`` differ in case alone.

    Raises
    ------
    UserError
        If VizieR does not respond, or `out` was begun with other stars.
    """
    query = 'SELECT Source AS source_id, rgeo FROM "I/352/gedr3dis" WHERE Source IN ({ids})'
    run = partial(
        run_query, tap=services.vizier_tap, services=services, what="distances", alternative=_DISTANCES_ALTERNATIVE
    )
    return _fetch_table(query, source_ids, out, run)


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


def _request_spectra(ids: NDArray[np.int64], services: Services) -> bytes:
    """Ask DataLink for some stars; return the CSV of those that it has, nothing if it has none."""
    form = {
        "ID": ",".join(map(str, ids.tolist())), "RETRIEVAL_TYPE": "XP_CONTINUOUS", "DATA_STRUCTURE": "RAW",
        "FORMAT": "csv", "RELEASE": "Gaia DR3", "VALID_DATA": "true", "USE_ZIP_ALWAYS": "true",
    }  # fmt: skip
    response = requests.post(services.datalink, data=form, timeout=services.timeout_s)
    response.raise_for_status()
    with zipfile.ZipFile(io.BytesIO(response.content)) as files:
        contents = [files.read(name) for name in files.namelist() if name.endswith(".csv")]
    # Each file has the line of names; a file without another line is how the archive says "none".
    parts = [content.rstrip().partition(b"\n") for content in contents]
    rows = [lines for _, _, lines in parts if lines]
    if not rows:
        return b""
    csv = parts[0][0] + b"\n" + b"\n".join(rows) + b"\n"
    received = _ids_of_csv(csv)
    if len(np.unique(received)) < len(received) or not np.isin(received, ids).all():
        raise BadResponseError("repeated stars, or stars that were not asked for")
    return csv


def _ids_of_csv(csv: bytes | Path) -> NDArray[np.int64]:
    ids = pl.read_csv(csv, columns=["source_id"], schema_overrides={"source_id": pl.Int64})["source_id"]
    if ids.null_count():
        raise BadResponseError("a row without source_id")
    return ids.to_numpy()


def _fetch_table(
    query: str, source_ids: NDArray[np.int64], out: str | Path, run: Callable[[str], pl.DataFrame]
) -> Account:
    """Run a query with ``{ids}`` in it for all stars, request by request, and write one Parquet table."""
    ids, path = _distinct(source_ids), local_path(out)
    account = _begin(path.with_name(path.name + ".parts"), ids, query)
    frames = []
    for number, chunk in track(list(enumerate(_chunks(ids))), description=path.name):
        part = account / f"part-{number:05d}.parquet"
        if not part.exists():
            frame = run(query.format(ids=",".join(map(str, chunk.tolist()))))
            with whole_file(part) as temporary:
                frame.with_columns(pl.col("source_id").cast(pl.Int64)).write_parquet(temporary)
        frames.append(_stored(part, lambda path: pl.DataFrame(pq.read_table(path))))
    table = pl.concat(frames, how="vertical_relaxed")
    with whole_file(path) as temporary:
        table.write_parquet(temporary)
    return _close(ids, [table["source_id"].to_numpy()], account)


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
    elif _stored(path, lambda file: json.loads(file.read_bytes())) != asked:
        raise UserError(f"{folder} was begun with other stars or another query; choose another --out")
    return folder


def _close(asked: NDArray[np.int64], received: Sequence[NDArray[np.int64]], folder: Path) -> Account:
    """Write the list of the stars that did not come, and count."""
    missing = np.setdiff1d(asked, np.concatenate([np.empty(0, np.int64), *received]))
    rows = ["source_id,reason", *(f"{source_id},not in the service's response" for source_id in missing.tolist())]
    _write(folder / "missing.csv", ("\n".join(rows) + "\n").encode())
    return Account(len(asked), len(asked) - len(missing), len(missing))


def _stored(path: Path, read: Callable[[Path], _T]) -> _T:
    """Read a file that an earlier request left; Parquet by pyarrow, for polars can panic on a damaged file."""
    try:
        return read(path)
    except (pl.exceptions.PolarsError, BadResponseError, pa.ArrowException, ValueError, OSError):
        raise UserError(f"{path}: was changed since it was downloaded; delete it and run again") from None


def _write(path: str | Path, content: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
