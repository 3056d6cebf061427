"""The files of a source, and the fingerprints that reveal a changed file."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape, glob
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
from isal import isal_zlib

from xpfeh.errors import InputError
from xpfeh.files import digest, exists, filesystem, first_line

TEXT = (".csv", ".ecsv")
FITS = (".fits",)
VOTABLE = (".xml", ".vot")
PARQUET = (".parquet",)
_GZIPPED = tuple(f"{suffix}.gz" for suffix in (*TEXT, *FITS, *VOTABLE))
SUFFIXES = (*TEXT, *FITS, *VOTABLE, *PARQUET, *_GZIPPED)
_SAMPLED = ("XP_SAMPLED", "XpSampled")
_OTHER_PRODUCTS = ("MCMC_", "RVS", "EPOCH_")
"""How the names of DataLink's other files begin, which a download of all products puts into the same folder."""

_ISAL_ERROR: Any = isal_zlib.error  # the library's type hints confuse the class with its instances
_BROKEN = (OSError, EOFError, zlib.error, _ISAL_ERROR, pa.ArrowException)
CHECKSUMS = "_MD5SUM.txt"
"""The list of MD5 sums in each folder of Gaia's bulk download."""


def find_files(source: str) -> list[str]:
    """Return the files of a source: a file, a folder, a glob, or a URI of a file or folder; sorted.

    Of a folder or glob, DataLink's other products are left out, and sampled spectra where there are continuous ones.

    A local file whose name has ``[``, ``*`` or ``?`` is taken as that file, not as a glob.

    Raises
    ------
    UserError
        If there is no file of a known kind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.csv.gz", "a.csv.gz", "readme.txt", "MCMC_MSC-Gaia DR3 17.csv"):
    ...         Path(folder, name).touch()
    ...     [Path(file).name for file in find_files(folder)]
    ['a.csv.gz', 'b.csv.gz']
    """
    fs, path = filesystem(source)
    info = fs.get_file_info(path)
    if info.type == pafs.FileType.File:
        found = [path]
    elif info.type == pafs.FileType.Directory:
        found = sorted(item.path for item in fs.get_file_info(pafs.FileSelector(path)) if item.is_file)
    elif "://" not in source and any(mark in source for mark in "*?["):
        folder, _, pattern = path.rpartition("/")
        # The name of an existing folder is literal, even if it has brackets.
        names = glob(f"{escape(folder)}/{pattern}" if Path(folder).is_dir() else path)
        found = sorted(name for name in names if Path(name).is_file())
        if not found:
            raise InputError(f"{source}: no file matches")
    else:
        raise InputError(f"{source}: no such file or folder")
    readable_files = [item for item in found if item.lower().endswith(SUFFIXES)]
    if not readable_files:
        hint = "; unzip the archive's file first" if any(item.lower().endswith(".zip") for item in found) else ""
        raise InputError(f"{source}: no file here of a kind that can be read: {', '.join(SUFFIXES)}{hint}")
    known = readable_files if info.type == pafs.FileType.File else _spectra_only(readable_files)
    if not known:
        raise InputError(f"{source}: holds only other products of DataLink; download XP_CONTINUOUS, structure RAW")
    # pyarrow drops the scheme of a bucket's URI from the paths that it lists.
    scheme = source.partition("://")[0] + "://" if "://" in source and not source.startswith("file://") else ""
    return [scheme + item for item in known]


def _spectra_only(paths: list[str]) -> list[str]:
    """Leave out other products, and sampled spectra where there are continuous ones: they are of the same stars."""
    products = [path for path in paths if not path.rpartition("/")[2].startswith(_OTHER_PRODUCTS)]
    continuous = [path for path in products if not path.rpartition("/")[2].startswith(_SAMPLED)]
    return continuous or products


def fingerprint(path: str) -> str:
    """Return the MD5 listed in `_MD5SUM.txt` in the file's folder, or else the SHA-256 of the file's bytes.

    It has the form of `xpfeh.files.digest`. A listed file is not read here, since hashing the 4 TB of all bulk files
    would take longer than planning should; `check_unchanged` hashes them later.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    fs, inside = filesystem(path)
    folder, _, name = inside.rpartition("/")
    listing = f"{folder}/{CHECKSUMS}"
    with readable(path):
        if exists(fs, listing):
            with fs.open_input_stream(listing) as stream:
                text = stream.read().decode("utf-8", "replace")
            if line := re.search(rf"^([0-9a-f]{{32}})\s+\*?{re.escape(name)}\s*$", text, re.MULTILINE):
                return f"md5:{line[1]}"
        return digest(fs, inside)


def check_unchanged(path: str, planned: str) -> None:
    """Read a file through and compare it with its planned fingerprint.

    Raises
    ------
    UserError
        If the file is not the planned one.
    """
    algorithm = planned.partition(":")[0]
    with readable(path):
        found = digest(*filesystem(path), algorithm)
    if found != planned:
        reason = (
            "its MD5 is not the listed one; download it again" if algorithm == "md5" else "has changed since planned"
        )
        raise InputError(f"{path}: {reason}")


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Turn errors of the libraries about a broken file into one `UserError` with its name."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except _BROKEN as error:
        raise InputError(f"{path}: cannot be read to its end ({first_line(error)}); download it again") from None
