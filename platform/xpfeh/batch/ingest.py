"""Ingest: spectra from any source to features, once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from xpfeh.batch.ledger import Plan, Record, Shard
from xpfeh.batch.shards import ShardWork, run_plan
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import reader
from xpfeh.sources.schema import features_schema, to_table
from xpfeh.xp import dust
from xpfeh.xp.preprocess import preprocess

ROWS_PER_SHARD = 5_000


def ingest(sources: Sequence[str], out: str | Path, settings: PreprocessSettings) -> list[Record]:
    """Turn the spectra of `sources` into a features dataset at `out`; a killed run is resumed by the same call.

    Raises
    ------
    UserError
        If a source is not readable as one, or `out` holds another run.
    """
    dust.check(settings.dust_map)
    pieces = [piece for source in sources for piece in reader.pieces(source, ROWS_PER_SHARD)]
    plan = Plan(
        kind="features",
        inputs={source: reader.fingerprint(source) for source in sources},
        settings=settings.model_dump(mode="json"),
        shards=[
            Shard(name=f"part-{number:05d}", source=p.source, start=p.start, rows=p.rows, rejected=p.rejected)
            for number, p in enumerate(pieces)
        ],
        made_by=code_version(),
    )
    return run_plan(out, plan, partial(_make_work, settings))


def _make_work(settings: PreprocessSettings) -> ShardWork:
    schema = features_schema(settings.n_pixels)

    def work(shard: Shard) -> pa.Table:
        return to_table(preprocess(reader.read(shard.source, shard.start, shard.rows), settings), schema)

    return work
