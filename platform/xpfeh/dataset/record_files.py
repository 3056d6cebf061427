"""The many small files of a ledger: read in parallel, most of them from one file in which they are gathered.

The small files remain authoritative. The gathered file stores each with its size and time, and any whose size or time
has changed is reread; so the gathered file may be outdated or deleted at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from xpfeh.errors import UserError
from xpfeh.files import list_infos, read_bytes, write_whole
from xpfeh.settings import first_problem

AT_ONCE = 32
"""Concurrent requests to a bucket: each waits about 10 ms, whatever it requests."""
_WORTH_A_FILE = 200  # new small files: with fewer, gathering saves too little time

_Model = TypeVar("_Model", bound=BaseModel)


class _GatheredFile(NamedTuple):
    size: int
    modified: int
    content: bytes


def read_all(fs: pafs.FileSystem, folder: str, kind: type[_Model], gathered: str = "") -> dict[str, _Model]:
    """Return the contents of the JSON files in a folder, by name without suffix, sorted by name.

    Parameters
    ----------
    fs : pyarrow.fs.FileSystem
    folder : str
    kind : type
        Type of each file's content.
    gathered : str
        Path of the file written by `gather`, if any.

    Raises
    ------
    UserError
        If one is not of this kind.
    """
    files, _ = _read(fs, folder, gathered)
    return {name: parse(file.content, f"{folder}/{name}.json", kind) for name, file in files.items()}


def gather(fs: pafs.FileSystem, folder: str, gathered: str) -> None:
    """Write the files of a folder into one, if many are not in it yet."""
    files, new = _read(fs, folder, gathered)
    if new < _WORTH_A_FILE:
        return
    rows = [{"name": name, **file._asdict()} for name, file in files.items()]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, compression="zstd")
    write_whole(fs, gathered, sink.getvalue())


def parse(content: bytes, path: str, kind: type[_Model]) -> _Model:
    """Return the content of a file in the ledger.

    Raises
    ------
    UserError
        If it is not of this kind.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise UserError(
            f"{path}: not a {kind.__name__.lower()} of this version of xpfeh ({first_problem(error)}); delete the "
            "folder and make the dataset again, or only this file if it is a record"
        ) from None


def _read(fs: pafs.FileSystem, folder: str, gathered: str) -> tuple[dict[str, _GatheredFile], int]:
    """Return the files of a folder, and how many of them had to be read individually."""
    known = _read_gathered(fs, gathered) if gathered else {}
    files, new = dict[str, _GatheredFile | None](), dict[str, pafs.FileInfo]()
    for info in list_infos(fs, folder, ".json"):
        name = Path(info.path).stem
        files[name] = file = known.get(name)
        if file is None or (file.size, file.modified) != (info.size, info.mtime_ns):
            new[name] = info
    with ThreadPoolExecutor(AT_ONCE) as threads:
        contents: Iterable[bytes] = threads.map(lambda info: read_bytes(fs, info.path), new.values())
        for (name, info), content in zip(new.items(), contents, strict=True):
            files[name] = _GatheredFile(info.size, info.mtime_ns, content)
    return {name: file for name, file in files.items() if file is not None}, len(new)


def _read_gathered(fs: pafs.FileSystem, gathered: str) -> Mapping[str, _GatheredFile]:
    try:
        rows = pq.read_table(gathered, filesystem=fs).to_pylist()
        return {row.pop("name"): _GatheredFile(**row) for row in rows}
    except (OSError, pa.ArrowInvalid, KeyError, TypeError):  # missing or damaged
        return {}
