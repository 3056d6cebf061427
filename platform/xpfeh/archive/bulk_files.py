"""Gaia's whole bulk files of XP continuous spectra, each checked against the archive's list of MD5 sums."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import requests
from rich.progress import track

from xpfeh.archive.archives import PUBLIC, Services
from xpfeh.archive.http import BadResponseError, get, or_user_error
from xpfeh.errors import UserError
from xpfeh.files import local_path, whole_file
from xpfeh.releases import RELEASES
from xpfeh.sources.input_files import CHECKSUMS

_BLOCK_BYTES = 1 << 20  # held in memory: a file has up to a gigabyte


def fetch_bulk(names: Sequence[str], out: str | Path, release: str = "dr3", services: Services = PUBLIC) -> list[Path]:
    """Download whole bulk files, each checked against the archive's ``_MD5SUM.txt``; existing files are kept.

    Parameters
    ----------
    names : sequence of str
        Names of files, or ranges ``000000-010000`` of HEALPix pixels (level 8): every file that overlaps. One name
        may be the URL of a folder of such files, or of one file, instead of the release's own folder.
    out : str or Path
        Folder of the files.
    release : {"dr3", "dr4"}

    Raises
    ------
    UserError
        If no bulk files of that release are known, only a folder is given, the archive does not respond or does not
        list a file, or a file's MD5 is wrong.
    """
    folder, (bulk, names) = local_path(out), _place_and_names(names, release)
    alternative = f"put {CHECKSUMS} and the files from {bulk} into {folder}"
    listing = or_user_error(partial(get, f"{bulk}/{CHECKSUMS}", services), services, CHECKSUMS, alternative)
    listed = _read_listing(listing)
    chosen = sorted({file for name in names for file in _list_files(name, listed, bulk)})
    with whole_file(folder / CHECKSUMS) as temporary:
        temporary.write_bytes(listing)
    for name in track(chosen, description="bulk files"):
        if not (folder / name).exists():
            download = partial(_download, f"{bulk}/{name}", listed[name], folder / name, services)
            or_user_error(download, services, name, f"put {name} into {folder}")
    return [folder / name for name in chosen]


def _place_and_names(names: Sequence[str], release: str) -> tuple[str, list[str]]:
    """Return the URL of the folder, and the names and ranges in it."""
    urls = [name for name in names if "://" in name]
    others = [name for name in names if name not in urls]
    if len(urls) > 1:
        raise UserError("fetch xp --bulk takes one URL: of a folder, or of a file")
    if urls and not re.match(r"https://|http://(127\.0\.0\.1|localhost)\b", urls[0]):
        raise UserError(f"{urls[0]}: not an https address; files sent without encryption could be tampered with")
    if urls and re.search(r"\.csv(\.gz)?$", urls[0]):
        folder, _, file = urls[0].rpartition("/")
        return folder, [file, *others]
    place = urls[0].rstrip("/") if urls else RELEASES[release].bulk
    if place is None:
        raise UserError(
            f"the folder of {RELEASES[release].title}'s bulk files is not known: give its URL with another --bulk, or "
            "name stars with --ids"
        )
    if not others:
        raise UserError(f"which files of {place}: add --bulk with a name or a range; 000000-786431 means all")
    return place, others


def _read_listing(listing: bytes) -> dict[str, str]:
    """Return the MD5 (hex) of each listed file; md5sum writes ``*`` before a name that it read as binary."""
    pairs = [line.split() for line in listing.decode("latin-1").splitlines()]
    listed = {pair[1].lstrip("*"): pair[0].lower() for pair in pairs if len(pair) == 2}
    # A name from a server must not be a path on this machine.
    return {name: md5 for name, md5 in listed.items() if not re.search(r"[/\\]|^\.", name)}


def _list_files(name: str, listed: Iterable[str], bulk: str) -> list[str]:
    """Return the listed files that match a name or a range of pixels."""
    if not (wanted := re.fullmatch(r"(\d+)-(\d+)", name)):
        found = [file for file in listed if file == name]
    else:
        first, last = map(int, wanted.groups())
        ranges = {file: re.search(r"_(\d+)-(\d+)\.csv\.gz$", file) for file in listed}
        found = [file for file, r in ranges.items() if r and int(r[1]) <= last and int(r[2]) >= first]
    if not found:
        raise UserError(f"{bulk} lists no file {name}")
    return found


def _download(url: str, md5: str, path: Path, services: Services) -> None:
    """Stream a file to disk, and rename it once its MD5 is verified."""
    for stale in path.parent.glob(f".{path.name}.*.tmp"):  # left by a killed download: up to a gigabyte
        stale.unlink()
    digest = hashlib.md5(usedforsecurity=False)
    with (
        requests.get(url, timeout=services.timeout_s, stream=True) as response,
        whole_file(path) as temporary,
        temporary.open("wb") as file,
    ):
        response.raise_for_status()
        for block in response.iter_content(_BLOCK_BYTES):
            digest.update(block)
            file.write(block)
        if digest.hexdigest() != md5:
            raise BadResponseError("its MD5 is not the listed one")
