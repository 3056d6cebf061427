"""Files behind URIs: a laptop's folder and an ``s3://`` bucket read and write alike."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from xpfeh.errors import UserError

PROVENANCE_KEY = b"xpfeh"
"""Parquet metadata key that holds what made a part, as JSON."""


def absolute(uri: str | Path) -> str:
    """Return a URI as it is, and a local path as one that means the same in any working directory."""
    text = str(uri)
    return text if "://" in text else str(Path(text).expanduser().absolute())


def filesystem(uri: str | Path) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem and path behind a URI or a local path.

    Raises
    ------
    UserError
        If no filesystem speaks this kind of URI.
    """
    text = absolute(uri)
    if "://" not in text:
        return pafs.LocalFileSystem(), text
    try:
        return pafs.FileSystem.from_uri(text)
    except (ValueError, OSError) as error:
        raise UserError(f"{text}: cannot be opened as a place for files ({error})") from None


@contextmanager
def held(place: str) -> Iterator[None]:
    """Keep other processes of this machine from the same work at `place`; one that is killed lets go.

    Raises
    ------
    UserError
        If another process holds it.
    """
    name = hashlib.sha256(place.encode()).hexdigest()[:16]
    with Path(tempfile.gettempdir(), f"xpfeh-{os.getuid()}-{name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{place}: another process is at work on it; wait for its end, or end it") from None
        yield


def exists(fs: pafs.FileSystem, path: str) -> bool:
    """Return whether there is a file at `path`."""
    return fs.get_file_info(path).type == pafs.FileType.File


def list_files(fs: pafs.FileSystem, folder: str, suffix: str) -> list[str]:
    """Return the sorted paths of the files of `folder` that end in `suffix`; none if it does not exist."""
    infos = fs.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return sorted(info.path for info in infos if info.type == pafs.FileType.File and info.path.endswith(suffix))


def write_whole(fs: pafs.FileSystem, path: str, data: bytes | pa.Buffer) -> None:
    """Write a file that is either not there or whole: temporary name first, then a rename.

    An object store has no rename, but shows an object only once its upload is complete.
    """
    fs.create_dir(path.rpartition("/")[0], recursive=True)
    if not isinstance(fs, pafs.LocalFileSystem):
        with fs.open_output_stream(path) as stream:
            stream.write(data)
        return
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with fs.open_output_stream(temporary) as stream:
            stream.write(data)
        fs.move(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def digest(fs: pafs.FileSystem, path: str, algorithm: str = "sha256") -> str:
    """Return a file's fingerprint: ``ALGORITHM:HEX`` of its bytes."""
    hashed = hashlib.new(algorithm, usedforsecurity=False)
    with fs.open_input_stream(path, compression=None) as stream:
        while block := stream.read(1 << 22):
            hashed.update(block)
    return f"{algorithm}:{hashed.hexdigest()}"


def read_json(fs: pafs.FileSystem, path: str) -> Any:
    """Return the content of a JSON file."""
    with fs.open_input_stream(path) as stream:
        return json.loads(stream.read())


def read_parts(uri: str | Path, columns: Iterable[str] | None = None) -> tuple[pa.Table, dict[str, Any]]:
    """Read a whole dataset of parts (features, a catalog) that xpfeh wrote.

    Parameters
    ----------
    uri : str or Path
        The folder that ``--out`` named.
    columns : iterable of str, optional
        The columns to read; all by default.

    Returns
    -------
    table, provenance
        The rows in order of the parts, and what made them.

    Raises
    ------
    UserError
        If there are no parts, or fewer than the run that writes them planned.
    """
    fs, folder = filesystem(uri)
    paths, provenance = list_parts(fs, folder)
    table = pads.dataset(paths, filesystem=fs, format="parquet").to_table(columns=list(columns) if columns else None)
    return table, provenance


def list_parts(fs: pafs.FileSystem, folder: str) -> tuple[list[str], dict[str, Any]]:
    """Return the part files of a whole dataset and what made them; see `read_parts`."""
    paths = list_files(fs, folder, ".parquet")
    if not paths:
        raise UserError(f"{folder}: no Parquet parts here; make them with xpfeh ingest or xpfeh catalog run")
    metadata = pq.read_schema(paths[0], filesystem=fs).metadata or {}
    if PROVENANCE_KEY not in metadata:
        raise UserError(f"{paths[0]}: not written by xpfeh, its metadata names no settings")
    provenance = json.loads(metadata[PROVENANCE_KEY])
    if len(paths) != provenance["parts"]:
        raise UserError(
            f"{folder}: {len(paths)} of {provenance['parts']} parts are here; run the same command again to finish it"
        )
    return paths, provenance


def package_file(package: str, relative: str) -> Path:
    """Return the path of `relative` inside an installed `package`.

    Raises
    ------
    UserError
        If the package is not installed or does not hold the file.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / relative).is_file():
            return path
    raise UserError(f"{relative} of the Python package {package} is not there; install it: pip install {package}")


def data_folder(name: str) -> Path:
    """Return the folder of what a user has downloaded: `name` under ``XPFEH_DATA``, by default ``~/.xpfeh``."""
    return Path(os.environ.get("XPFEH_DATA", "~/.xpfeh")).expanduser() / name
