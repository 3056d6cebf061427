"""Gaia's archive and VizieR over the network: spectra, photometry, distances and labels for lists of stars.

Requests are retried, each answer is a file that is whole or not there, a second call asks for what is missing, and
what was asked is accounted for: asked = received + missing.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import pyvo
import requests
from astropy.table import Table
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.errors import UserError
from xpfeh.sources.companions import PHOTOMETRY

IDS_PER_REQUEST = 5_000
"""The most that the archive's DataLink service takes."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Services:
    """Where the services are, and how patient to be with them."""

    datalink: str = "https://gea.esac.esa.int/data-server/data"
    gaia_tap: str = "https://gea.esac.esa.int/tap-server/tap"
    vizier_tap: str = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"
    bulk: str = "https://cdn.gea.esac.esa.int/Gaia/gdr3/Spectroscopy/xp_continuous_mean_spectrum"
    timeout_s: float = 120.0
    tries: int = 5
    pause_s: float = 2.0


@dataclass(frozen=True)
class Account:
    """What was asked for and what came."""

    asked: int
    received: int
    missing: int


def fetch_xp(source_ids: NDArray[np.int64], out: str | Path, services: Services = Services()) -> Account:
    """Download XP continuous spectra (DataLink, CSV) into the folder `out`; call again to go on.

    Files ``xp-NNNNN.csv`` hold at most `IDS_PER_REQUEST` stars each; ``missing.csv`` the stars that did not come.

    Raises
    ------
    UserError
        If the archive does not answer, or the folder was begun with other stars.
    """
    ids = _unique(source_ids)
    out = _begun(out, ids)
    received = []
    for number, chunk in track(list(enumerate(_chunks(ids))), description="spectra"):
        path = out / f"xp-{number:05d}.csv"
        if not path.exists():
            _place(path, _trying(partial(_spectra_csv, chunk, services), services, "spectra", _XP_BY_HAND))
        received.append(_ids_of(path))
    return _account(ids, np.concatenate(received), out)


def fetch_gaia_source(source_ids: NDArray[np.int64], out: str | Path, services: Services = Services()) -> Account:
    """Download positions and photometry (gaia_source) of stars as the Parquet table `out`.

    Raises
    ------
    UserError
        If the archive does not answer.
    """
    columns = ", ".join(("source_id", *PHOTOMETRY, "parallax", "pmra", "pmdec", "ref_epoch"))
    query = f"SELECT {columns} FROM gaiadr3.gaia_source WHERE source_id IN ({{ids}})"
    return _fetch_table(query, source_ids, Path(out), services.gaia_tap, services, "photometry", _SOURCE_BY_HAND)


def fetch_distances(source_ids: NDArray[np.int64], out: str | Path, services: Services = Services()) -> Account:
    """Download geometric distances (VizieR I/352, Bailer-Jones et al. 2021) of stars as the Parquet table `out`.

    Only ``rgeo`` is asked for: its limits ``b_rgeo`` and ``B_rgeo`` differ in case alone.
    """
    query = 'SELECT Source AS source_id, rgeo FROM "I/352/gedr3dis" WHERE Source IN ({ids})'
    return _fetch_table(query, source_ids, Path(out), services.vizier_tap, services, "distances", _DISTANCES_BY_HAND)


def fetch_pastel(out: str | Path, services: Services = Services()) -> int:
    """Download PASTEL (VizieR B/pastel) as the CSV table `out` and return its rows."""
    query = 'SELECT ID, RAJ2000, DEJ2000, Teff, logg, "[Fe/H]", bibcode FROM "B/pastel/pastel"'
    frame = _query(query, services.vizier_tap, services, "PASTEL", "download B/pastel from VizieR as TSV")
    _place(Path(out), frame.write_csv().encode())
    return frame.height


def fetch_bulk(names: Sequence[str], out: str | Path, services: Services = Services()) -> list[Path]:
    """Download whole bulk files, each checked against the archive's ``_MD5SUM.txt``; those already here are kept.

    Raises
    ------
    UserError
        If the archive does not answer, does not list a file, or a file's MD5 is wrong.
    """
    out = Path(out)

    def get(name: str) -> bytes:
        return _trying(lambda: _get(f"{services.bulk}/{name}", services), services, name, f"put {name} into {out}")

    listing = get("_MD5SUM.txt")
    listed = {line.split()[1]: line.split()[0] for line in listing.decode().splitlines() if len(line.split()) == 2}
    if unknown := [name for name in names if name not in listed]:
        raise UserError(f"{services.bulk} lists no file {', '.join(unknown)}")
    _place(out / "_MD5SUM.txt", listing)
    for name in track(names, description="bulk files"):
        if not (out / name).exists():
            content = get(name)
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != listed[name]:
                raise UserError(f"{name}: its MD5 is not the listed one; try again")
            _place(out / name, content)
    return [out / name for name in names]


def ids_by_adql(query: str, services: Services = Services()) -> NDArray[np.int64]:
    """Return the ``source_id`` column of an ADQL query of the Gaia archive."""
    return _int64(_query(query, services.gaia_tap, services, "the query", "run it in the archive's web page"))


