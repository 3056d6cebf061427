"""What the archive has answered, kept on this machine: a star is asked for once.

A folder a request, by release: ``spectra.parquet`` and ``gaia_source.parquet`` with what came, and ``asked.json`` with
the identifiers asked for and the files' SHA-256. It gets its name once it is whole, and is asked for again where its
bytes are not what was written.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.download.archive_requests import request_photometry, request_spectra
from xpfeh.download.http import PUBLIC, Services
from xpfeh.files import data_folder, sha256_of
from xpfeh.sources.archive_stars import SCHEMA, ArchiveStars
from xpfeh.sources.gaia_text import read_text
from xpfeh.sources.releases import IDS_PER_REQUEST, RELEASES

_SPECTRA, _PHOTOMETRY, _ASKED = "spectra.parquet", "gaia_source.parquet", "asked.json"


@dataclass(frozen=True)
class Answer:
    """What the archive answered to one request.

    Attributes
    ----------
    folder : Path
    asked, with_spectrum, with_photometry : (N,) int64
        Identifiers.
    """

    folder: Path
    asked: NDArray[np.int64]
    with_spectrum: NDArray[np.int64]
    with_photometry: NDArray[np.int64]

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(path.stat().st_size for path in self.folder.iterdir())


@dataclass(frozen=True)
class Size:
    """How much the cache has of a release: stars that were asked for, those that have a spectrum, bytes."""

    folder: Path
    asked: int
    with_spectrum: int
    bytes: int


def bring(ids: NDArray[np.int64], release: str, services: Services = PUBLIC) -> ArchiveStars:
    """Return stars of the archive, of which those that are not in the cache are asked for.

    Interrupted, it goes on where it was: each request's answer is kept as soon as it has come.

    Parameters
    ----------
    ids : (N,) int64
    release : {"dr3", "dr4"}
    services : Services

    Raises
    ------
    UserError
        If the archive gives no usable response, or refuses a request.
    """
    known = [answer for answer in answers(release) if _is_sound(answer, ids)]
    new = np.setdiff1d(ids, np.concatenate([np.empty(0, np.int64), *(answer.asked for answer in known)]))
    if new.size:
        requests = [new[start : start + IDS_PER_REQUEST] for start in range(0, len(new), IDS_PER_REQUEST)]
        known += [_ask(request, release, services) for request in track(requests, description="the archive's spectra")]
    wanted = [answer for answer in known if np.isin(answer.asked, ids).any()]
    title, table = RELEASES[release].title, RELEASES[release].gaia_source
    missing: dict[int, str] = {}
    for answer in wanted:
        for source_id in np.setdiff1d(answer.asked, answer.with_spectrum).tolist():
            there = source_id in answer.with_photometry
            missing[source_id] = f"{title} has no XP spectrum of it" if there else f"not a star of {table}"
    return ArchiveStars(
        release=release,
        ids=ids,
        spectra={str(answer.folder / _SPECTRA): answer.with_spectrum for answer in wanted},
        photometry=[str(answer.folder / _PHOTOMETRY) for answer in wanted if answer.with_photometry.size],
        missing=missing,
    )


def answers(release: str) -> list[Answer]:
    """Return the answers that the cache has of a release, in the order of their folders' names."""
    folder = data_folder("cache") / release
    found = []
    for path in sorted(folder.glob(f"[!.]*/{_ASKED}")):  # a name with a dot is not whole yet
        try:
            record = json.loads(path.read_text())
            lists = [np.array(record[name], np.int64) for name in ("asked", "with_spectrum", "with_photometry")]
        except (ValueError, KeyError, TypeError):  # damaged: its stars are asked for again
            shutil.rmtree(path.parent)
            continue
        found.append(Answer(path.parent, *lists))
    return found


def sizes() -> dict[str, Size]:
    """Return how much the cache has, by release."""
    found = {}
    for release in RELEASES:
        kept = answers(release)
        counts = (sum(len(a.asked) for a in kept), sum(len(a.with_spectrum) for a in kept), sum(a.bytes for a in kept))
        found[release] = Size(data_folder("cache") / release, *counts)
    return found


def forget(release: str) -> None:
    """Delete all that the cache has of a release."""
    shutil.rmtree(data_folder("cache") / release, ignore_errors=True)


def _is_sound(answer: Answer, ids: NDArray[np.int64]) -> bool:
    """Return whether an answer's files are what was written; those that are not needed now are not read."""
    if not np.isin(answer.asked, ids).any():
        return True
    written = json.loads((answer.folder / _ASKED).read_text())["sha256"]
    for name, sha256 in written.items():
        path = answer.folder / name
        if not path.is_file() or sha256_of(path) != sha256:
            shutil.rmtree(answer.folder)
            return False
    return True


def _ask(ids: NDArray[np.int64], release: str, services: Services) -> Answer:
    """Ask the archive for stars, and keep what comes."""
    csv = request_spectra(ids, release, services)
    photometry = request_photometry(ids, release, services)
    where = f"{RELEASES[release].title}: spectra"
    tables = read_text(pa.BufferReader(csv), where, SCHEMA.names[1:]) if csv else []
    spectra = pa.concat_tables([SCHEMA.empty_table(), *(table.cast(SCHEMA) for table in tables)])
    record = {
        "asked": ids.tolist(),
        "with_spectrum": np.sort(spectra["source_id"].to_numpy()).tolist(),
        "with_photometry": np.sort(photometry["source_id"].to_numpy()).tolist(),
    }
    folder = data_folder("cache") / release / hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()[:32]
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir(parents=True)
    try:
        pq.write_table(spectra.sort_by("source_id"), temporary / _SPECTRA, compression="zstd", row_group_size=256)
        photometry.write_parquet(temporary / _PHOTOMETRY)
        sums = {name: sha256_of(temporary / name) for name in (_SPECTRA, _PHOTOMETRY)}
        (temporary / _ASKED).write_text(json.dumps(record | {"sha256": sums}))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Answer(folder, *(np.array(values, np.int64) for values in record.values()))
