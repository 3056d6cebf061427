"""The work of a job as Ray tasks: one for each shard, and one for the result."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import ray

from xpfeh.columns import CATALOG, rows_of, to_arrays, to_table
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Shard
from xpfeh.dataset.records import Delivery, Record
from xpfeh.files import read_bytes
from xpfeh.inference.bundle import CARD, MODEL, unpack
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.answers import TABLES, as_table, catalog_of
from xpfeh.serving.jobs.folder import JobFolder, JobProgress, ResultForm
from xpfeh.serving.jobs.intake import ANSWERS, STARS
from xpfeh.serving.requested import RequestedStars, ebv_of, has_spectra
from xpfeh.serving.uploads import named_by_sender
from xpfeh.sources.coefficients import REPEATED, Reject, is_repeated
from xpfeh.sources.gaia_files import GaiaFile
from xpfeh.sources.given_table import GivenTable
from xpfeh.sources.reader import NO_COMPANIONS, read
from xpfeh.tables.writing import write_table

_REJECTS = {"source": pl.String, "row": pl.Int64, "source_id": pl.Int64, "reason": pl.String}
_NICEST = 19
"""A job gets only idle CPU time: processes that answer requests come first."""

# A process ends with its task: Ray would reuse it, for a new replica too, with its low priority. And a core is free
# between two tasks, so that a rollout's new replica need not wait for the end of a job.
_task = ray.remote(num_cpus=1, max_calls=1, max_retries=3)


@_task
def make_part(jobs: str, owner: str, job_id: str, so_far: JobProgress, shard: Shard) -> Record:
    """Answer the stars of a shard, and record it."""
    os.nice(_NICEST)
    folder = JobFolder(jobs, owner, job_id)
    folder.write(so_far)
    dataset = Dataset.at(folder.uri(ANSWERS))
    with unpack({name: folder.read(name) for name in (MODEL, CARD)}) as bundle:
        predictor = Predictor(bundle)
    try:
        return dataset.commit(shard, answers_of(folder, shard, predictor))
    except Exception as error:
        dataset.fail(shard, error)
        raise


@_task
def make_result(jobs: str, owner: str, job_id: str) -> None:
    """Write the result in each format: a row for each star of the request, in its order."""
    os.nice(_NICEST)
    folder = JobFolder(jobs, owner, job_id)
    table = gather(Dataset.at(folder.uri(ANSWERS)))
    folder.write(JobProgress(done=len(table), rejected=len(table) - table["error"].null_count))
    with tempfile.TemporaryDirectory() as work:
        for form in ResultForm:
            if not form.takes(len(table)):
                continue
            path = Path(work, form.file)
            if form.media_type in TABLES:
                path.write_bytes(TABLES[form.media_type](table))
            else:
                write_table(path, [table])
            folder.put(form.file, path)


def answers_of(folder: JobFolder, shard: Shard, predictor: Predictor) -> Iterator[Delivery]:
    """Yield the catalog rows of a shard's stars, and the rejected rows."""
    if shard.source != STARS:
        yield from _answers_of_file(folder, shard, predictor)
        return
    requested = _requested(folder, shard, predictor.card.preprocess.release)
    catalogs = catalog_of([raw for raw, _ in requested.spectra], predictor)
    rejected = [
        Reject(shard.start + i, requested.source_ids[i], reason) for i, reason in sorted(requested.reasons.items())
    ]
    yield Delivery(pa.concat_tables([CATALOG.empty_table(), *(to_table(each, CATALOG) for each in catalogs)]), rejected)


def _answers_of_file(folder: JobFolder, shard: Shard, predictor: Predictor) -> Iterator[Delivery]:
    with tempfile.TemporaryDirectory() as work:
        path, order = str(folder.fetch(shard.source, Path(work))), folder.order()
        with named_by_sender(path, order.name if order else "the file"):
            for batch in read(GaiaFile(path), shard.start, shard.rows, NO_COMPANIONS):
                (catalog,) = catalog_of([batch.columns], predictor)
                yield Delivery(to_table(catalog, CATALOG), batch.rejected)


def _requested(folder: JobFolder, shard: Shard, release: str) -> RequestedStars:
    """Return the stars of a shard of a table."""
    from xpfeh.archive.cache import bring  # 75 MB that a replica, which imports this module too, does not need

    with folder.fs.open_input_file(f"{folder.path}/{STARS}") as opened:
        file = pq.ParquetFile(opened)
        table = file.read_row_group(shard.start // file.metadata.row_group(0).num_rows)
    requested = RequestedStars(table["source_id"].to_pylist())
    # Other than for a request, an archive that is down does not reject the stars: the shard is retried.
    given = has_spectra(table.schema)
    spectra = GivenTable(table, release) if given else bring(pl.Series(table["source_id"]).to_numpy(), release)
    requested.read(np.arange(len(table)), spectra, None if given else ebv_of(table))
    return requested


def gather(dataset: Dataset) -> pa.Table:
    """Return all answers of a finished dataset as the endpoint's answer table, in the order of the request.

    A star that has been answered in an earlier shard is rejected: shards are answered independently.
    """
    dataset.require_whole()
    seen = set[int]()
    shards = zip(dataset.plan.shards, dataset.records(), strict=True)
    return pa.concat_tables([_rows(dataset, shard, record, seen) for shard, record in shards])


def _rows(dataset: Dataset, shard: Shard, record: Record, seen: set[int]) -> pa.Table:
    ids = np.full(record.rows_read, None, dtype=object)
    reasons: dict[int, str] = {}
    if record.rejected:
        rejects = pl.read_csv(read_bytes(dataset.fs, dataset.rejects(shard.name)), schema=_REJECTS)
        places = (rejects["row"] - shard.start).to_list()
        reasons = dict(zip(places, rejects["reason"], strict=True))
        ids[places] = rejects["source_id"].to_list()
    part = to_arrays(pq.read_table(dataset.part(shard.name), filesystem=dataset.fs))
    answered = np.delete(np.arange(record.rows_read), list(reasons))
    ids[answered] = part["source_id"].tolist()
    repeated = is_repeated(part["source_id"], np.ones(len(answered), dtype=bool), seen)
    seen.update(part["source_id"].tolist())
    reasons |= dict.fromkeys(answered[repeated].tolist(), REPEATED)
    fresh = rows_of(part, ~repeated)
    return as_table(RequestedStars(ids.tolist(), reasons, [({}, answered[~repeated])]), [fresh])
