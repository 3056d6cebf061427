"""Made-up features and labels of any number of stars: the library's, repeated with noise and new identifiers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.progress import track
from xpfeh.columns import FEATURES, to_table
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.library import NAME, library_path, read_spectra
from xpfeh.xp.preprocess import preprocess

PART_ROWS = 65_536
_GROUP_ROWS = 1_024


def write_made_up_features(out: Path, rows: int) -> None:
    """Write `rows` made-up stars as a features dataset, in parts of the size of Gaia's bulk files."""
    settings = PreprocessSettings()
    starts = range(0, rows, PART_ROWS)
    plan = Plan(
        kind="features",
        inputs={"MADE, not observed: the library's stars repeated with noise": str(rows)},
        settings=settings,
        shards=[Shard(name=f"part-{s // PART_ROWS:05d}", source="made up", start=s, rows=min(PART_ROWS, rows - s))
                for s in starts],
        made_by=code_version(),
    )  # fmt: skip
    dataset = Dataset.begin(out, plan)
    for shard in track(dataset.pending(), description=f"make {rows:,} stars"):
        dataset.commit(shard, _deliveries(shard, settings))


def write_made_up_labels(out: Path, labels: Path, rows: int, number: int) -> None:
    """Write the labels of `number` of the `rows` made-up stars: those of the library's star that each was made from."""
    ids = _library()["source_id"]
    row = np.arange(rows)
    original = ids[row % len(ids)]
    made = pl.DataFrame({"source_id": original, "made": _renumbered(original, row // len(ids))})
    joined = made.join(pl.read_parquet(labels), on="source_id").drop("source_id").rename({"made": "source_id"})
    joined.sample(number, seed=0).write_parquet(out)


def _deliveries(shard: Shard, settings: PreprocessSettings) -> Iterator[Delivery]:
    stars = _library()
    count = len(stars["source_id"])
    for start in range(shard.start, shard.start + shard.rows, _GROUP_ROWS):
        rows = np.arange(start, min(start + _GROUP_ROWS, shard.start + shard.rows))
        chosen = {name: values[rows % count] for name, values in stars.items()}
        chosen["source_id"] = _renumbered(chosen["source_id"], rows // count)
        noise = np.random.default_rng(start).standard_normal(chosen["flux"].shape, dtype=np.float32)
        chosen["flux"] += noise * chosen["flux_error"]
        yield Delivery(to_table(preprocess(chosen, settings), FEATURES))


def _renumbered(source_id: NDArray[np.int64], repetition: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return new identifiers; a prime apart, so that those of neighbouring stars do not meet."""
    return source_id + (1 + repetition) * 1_000_003


@lru_cache(maxsize=1)
def _library() -> dict[str, NDArray]:
    return read_spectra(library_path(NAME), 0, None)
