"""Gaia's archive and VizieR over the network: spectra, photometry, distances and labels for lists of stars.

Requests are retried, each answer is checked and is a file that is whole or not there, a second call asks for what is
missing, and what was asked is accounted for: asked = received + missing. The account lies in ``_xpfeh`` beside the
spectra, so that the folder holds nothing that `xpfeh ingest` would take for spectra.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import requests
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.download.http import PUBLIC, Services, UnsoundError, get, place, run_query, trying
from xpfeh.errors import UserError
from xpfeh.sources.companions import PHOTOMETRY

IDS_PER_REQUEST = 5_000
"""The most that the archive's DataLink service takes."""


@dataclass(frozen=True)
class Account:
    """What was asked for and what came."""

    asked: int
    received: int
    missing: int


def fetch_xp(source_ids: NDArray[np.int64], out: str | Path, services: Services = PUBLIC) -> Account:
    """Download XP continuous spectra (DataLink, CSV) into the folder `out`; call again to go on.

    Files ``xp-NNNNN.csv`` hold at most `IDS_PER_REQUEST` stars each (none is written where no star of a request has a
    spectrum); ``_xpfeh/missing.csv`` names the stars that did not come.

    Raises
    ------
    UserError
        If the archive does not answer, or the folder was begun with other stars.
    """
    ids = _unique(source_ids)
    out = Path(out)
    books = _begun(out / "_xpfeh", ids, "XP_CONTINUOUS")
    received = []
    for number, chunk in track(list(enumerate(_chunks(ids))), description="spectra"):
        path, none = out / f"xp-{number:05d}.csv", books / f"xp-{number:05d}.none"
        if not path.exists() and not none.exists():
            content = trying(partial(_spectra_csv, chunk, services), services, "spectra", _XP_BY_HAND)
            place(path if content else none, content)
        if path.exists():
            received.append(_stored_ids(path))
    return _account(ids, received, books)


def fetch_gaia_source(source_ids: NDArray[np.int64], out: str | Path, services: Services = PUBLIC) -> Account:
    """Download positions and photometry (gaia_source) of stars as the Parquet table `out`.

    Raises
    ------
    UserError
        If the archive does not answer.
    """
    columns = ", ".join(("source_id", *PHOTOMETRY, "l", "b", "parallax", "pmra", "pmdec", "ref_epoch"))
    query = f"SELECT {columns} FROM gaiadr3.gaia_source WHERE source_id IN ({{ids}})"
    return _fetch_table(query, source_ids, Path(out), services.gaia_tap, services, "photometry", _SOURCE_BY_HAND)


def fetch_distances(source_ids: NDArray[np.int64], out: str | Path, services: Services = PUBLIC) -> Account:
    """Download geometric distances (VizieR I/352, Bailer-Jones et al. 2021) of stars as the Parquet table `out`.

    Only ``rgeo`` is asked for: its limits ``b_rgeo`` and ``B_rgeo`` differ in case alone.
    """
    query = 'SELECT Source AS source_id, rgeo FROM "I/352/gedr3dis" WHERE Source IN ({ids})'
    return _fetch_table(query, source_ids, Path(out), services.vizier_tap, services, "distances", _DISTANCES_BY_HAND)


def fetch_pastel(out: str | Path, services: Services = PUBLIC) -> int:
    """Download PASTEL (VizieR B/pastel) as the CSV table `out` and return its rows."""
    query = 'SELECT ID, RAJ2000, DEJ2000, Teff, logg, "[Fe/H]", bibcode FROM "B/pastel/pastel"'
    frame = run_query(query, services.vizier_tap, services, "PASTEL", "download B/pastel from VizieR as TSV")
    place(Path(out), frame.write_csv().encode())
    return frame.height