def ids_by_cone(ra: float, dec: float, radius: float, services: Services = Services()) -> NDArray[np.int64]:
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
            return _int64(pl.read_parquet(path))
        lines = path.read_text().split()
        return np.array(
            [int(line.partition(",")[0]) for line in lines if line.partition(",")[0] != "source_id"], np.int64
        )
    except (OSError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: not a list of source_ids ({str(error).splitlines()[0]})") from None


_XP_BY_HAND = "download XP_CONTINUOUS as RAW CSV from the archive's DataLink into a folder and ingest that"
_SOURCE_BY_HAND = "download these stars of gaiadr3.gaia_source from the archive as CSV"
_DISTANCES_BY_HAND = "download source_id and r_med_geo of external.gaiaedr3_distance from the archive as CSV"


def _spectra_csv(ids: NDArray[np.int64], services: Services) -> bytes:
    """Ask DataLink for some stars; return the CSV inside the zip that it answers with."""
    form = {
        "ID": ",".join(map(str, ids.tolist())), "RETRIEVAL_TYPE": "XP_CONTINUOUS", "DATA_STRUCTURE": "RAW",
        "FORMAT": "csv", "RELEASE": "Gaia DR3", "VALID_DATA": "true", "USE_ZIP_ALWAYS": "true",
    }  # fmt: skip
    reply = requests.post(services.datalink, data=form, timeout=services.timeout_s)
    reply.raise_for_status()
    with zipfile.ZipFile(io.BytesIO(reply.content)) as files:
        names = [name for name in files.namelist() if name.endswith(".csv")]
        contents = [files.read(name) for name in names]
    if not contents:
        return b"source_id\n"
    lines = [content.rstrip(b"\n").partition(b"\n") for content in contents]
    return lines[0][0] + b"\n" + b"\n".join(rows for _, _, rows in lines) + b"\n"


def _fetch_table(
    query: str, source_ids: NDArray[np.int64], out: Path, tap: str, services: Services, what: str, by_hand: str
) -> Account:
    ids = _unique(source_ids)
    parts = _begun(out.with_name(out.name + ".parts"), ids)
    frames = []
    for number, chunk in track(list(enumerate(_chunks(ids))), description=what):
        path = parts / f"part-{number:05d}.parquet"
        if not path.exists():
            frame = _query(query.format(ids=",".join(map(str, chunk.tolist()))), tap, services, what, by_hand)
            buffer = io.BytesIO()
            frame.with_columns(pl.col("source_id").cast(pl.Int64)).write_parquet(buffer)
            _place(path, buffer.getvalue())
        frames.append(pl.read_parquet(path))
    table = pl.concat(frames, how="vertical_relaxed")
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    _place(out, buffer.getvalue())
    return _account(ids, table["source_id"].to_numpy(), parts)


def _query(query: str, tap: str, services: Services, what: str, by_hand: str) -> pl.DataFrame:
    session = requests.Session()
    session.request = _with_timeout(session.request, services.timeout_s)  # type: ignore[method-assign]

    def ask() -> pl.DataFrame:
        return _frame(pyvo.dal.TAPService(tap, session=session).run_sync(query, maxrec=10_000_000).to_table())

    return _trying(ask, services, what, by_hand)


def _with_timeout(request: Callable[..., requests.Response], timeout_s: float) -> Callable[..., requests.Response]:
    return lambda *arguments, **options: request(*arguments, **{"timeout": timeout_s, **options})


def _trying(ask: Callable[[], _T], services: Services, what: str, by_hand: str) -> _T:
    """Ask until there is a sound answer, pausing twice as long each time."""
    for attempt in range(services.tries):
        try:
            return ask()
        except (requests.RequestException, zipfile.BadZipFile, pyvo.dal.DALAccessError, OSError) as error:
            last = error
            if attempt + 1 < services.tries:
                time.sleep(services.pause_s * 2**attempt)
    told = f"{what}: no sound answer in {services.tries} tries ({type(last).__name__})"
    raise UserError(f"{told}; without a network, {by_hand}") from None


def _get(url: str, services: Services) -> bytes:
    reply = requests.get(url, timeout=services.timeout_s)
    reply.raise_for_status()
    return reply.content


def _frame(table: Table) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(name, table[name].tolist()) for name in table.colnames})


def _int64(frame: pl.DataFrame) -> NDArray[np.int64]:
    name = next((name for name in frame.columns if name.lower() == "source_id"), None)
    if name is None or not frame[name].dtype.is_integer():
        raise UserError("the table has no integer column source_id")
    return frame[name].cast(pl.Int64).to_numpy()


def _unique(source_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    ids = np.unique(np.asarray(source_ids))
    if not ids.size or not np.issubdtype(ids.dtype, np.integer):
        raise UserError("no source_ids are given, or not as integers")
    return ids


def _chunks(ids: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [ids[start : start + IDS_PER_REQUEST] for start in range(0, len(ids), IDS_PER_REQUEST)]


def _begun(folder: str | Path, ids: NDArray[np.int64]) -> Path:
    """Return the folder of a download, new or begun with the same stars."""
    folder = Path(folder)
    plan = folder / "asked.json"
    asked = {"stars": len(ids), "sha256": hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()}
    if plan.exists():
        if json.loads(plan.read_text()) != asked:
            raise UserError(f"{folder} was begun with other stars; choose another --out")
    else:
        _place(plan, json.dumps(asked).encode())
    return folder


def _ids_of(path: Path) -> NDArray[np.int64]:
    return pl.read_csv(path, columns=["source_id"], schema_overrides={"source_id": pl.Int64})["source_id"].to_numpy()


def _account(asked: NDArray[np.int64], received: NDArray[np.int64], folder: Path) -> Account:
    missing = np.setdiff1d(asked, received)
    rows = ["source_id,reason", *(f"{source_id},the service has none" for source_id in missing.tolist())]
    _place(folder / "missing.csv", ("\n".join(rows) + "\n").encode())
    return Account(len(asked), len(asked) - len(missing), len(missing))


def _place(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    temporary.rename(path)
