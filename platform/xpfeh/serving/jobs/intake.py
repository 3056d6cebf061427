"""An order becomes a job's folder: the input, the model now served, the plan, and last the order itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xpfeh.columns import to_arrow
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.errors import UserError
from xpfeh.files import first_line, sha256_of
from xpfeh.inference.bundle import pack
from xpfeh.inference.predictor import Predictor
from xpfeh.provenance import code_version
from xpfeh.serving.arrow_stream import read_stream
from xpfeh.serving.jobs.folder import JobFolder, JobOrder
from xpfeh.serving.problems import named
from xpfeh.serving.requested import check_columns, ebv_of, has_spectra
from xpfeh.serving.uploads import MAX_FILE_STARS, TOO_MANY, check_size, named_by_sender
from xpfeh.sources.gaia_files import GaiaFile

MAX_STARS = 1_000_000
STARS = "stars.parquet"
"""The input if it is a table or identifiers; a file becomes ``upload`` with its suffix."""
ANSWERS = "answers"
"""The dataset of the answers, in a job's folder."""
_SHARD = 5_000  # stars: one request to Gaia's archive, and a few seconds of a core


class JobRequest(BaseModel):
    """Stars whose spectra Gaia's archive has."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"source_ids": [3849881110721354752]}]})

    # A million invalid values would give a million messages: the first is enough.
    source_ids: list[Annotated[int, Field(ge=0, lt=2**63, strict=True)]] = Field(
        min_length=1, max_length=MAX_STARS, fail_fast=True
    )


@dataclass(frozen=True)
class JobInput:
    """The input of a job, not yet in its folder.

    Attributes
    ----------
    file : Path
    source : str
        Its name in the job's folder.
    name : str
        The sender's name for it.
    ranges : list of (int, int)
        First row and number of rows of each shard.
    """

    file: Path
    source: str
    name: str
    ranges: list[tuple[int, int]]

    @property
    def stars(self) -> int:
        """Number of stars."""
        return sum(rows for _, rows in self.ranges)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the input's bytes."""
        return f"sha256:{sha256_of(self.file)}"


def of_ids(body: bytes, folder: Path) -> JobInput:
    """Return the identifiers of a JSON body as an input.

    Raises
    ------
    UserError
        If it is not a `JobRequest`.
    """
    try:
        ids = JobRequest.model_validate_json(body).source_ids
    except ValidationError as error:
        raise UserError(named(error)) from None
    return _of_table(pa.table({"source_id": to_arrow(np.array(ids, np.int64))}), folder)


def of_arrow(file: Path, folder: Path, archive: bool) -> JobInput:
    """Return an Arrow stream with columns of `xpfeh.serving.requested.Star` as an input.

    Raises
    ------
    UserError
        If it is not one, has too many stars, or lacks an identifier; or if it has no spectra and no archive is queried.
    """
    with pa.memory_map(str(file)) as mapped:
        table = read_stream(mapped)
    check_columns(table.schema)
    if not 1 <= len(table) <= MAX_STARS:
        raise UserError(f"the job has {len(table):,} stars; it must have 1 to {MAX_STARS:,}")
    if not has_spectra(table.schema) and not archive:
        raise UserError("no spectra were sent, and this endpoint does not query Gaia's archive")
    ebv_of(table)  # refuses text now, not in every task
    if table["source_id"].null_count:
        raise UserError("source_id is missing for some stars; each star needs one")
    try:
        place = table.schema.get_field_index("source_id")
        return _of_table(table.set_column(place, "source_id", table["source_id"].cast(pa.int64())), folder)
    except (pa.ArrowException, ValueError) as error:  # a type that Parquet lacks
        raise UserError(f"the columns must be numbers and lists of numbers ({first_line(error)})") from None


def of_file(file: Path, name: str) -> JobInput:
    """Return a file of spectra as an input.

    Raises
    ------
    UserError
        If it cannot be read, or has too many stars.
    """
    spectra = GaiaFile(str(file))
    with named_by_sender(file, name):
        check_size(file)
        starts = [(start, sum(map(len, spectra.source_ids(start, rows)))) for start, rows in spectra.ranges()]
    given = JobInput(file, file.name, name, starts)
    if not given.stars:
        raise UserError(f"{name}: has no stars")
    if given.stars > MAX_FILE_STARS:
        raise UserError(TOO_MANY.format(name))
    return given


def begin(folder: JobFolder, given: JobInput, bundle: Path, predictor: Predictor) -> None:
    """Make the folder of a new job.

    Parameters
    ----------
    folder : JobFolder
    given : JobInput
    bundle, predictor
        The model that answers: its files are copied to the job, so that a rollout does not affect it.
    """
    plan = Plan(
        kind="catalog",
        inputs={given.name: given.fingerprint},
        settings=predictor.card.preprocess,
        model=predictor.version,
        shards=[
            Shard(name=f"part-{i:05d}", source=given.source, start=start, rows=rows, fingerprint=given.fingerprint)
            for i, (start, rows) in enumerate(given.ranges)
        ],
        made_by=code_version(),
    )
    try:
        folder.put(given.source, given.file)
        for name, content in pack(bundle).items():
            folder.store(name, content)
        Dataset.begin(folder.uri(ANSWERS), plan)
        order = JobOrder(
            source=given.source,
            name=given.name,
            fingerprint=given.fingerprint,
            stars=given.stars,
            created=datetime.now(UTC),
        )
        folder.write(order)
    except BaseException:
        folder.delete()
        raise


def _of_table(table: pa.Table, folder: Path) -> JobInput:
    path = folder / STARS
    pq.write_table(table, path, row_group_size=_SHARD, compression="none", use_dictionary=False)
    starts = range(0, len(table), _SHARD)
    return JobInput(path, STARS, "the stars", [(start, min(_SHARD, len(table) - start)) for start in starts])
