"""Files of spectra that are sent to the endpoint: stored, checked and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from fastapi import Request
from starlette.exceptions import HTTPException

from xpfeh.columns import rows_of
from xpfeh.errors import UserError
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.answers import catalog_of
from xpfeh.serving.requested import RequestedStars
from xpfeh.sources.coefficients import LIST_COLUMNS, RawBatch
from xpfeh.sources.gaia_files import GaiaFile
from xpfeh.sources.input_files import PARQUET, SUFFIXES, TEXT, readable
from xpfeh.sources.reader import NO_COMPANIONS, read
from xpfeh.sources.samples import SAMPLES
from xpfeh.tables.gunzip import GZIP_MAGIC
from xpfeh.typing import Columns

MAX_FILE_BYTES = 200_000_000
"""About 5,000 stars in DataLink's CSV, 30,000 in Parquet."""
MAX_FILE_STARS = 50_000
_MOST_VALUES = 10_000  # of a list: DR3 has 1,485 correlations
TOO_MANY = f"{{}}: has more than {MAX_FILE_STARS:,} stars; send it in parts"
_COMPRESSED = "compressed files are not accepted, as a small one can unpack to any size; unpack it"


async def store(request: Request, name: str, folder: Path) -> Path:
    """Write a body to a file with the suffix of `name`, and return the file.

    Raises
    ------
    HTTPException
        As `receive`, and 415 for a suffix that cannot be read.
    """
    if name.lower().endswith(".gz"):
        raise HTTPException(415, _COMPRESSED)
    suffix = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(s)), None)
    if suffix is None:
        raise HTTPException(415, f"?name= must end in {', '.join(s for s in SUFFIXES if not s.endswith('.gz'))}")
    return await receive(request, folder / f"upload{suffix}")


async def receive(request: Request, path: Path) -> Path:
    """Write a body to a file as it arrives, never whole in memory, and return the file.

    Raises
    ------
    HTTPException
        413 beyond `MAX_FILE_BYTES`, 415 if it is compressed.
    """
    size, beginning = 0, b""
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            beginning = (beginning + chunk[:2])[:2]
            if beginning == GZIP_MAGIC:
                raise HTTPException(415, _COMPRESSED)
            if size > MAX_FILE_BYTES:
                raise HTTPException(413, f"a file may have at most {MAX_FILE_BYTES / 1e6:g} MB")
            file.write(chunk)
    return path


def predict(
    path: Path, name: str, predictor: Predictor, spend: Callable[[int], None]
) -> tuple[RequestedStars, list[Columns]]:
    """Return the stars of a file, and their catalog columns, read and predicted batch by batch.

    Parameters
    ----------
    path : Path
    name : str
        The sender's name of the file.
    predictor : Predictor
    spend : callable
        Called with the number of stars to be computed next; raises if the key may not have them.

    Raises
    ------
    UserError
        If the file cannot be read, or has too many stars.
    """
    requested, catalogs = RequestedStars([]), list[Columns]()
    for batch in _batches(path, name):
        requested.append(batch)
        spend(batch.rows_read)
        catalogs += catalog_of([batch.columns], predictor)
        if len(requested.source_ids) > MAX_FILE_STARS:
            raise UserError(TOO_MANY.format(name))
    return requested, catalogs


def one_star(path: Path, name: str, source_id: int) -> RequestedStars:
    """Return one star of a file.

    Raises
    ------
    UserError
        If the file cannot be read, or has no such star.
    """
    for batch in _batches(path, name):
        here = batch.columns["source_id"] == source_id
        if here.any():
            star = rows_of(batch.columns, here)
            return RequestedStars([source_id], spectra=[(star, np.arange(1))])
    raise UserError(f"{name}: has no star {source_id}, or no valid row of it")


def _batches(path: Path, name: str) -> Iterator[RawBatch]:
    with named_by_sender(path, name):
        check_size(path)
        file = GaiaFile(str(path))
        for start, rows in file.ranges():
            yield from read(file, start, rows, NO_COMPANIONS)


@contextmanager
def named_by_sender(path: str | Path, name: str) -> Iterator[None]:
    """Replace a file's path on this machine by its sender's name in errors."""
    try:
        yield
    except UserError as error:
        raise type(error)(str(error).replace(str(path), name)) from None


def check_size(path: Path) -> None:
    """Refuse a file of too many stars before it is read, and Parquet that is small only on disk.

    Parquet stores repeated values once: a small file can unpack to any size.

    Raises
    ------
    UserError
    """
    if path.suffix in TEXT:
        with path.open("rb") as file:
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        if lines > 2 * MAX_FILE_STARS:  # a header has some hundred more lines than stars; the stars are counted later
            raise UserError(TOO_MANY.format(path))
    if path.suffix in PARQUET:
        _check_parquet(path)


def _check_parquet(path: Path) -> None:
    with readable(str(path)):
        file = pq.ParquetFile(path)
    footer = file.metadata
    if footer.num_rows > MAX_FILE_STARS:
        raise UserError(TOO_MANY.format(path))
    for column in range(footer.num_columns):
        name, kind = footer.schema.column(column).path, footer.schema.column(column).physical_type
        if name.split(".")[0] not in (*SAMPLES, *LIST_COLUMNS):
            continue
        values = sum(footer.row_group(group).column(column).num_values for group in range(footer.num_row_groups))
        if kind not in ("FLOAT", "DOUBLE", "INT32", "INT64") or values > footer.num_rows * _MOST_VALUES:
            raise UserError(f"{path}: {name} must be lists of at most {_MOST_VALUES:,} numbers")
