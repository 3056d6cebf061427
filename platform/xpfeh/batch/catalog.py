"""The catalog: features and a model to the paper's Table 2, a row for every star."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xpfeh.batch.ledger import Delivery, Plan, Record, Shard
from xpfeh.batch.shards import ShardWork, run_plan
from xpfeh.model.estimate import estimate
from xpfeh.model.predictor import Predictor
from xpfeh.provenance import code_version
from xpfeh.sources.schema import CATALOG, to_arrays, to_table
from xpfeh.storage import filesystem, list_parts

_ROWS = 65_536


def make_catalog(features: str | Path, bundle: str | Path, out: str | Path) -> list[Record]:
    """Predict every star of a features dataset; a killed run is resumed by the same call.

    Parameters
    ----------
    features, out : str or Path
        Folder or URI of the features, and of the catalog to write.
    bundle : str or Path
        Folder of the model bundle, readable on every node.

    Raises
    ------
    UserError
        If the features are incomplete or do not fit the model, the bundle is none, or `out` holds another run.
    """
    fs, folder = filesystem(features)
    paths, provenance = list_parts(fs, folder)
    predictor = Predictor.load(bundle)
    predictor.check_features(provenance["settings"], str(features))
    rows = [pq.read_metadata(path, filesystem=fs).num_rows for path in paths]
    plan = Plan(
        kind="catalog",
        inputs={str(features): provenance["fingerprint"]},
        settings=provenance["settings"],
        model=predictor.version,
        shards=[Shard(name=Path(path).stem, source=path, rows=count) for path, count in zip(paths, rows, strict=True)],
        made_by=code_version(),
    )
    return run_plan(out, plan, partial(_make_work, str(features), str(bundle)))


def _make_work(features: str, bundle: str) -> ShardWork:
    fs, _ = filesystem(features)
    predictor = Predictor.load(bundle)

    def work(shard: Shard) -> Iterator[Delivery]:
        with fs.open_input_file(shard.source) as file:
            for batch in pq.ParquetFile(file).iter_batches(_ROWS):
                features = to_arrays(pa.Table.from_batches([batch]))
                yield Delivery(to_table(estimate(features, predictor), CATALOG))

    return work
