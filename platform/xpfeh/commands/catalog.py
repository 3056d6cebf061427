"""The catalog: from features and a model to the paper's Table 2, a row for every star."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xpfeh.cluster.run_plan import MAX_WORKERS, ShardWork, run_plan
from xpfeh.columns import CATALOG, to_arrays, to_table
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery, Record
from xpfeh.errors import UserError
from xpfeh.files import absolute, digest, first_line
from xpfeh.inference.bundle import pack, unpack
from xpfeh.inference.estimate import estimate
from xpfeh.inference.kinds import kinds_of
from xpfeh.inference.predictor import Predictor
from xpfeh.provenance import code_version

_ROWS = 2_048  # stars predicted at a time: 6 MB of features


def make_catalog(
    features: str | Path, bundle: str | Path, out: str | Path, max_workers: int = MAX_WORKERS
) -> list[Record]:
    """Predict every star of a features dataset; a killed run is resumed by the same call.

    Parameters
    ----------
    features, out : str or Path
        Folder or URI of the features, and of the catalog to write.
    bundle : str or Path
        Folder of the model bundle; the workers get its files from here.
    max_workers : int
        See `run_plan`.

    Raises
    ------
    UserError
        If the features are incomplete or do not fit the model, the bundle is invalid, or `out` holds another run.
    """
    plan = plan_catalog(features, bundle)
    return run_plan(out, plan, partial(make_work, absolute(features), pack(bundle)), max_workers)


def plan_catalog(features: str | Path, bundle: str | Path) -> Plan:
    """Return the plan of `make_catalog`: a shard for each part of the features, with its fingerprint."""
    dataset = Dataset.finished(features, "features")
    predictor = Predictor(bundle)
    predictor.check_features(dataset.plan.settings, str(features))
    return Plan(
        kind="catalog",
        inputs={absolute(features): dataset.plan.fingerprint()},
        settings=dataset.plan.settings,
        model=predictor.version,
        shards=[
            Shard(name=r.shard, source=r.shard, rows=r.rows_written, fingerprint=r.fingerprint)
            for r in dataset.records()
        ],
        made_by=code_version(),
    )


def make_work(features: str, bundle: dict[str, bytes]) -> ShardWork:
    """Return the function that makes a shard's rows of the catalog with a `packed` bundle."""
    dataset = Dataset.at(features)
    fs = dataset.fs
    with unpack(bundle) as place:
        predictor = Predictor(place)

    def work(shard: Shard) -> Iterator[Delivery]:
        yield Delivery(CATALOG.empty_table())  # all there is for a part without stars
        path = dataset.part(shard.source)
        try:
            with fs.open_input_file(path) as file:
                part = pq.ParquetFile(file)
                for group in range(part.num_row_groups):  # 8 MB; a whole part at once would be 180 MB
                    for batch in part.iter_batches(_ROWS, row_groups=[group]):
                        stars = to_arrays(pa.Table.from_batches([batch]))
                        answers = estimate(stars, predictor)
                        yield Delivery(to_table(answers, CATALOG), kinds=kinds_of(answers))
            if digest(fs, path) != shard.fingerprint:
                raise UserError(f"{path}: not the part that xpfeh ingest wrote; delete it and ingest again")
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError(
                f"{path}: cannot be read ({first_line(error)}); if it is damaged, delete it and ingest again"
            ) from error

    return work