def fetch_bulk(names: Sequence[str], out: str | Path, services: Services = PUBLIC) -> list[Path]:
    """Download whole bulk files, each checked against the archive's ``_MD5SUM.txt``; those already here are kept.

    Parameters
    ----------
    names : sequence of str
        Names of files, or ranges ``000000-010000`` of HEALPix pixels (level 8): every file that has some of them.
    out : str or Path
        Folder of the files.

    Raises
    ------
    UserError
        If the archive does not answer, does not list a file, or a file's MD5 is wrong.
    """
    out = Path(out)
    sums = f"{services.bulk}/_MD5SUM.txt"
    by_hand = f"put _MD5SUM.txt and the files from {services.bulk} into {out}"
    listing = trying(partial(get, sums, services), services, "_MD5SUM.txt", by_hand)
    pairs = [line.split() for line in listing.decode("latin-1").splitlines()]
    listed = {pair[1].lstrip("*"): pair[0].lower() for pair in pairs if len(pair) == 2}
    chosen = sorted({file for name in names for file in _bulk_files(name, listed, services)})
    place(out / "_MD5SUM.txt", listing)
    for name in track(chosen, description="bulk files"):
        if not (out / name).exists():
            trying(partial(_download, name, listed[name], out, services), services, name, f"put {name} into {out}")
    return [out / name for name in chosen]


def _bulk_files(name: str, listed: Iterable[str], services: Services) -> list[str]:
    """Return the listed files that a name or a range of pixels means."""
    if not (wanted := re.fullmatch(r"(\d+)-(\d+)", name)):
        found = [file for file in listed if file == name]
    else:
        first, last = map(int, wanted.groups())
        ranges = {file: re.search(r"_(\d+)-(\d+)\.csv\.gz$", file) for file in listed}
        found = [file for file, r in ranges.items() if r and int(r[1]) <= last and int(r[2]) >= first]
    if not found:
        raise UserError(f"{services.bulk} lists no file {name}")
    return found


def _download(name: str, md5: str, out: Path, services: Services) -> None:
    """Stream a file to disk, and give it its name once its MD5 is right."""
    temporary = out / f".{name}.tmp"
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with (
            requests.get(f"{services.bulk}/{name}", timeout=services.timeout_s, stream=True) as reply,
            temporary.open("wb") as file,
        ):
            reply.raise_for_status()
            for block in reply.iter_content(1 << 20):
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != md5:
            raise UserError(f"{name}: its MD5 is not the listed one; try again")
        temporary.rename(out / name)
    finally:
        temporary.unlink(missing_ok=True)


def ids_by_adql(query: str, services: Services = PUBLIC) -> NDArray[np.int64]:
    """Return the ``source_id`` column of an ADQL query of the Gaia archive."""
    return _int64(run_query(query, services.gaia_tap, services, "the query", "run it in the archive's web page"))


def ids_by_cone(ra: float, dec: float, radius: float, services: Services = PUBLIC) -> NDArray[np.int64]:
    """Return the stars with XP continuous spectra within `radius` of a position, all in degrees (ICRS)."""
    circle = f"CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {radius})) = 1"
    return ids_by_adql(
        f"SELECT source_id FROM gaiadr3.gaia_source WHERE has_xp_continuous = 't' AND {circle}", services
    )


