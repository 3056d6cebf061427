"""The catalog: features and a model to the paper's Table 2, a row for every star."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xpfeh.cluster.run_plan import ShardWork, run_plan
from xpfeh.columns import CATALOG, to_arrays, to_table
from xpfeh.dataset.ledger import Delivery, Ledger, Record
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.errors import UserError
from xpfeh.files import absolute, digest, filesystem
from xpfeh.inference.bundle import packed, unpacked
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.provenance import code_version

_ROWS = 65_536


def make_catalog(features: str | Path, bundle: str | Path, out: str | Path) -> list[Record]:
    """Predict every star of a features dataset; a killed run is resumed by the same call.

    Parameters
    ----------
    features, out : str or Path
        Folder or URI of the features, and of the catalog to write.
    bundle : str or Path
        Folder of the model bundle; the workers get its files from here.

    Raises
    ------
    UserError
        If the features are incomplete or do not fit the model, the bundle is none, or `out` holds another run.
    """
    return run_plan(out, plan_catalog(features, bundle), partial(make_work, absolute(features), packed(bundle)))


def plan_catalog(features: str | Path, bundle: str | Path) -> Plan:
    """Return the plan of `make_catalog`: a shard for each part of the features, with its fingerprint."""
    ledger = Ledger.at(features)
    if ledger.plan.kind != "features":
        raise UserError(f"{features}: holds a {ledger.plan.kind}, not features")
    if left := ledger.pending():
        raise UserError(f"{features}: {len(left)} of {len(ledger.plan.shards)} parts are missing; finish xpfeh ingest")
    predictor = Predictor.load(bundle)
    predictor.check_features(ledger.plan.settings, str(features))
    return Plan(
        kind="catalog",
        inputs={absolute(features): ledger.plan.fingerprint()},
        settings=ledger.plan.settings,
        model=predictor.version,
        shards=[
            Shard(name=r.shard, source=f"{r.shard}.parquet", rows=r.rows_written, fingerprint=r.fingerprint)
            for r in ledger.records()
        ],
        made_by=code_version(),
    )


def make_work(features: str, bundle: dict[str, bytes]) -> ShardWork:
    """Return the function that makes a shard's rows of the catalog, by a `packed` bundle."""
    fs, folder = filesystem(features)
    with unpacked(bundle) as place:
        predictor = Predictor.load(place)

    def work(shard: Shard) -> Iterator[Delivery]:
        path = f"{folder}/{shard.source}"
        try:
            with fs.open_input_file(path) as file:
                for batch in pq.ParquetFile(file).iter_batches(_ROWS):
                    features = to_arrays(pa.Table.from_batches([batch]))
                    yield Delivery(to_table(estimate(features, predictor), CATALOG))
            if digest(fs, path) != shard.fingerprint:
                raise UserError(f"{path}: is not the part that xpfeh ingest wrote; delete it, and ingest again")
        except (OSError, pa.ArrowInvalid) as error:
            told = str(error).splitlines()[0]
            raise UserError(f"{path}: cannot be read ({told}); delete it, and run xpfeh ingest again") from error

    return work
