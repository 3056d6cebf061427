"""Files and folders behind URIs: a local folder and an ``s3://`` bucket are read and written alike.

A file is either written completely or does not exist: it gets a temporary name first, then is renamed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from xpfeh.errors import StorageError, UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs


# --- paths --------------------------------------------------------------------------------------------------------


def absolute(uri: str | Path) -> str:
    """Return a URI unchanged, and a local path as one that means the same in any working directory.

    >>> absolute("s3://bucket/features")
    's3://bucket/features'
    """
    text = str(uri)
    return text if "://" in text else os.path.abspath(_expand(text))  # resolves .., but keeps symbolic links


def local_path(path: str | Path) -> Path:
    """Return a local path, ``~`` expanded.

    Raises
    ------
    UserError
        If it is a URI.
    """
    if "://" in str(path):
        raise UserError(f"{path}: must be a local path; copy the files here, or upload them from here")
    return _expand(str(path))


def _expand(path: str) -> Path:
    if not path.strip():  # an unset variable of a script; Path would make it the working directory
        raise UserError("an empty name was given for a file or folder")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: there is no user of that name") from None


def filesystem(uri: str | Path) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem and the path in it behind a URI or a local path.

    Raises
    ------
    UserError
        If no filesystem supports this kind of URI.
    StorageError
        If its server cannot be reached.
    """
    import pyarrow.fs as pafs

    text = absolute(uri)
    if "://" not in text:
        return pafs.LocalFileSystem(), text
    try:
        fs, path = pafs.FileSystem.from_uri(text)
        if not path.strip("/"):
            raise ValueError("it names no bucket or folder")
        fs.get_file_info(path)
    except (ValueError, OSError) as error:
        kind = StorageError if isinstance(error, OSError) else UserError
        raise kind(f"{text}: cannot be opened as a place for files ({first_line(error)})") from None
    return fs, path


def package_file(package: str, relative: str) -> Path:
    """Return the path of `relative` inside an installed `package`, without importing it.

    Raises
    ------
    UserError
        If the package is not installed or does not hold the file.
    """
    path = package_folder(package) / relative
    if not path.is_file():
        raise UserError(f"{relative} of the Python package {package} is missing; install it: pip install {package}")
    return path


def package_folder(package: str, relative: str = ".") -> Path:
    """Return the path of the folder `relative` of an installed `package`, without importing it.

    Raises
    ------
    UserError
        If the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the Python package {package} is missing; install it: pip install {package}")
    return Path(spec.submodule_search_locations[0]) / relative


def data_folder(name: str) -> Path:
    """Return a folder of the user's downloads: `name` under ``XPFEH_DATA``, by default under ``~/.xpfeh``."""
    return _expand(os.environ.get("XPFEH_DATA") or "~/.xpfeh") / name


# --- reading ------------------------------------------------------------------------------------------------------


def exists(fs: pafs.FileSystem, path: str) -> bool:
    """Return whether there is a file at `path`."""
    return bool(fs.get_file_info(path).is_file)


def list_infos(fs: pafs.FileSystem, folder: str, suffix: str) -> list[pafs.FileInfo]:
    """Return the files of `folder` that end in `suffix`, sorted by path; none if it does not exist."""
    import pyarrow.fs as pafs

    infos = fs.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return sorted((i for i in infos if i.is_file and i.path.endswith(suffix)), key=lambda info: info.path)


def list_files(fs: pafs.FileSystem, folder: str, suffix: str) -> list[str]:
    """Return the sorted paths of the files of `folder` that end in `suffix`; none if it does not exist."""
    return [info.path for info in list_infos(fs, folder, suffix)]


def read_bytes(fs: pafs.FileSystem, path: str) -> bytes:
    """Return the content of a file without decompressing it."""
    with fs.open_input_stream(path, compression=None) as stream:
        return stream.read()


def digest(fs: pafs.FileSystem, path: str, algorithm: str = "sha256") -> str:
    """Return a file's fingerprint: ``ALGORITHM:HEX`` of its bytes."""
    hashed = hashlib.new(algorithm, usedforsecurity=False)
    with fs.open_input_stream(path, compression=None) as stream:
        while block := stream.read(1 << 22):
            hashed.update(block)
    return f"{algorithm}:{hashed.hexdigest()}"


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 (hex) of a local file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; libraries write whole paragraphs."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# --- writing ------------------------------------------------------------------------------------------------------


def check_output_file(path: str | Path) -> Path:
    """Return the local path of a file that can be written; call it before the work that makes the content.

    Raises
    ------
    UserError
        If it is a folder, one of its parents is a file, or you may not write there.
    """
    target = local_path(path)
    if target.is_dir():
        raise UserError(f"{path}: is a folder; name a file")
    _check_parents(target)
    return target


def check_output_folder(path: str | Path, mark: str | None = None) -> Path:
    """Return the local path of a folder that can be written; call it before the work that makes the content.

    Parameters
    ----------
    mark : str, optional
        Name of a file that only this command writes: a folder that has it may be replaced.

    Raises
    ------
    UserError
        If it is a file, one of its parents is a file, or it holds other files.
    """
    target = local_path(path)
    if target.exists() and not target.is_dir():
        raise UserError(f"{path}: is a file; name a folder")
    _check_parents(target)
    if target.is_dir() and any(target.iterdir()) and not (mark and (target / mark).is_file()):
        raise UserError(f"{path}: holds other files; choose another --out, or empty it")
    return target


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name to write to, which becomes `path` once complete; an earlier file there is replaced."""
    target = check_output_file(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    with _parents(target):
        try:
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path, mark: str | None = None) -> Iterator[Path]:
    """Yield a temporary folder to write to, which becomes `path` once complete; see `check_output_folder`."""
    target = check_output_folder(path, mark).absolute()
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    with _parents(target):
        temporary.mkdir()
        try:
            yield temporary
            before = temporary.with_suffix(".before")
            if target.exists():
                target.rename(before)
            try:
                temporary.rename(target)
            except BaseException:
                if before.exists():
                    before.rename(target)
                raise
            shutil.rmtree(before, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_whole(fs: pafs.FileSystem, path: str, data: bytes | pa.Buffer) -> None:
    """Write a file to any filesystem; an object store has no rename, but shows an object only once it is complete."""
    if fs.type_name == "local":
        with whole_file(path) as temporary:
            temporary.write_bytes(data)
        return
    with fs.open_output_stream(path) as stream:
        stream.write(data)


@contextmanager
def _parents(target: Path) -> Iterator[None]:
    """Create the folders above `target`; if the work fails, remove the new ones."""
    new = [folder for folder in target.absolute().parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in new:  # the innermost first
            with suppress(OSError):  # another process has written into it
                folder.rmdir()
        raise


def _check_parents(target: Path) -> None:
    for folder in target.absolute().parents:
        if folder.is_dir():
            if not os.access(folder, os.W_OK | os.X_OK):
                raise UserError(f"{target}: cannot be written, no permission in {folder}")
            return
        if folder.exists():
            raise UserError(f"{target}: cannot be written, {folder} is a file")
