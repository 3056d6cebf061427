"""One request to Gaia's archive: the spectra, or the photometry, of at most `IDS_PER_REQUEST` stars of a release."""

from __future__ import annotations

import io
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import requests
from numpy.typing import NDArray

from xpfeh.download.http import BadResponseError, RefusedError, Services, check_status, run_query, with_retries
from xpfeh.errors import UserError
from xpfeh.sources.companions import PHOTOMETRY
from xpfeh.sources.releases import RELEASES, Release

GAIA_SOURCE_COLUMNS = ("source_id", *PHOTOMETRY, "l", "b", "parallax", "pmra", "pmdec", "ref_epoch")


def request_spectra(ids: NDArray[np.int64], release: str, services: Services) -> bytes:
    """Return the spectra (K,) of those of the stars that have one as CSV, nothing if none has.

    The archive's own names of columns are written as they are called here, see `xpfeh.sources.releases`.

    Raises
    ------
    UserError
        If the archive gives no usable response, or refuses the request.
    """
    gaia = RELEASES[release]
    alternative = f"download {gaia.retrieval_type} as {gaia.data_structures[0]} CSV from the archive's DataLink"
    alternative += " into a folder and ingest that"
    refusals = []
    for structure in gaia.data_structures:
        try:
            return with_retries(
                partial(request_datalink, ids, gaia, structure, services), services, "spectra", alternative
            )
        except RefusedError as refused:
            refusals.append(f"{structure}: {refused}")
    raise UserError(
        f"spectra of {gaia.title}: the archive refuses {gaia.retrieval_type} ({'; '.join(refusals)}); "
        f"xpfeh probe {release} shows what it expects"
    )


def request_datalink(ids: NDArray[np.int64], gaia: Release, structure: str, services: Services) -> bytes:
    """Ask DataLink once, and return the CSV of the stars that it has; nothing if it has none.

    Raises
    ------
    RefusedError
        If the archive says that it knows no such thing.
    """
    form = {
        "ID": ",".join(map(str, ids.tolist())), "RETRIEVAL_TYPE": gaia.retrieval_type, "DATA_STRUCTURE": structure,
        "FORMAT": "csv", "RELEASE": gaia.title, "VALID_DATA": "true", "USE_ZIP_ALWAYS": "true",
    }  # fmt: skip
    response = requests.post(services.datalink, data=form, timeout=services.timeout_s)
    check_status(response)
    with zipfile.ZipFile(io.BytesIO(response.content)) as files:
        contents = [files.read(name) for name in files.namelist() if name.endswith(".csv")]
    # Each file has the line of names; a file without another line is how the archive says "none".
    parts = [content.rstrip().partition(b"\n") for content in contents]
    rows = [lines for _, _, lines in parts if lines]
    if not rows:
        return b""
    names = [name.strip().decode() for name in parts[0][0].split(b",")]
    header = ",".join(gaia.columns.get(name, name) for name in names)
    csv = header.encode() + b"\n" + b"\n".join(rows) + b"\n"
    received = ids_of_csv(csv)
    if len(np.unique(received)) < len(received) or not np.isin(received, ids).all():
        raise BadResponseError("repeated stars, or stars that were not asked for")
    return csv


def request_photometry(ids: NDArray[np.int64], release: str, services: Services) -> pl.DataFrame:
    """Return the columns `GAIA_SOURCE_COLUMNS` of those of the stars that gaia_source has.

    Raises
    ------
    UserError
        If the archive gives no usable response, or refuses the query.
    """
    table = RELEASES[release].gaia_source
    listed = ",".join(map(str, ids.tolist()))
    query = f"SELECT {', '.join(GAIA_SOURCE_COLUMNS)} FROM {table} WHERE source_id IN ({listed})"
    alternative = f"download these stars of {table} from the archive as CSV"
    frame = run_query(query, services.gaia_tap, services, "photometry", alternative)
    return frame.with_columns(pl.col("source_id").cast(pl.Int64))


def ids_of_csv(csv: bytes | Path) -> NDArray[np.int64]:
    """Return the identifiers of a CSV file of spectra.

    Raises
    ------
    BadResponseError
        If a row has none.
    """
    ids = pl.read_csv(csv, columns=["source_id"], schema_overrides={"source_id": pl.Int64})["source_id"]
    if ids.null_count():
        raise BadResponseError("a row without source_id")
    return ids.to_numpy()