def read_ids(path: str | Path) -> NDArray[np.int64]:
    """Return the identifiers of a text file (one a line) or of a table with a ``source_id`` column.

    Raises
    ------
    UserError
        If the file is missing or holds anything but integers.
    """
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            return _int64(pl.read_parquet(path), path)
        if path.suffix == ".csv" and "source_id" in path.read_text().partition("\n")[0]:
            return _int64(pl.read_csv(path, infer_schema_length=None), path)
        return np.array([int(line) for line in path.read_text().split() if line != "source_id"], np.int64)
    except (OSError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: not a list of source_ids ({str(error).splitlines()[0]})") from None


_XP_BY_HAND = "download XP_CONTINUOUS as RAW CSV from the archive's DataLink into a folder and ingest that"
_SOURCE_BY_HAND = "download these stars of gaiadr3.gaia_source from the archive as CSV"
_DISTANCES_BY_HAND = "download source_id and r_med_geo of external.gaiaedr3_distance from the archive as CSV"


def _spectra_csv(ids: NDArray[np.int64], services: Services) -> bytes:
    """Ask DataLink for some stars; return the CSV of those that it has, nothing if it has none."""
    form = {
        "ID": ",".join(map(str, ids.tolist())), "RETRIEVAL_TYPE": "XP_CONTINUOUS", "DATA_STRUCTURE": "RAW",
        "FORMAT": "csv", "RELEASE": "Gaia DR3", "VALID_DATA": "true", "USE_ZIP_ALWAYS": "true",
    }  # fmt: skip
    reply = requests.post(services.datalink, data=form, timeout=services.timeout_s)
    reply.raise_for_status()
    with zipfile.ZipFile(io.BytesIO(reply.content)) as files:
        names = [name for name in files.namelist() if name.endswith(".csv")]
        contents = [files.read(name) for name in names]
    parts = [content.rstrip().partition(b"\n") for content in contents]
    rows = [lines for _, _, lines in parts if lines]
    if not rows:
        return b""
    csv = parts[0][0] + b"\n" + b"\n".join(rows) + b"\n"
    received = _ids_of(csv)
    if len(np.unique(received)) < len(received) or not np.isin(received, ids).all():
        raise UnsoundError("repeated stars, or stars that were not asked for")
    return csv


def _fetch_table(
    query: str, source_ids: NDArray[np.int64], out: Path, tap: str, services: Services, what: str, by_hand: str
) -> Account:
    ids = _unique(source_ids)
    parts = _begun(out.with_name(out.name + ".parts"), ids, query)
    frames = []
    for number, chunk in track(list(enumerate(_chunks(ids))), description=what):
        path = parts / f"part-{number:05d}.parquet"
        if not path.exists():
            frame = run_query(query.format(ids=",".join(map(str, chunk.tolist()))), tap, services, what, by_hand)
            buffer = io.BytesIO()
            frame.with_columns(pl.col("source_id").cast(pl.Int64)).write_parquet(buffer)
            place(path, buffer.getvalue())
        frames.append(pl.read_parquet(path))
    table = pl.concat(frames, how="vertical_relaxed")
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    place(out, buffer.getvalue())
    return _account(ids, [table["source_id"].to_numpy()], parts)


def _int64(frame: pl.DataFrame, where: str | Path = "the answer") -> NDArray[np.int64]:
    name = next((name for name in frame.columns if name.lower() == "source_id"), None)
    if name is None or not frame[name].dtype.is_integer() or frame[name].null_count():
        raise UserError(f"{where}: no column source_id of integers without gaps")
    return frame[name].cast(pl.Int64).to_numpy()


def _unique(source_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    ids = np.unique(np.asarray(source_ids))
    if not ids.size or not np.issubdtype(ids.dtype, np.integer):
        raise UserError("no source_ids are given, or not as integers")
    return ids


def _chunks(ids: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [ids[start : start + IDS_PER_REQUEST] for start in range(0, len(ids), IDS_PER_REQUEST)]


def _begun(folder: Path, ids: NDArray[np.int64], what: str) -> Path:
    """Return the folder of a download's account, new or begun with the same stars and the same question."""
    plan = folder / "asked.json"
    sha256 = hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()
    asked = {"what": what, "stars": len(ids), "sha256": sha256, "stars_per_request": IDS_PER_REQUEST}
    if plan.exists():
        if json.loads(plan.read_text()) != asked:
            raise UserError(f"{folder} was begun with other stars or another question; choose another --out")
    else:
        place(plan, json.dumps(asked).encode())
    return folder


def _ids_of(csv: bytes | Path) -> NDArray[np.int64]:
    ids = pl.read_csv(csv, columns=["source_id"], schema_overrides={"source_id": pl.Int64})["source_id"]
    if ids.null_count():
        raise UnsoundError("a row without source_id")
    return ids.to_numpy()


def _stored_ids(path: Path) -> NDArray[np.int64]:
    try:
        return _ids_of(path)
    except (pl.exceptions.PolarsError, UnsoundError):
        raise UserError(f"{path}: was changed since it was downloaded; delete it and run again") from None


def _account(asked: NDArray[np.int64], received: list[NDArray[np.int64]], folder: Path) -> Account:
    missing = np.setdiff1d(asked, np.concatenate([np.empty(0, np.int64), *received]))
    rows = ["source_id,reason", *(f"{source_id},not in the service's answer" for source_id in missing.tolist())]
    place(folder / "missing.csv", ("\n".join(rows) + "\n").encode())
    return Account(len(asked), len(asked) - len(missing), len(missing))
