"""Answers: the catalog rows of the requested stars, in any media type."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from xpfeh.columns import CATALOG, to_table
from xpfeh.flags import MEANING, Flag
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.requested import RequestedStars
from xpfeh.tables.votable import write_votable_to
from xpfeh.tables.writing import write_table
from xpfeh.typing import Columns
from xpfeh.xp.preprocess import preprocess

JSON, ARROW, CSV = "application/json", "application/vnd.apache.arrow.stream", "text/csv"
VOTABLE, FITS, PARQUET = "application/x-votable+xml", "application/fits", "application/vnd.apache.parquet"


def catalog_of(raws: Sequence[Columns], predictor: Predictor) -> list[Columns]:
    """Return the catalog columns of several batches of raw columns, computed together.

    A star's bytes do not depend on the stars it is batched with (`xpfeh.inference.graph`).
    """
    kinds: dict[tuple[str, ...], list[int]] = {}
    for number, raw in enumerate(raws):
        kinds.setdefault(tuple(sorted(raw)), []).append(number)
    found: dict[int, Columns] = {}
    for numbers in kinds.values():
        together = {name: np.concatenate([raws[i][name] for i in numbers]) for name in raws[numbers[0]]}
        catalog = estimate(preprocess(together, predictor.card.preprocess), predictor)
        ends = np.cumsum([len(raws[i]["source_id"]) for i in numbers])
        for i, start, end in zip(numbers, [0, *ends[:-1]], ends, strict=True):
            found[i] = {name: values[start:end] for name, values in catalog.items()}
    return [found[i] for i in range(len(raws))]


def answered(requests: Sequence[tuple[RequestedStars, str]], predictor: Predictor) -> tuple[list[Columns], list[bytes]]:
    """Return the catalog columns of all requests, computed together, and each request's answer in its media type."""
    catalogs = catalog_of([raw for requested, _ in requests for raw, _ in requested.spectra], predictor)
    rest = iter(catalogs)
    own = [[next(rest) for _ in requested.spectra] for requested, _ in requests]
    return catalogs, [
        answer(kind, requested, each, predictor) for (requested, kind), each in zip(requests, own, strict=True)
    ]


def answer(kind: str, requested: RequestedStars, catalogs: Sequence[Columns], predictor: Predictor) -> bytes:
    """Return an answer as JSON, or in one of the media types of `TABLES` and `FILES`."""
    if kind == JSON:
        return as_json(requested, catalogs, predictor)
    return {**TABLES, **FILES}[kind](as_table(requested, catalogs))


def as_json(requested: RequestedStars, catalogs: Sequence[Columns], predictor: Predictor) -> bytes:
    """Return an answer as JSON: a row or an error for each star, in the request's order; unknown numbers are null."""
    stars: list[dict[str, Any]] = [
        {"source_id": source_id, "good": False, "error": requested.reasons.get(place, "")}
        for place, source_id in enumerate(requested.source_ids)
    ]
    for catalog, (_, places) in zip(catalogs, requested.spectra, strict=True):
        lists = [values.tolist() for values in catalog.values()]
        for place, *row in zip(places.tolist(), *lists, strict=True):
            star = dict(zip(catalog, row, strict=True))
            stars[place] = {**star, "flag_names": _names(star["flags"])}
    used = predictor.card.preprocess
    head = {"model_version": predictor.version, "release": used.release, "dust_map": used.dust_map}
    return to_json({**head, "stars": stars}, inf_nan_mode="null")


def as_table(requested: RequestedStars, catalogs: Sequence[Columns]) -> pa.Table:
    """Return an answer as a table: the catalog columns and ``error``, null if the star was answered.

    A star with an error is not good.
    """
    schema = pa.schema([field.with_nullable(True) for field in CATALOG])
    tables = [to_table(catalog, CATALOG).cast(schema) for catalog in catalogs]
    order: list[int | None] = [None] * len(requested.source_ids)
    answered = np.concatenate([np.empty(0, np.intp), *(places for _, places in requested.spectra)])
    for row, place in enumerate(answered.tolist()):
        order[place] = row
    table = pa.concat_tables([schema.empty_table(), *tables]).take(pa.array(order, pa.int64()))
    place = schema.get_field_index("good")
    table = table.set_column(place, schema.field(place), table["good"].fill_null(False))
    ids = pa.array(requested.source_ids, pa.int64())
    errors = pa.array([requested.reasons.get(place) for place in range(len(order))], pa.string())
    reason = pa.field("error", pa.string(), metadata={"description": "why the star was not answered", "unit": ""})
    return table.set_column(0, schema.field(0), ids).append_column(reason, errors)


def as_arrow(table: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def as_csv(table: pa.Table) -> bytes:
    """Return a table as CSV; unknown values are empty."""
    sink = io.BytesIO()
    pacsv.write_csv(table, sink)
    return sink.getvalue()


def as_votable(table: pa.Table) -> bytes:
    """Return a table as a VOTable with units and UCDs."""
    sink = io.BytesIO()
    # VOTable has no null for text and whole numbers.
    for name, nothing in (("model_version", ""), ("error", ""), ("flags", 0)):
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, pl.Series(table[name]).fill_null(nothing).to_arrow().cast(field.type))
    write_votable_to(sink, table, "[Fe/H] of giant stars, xpfeh")
    return sink.getvalue()


def _as_file(suffix: str, table: pa.Table) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"feh{suffix}")
        write_table(path, [table])
        return path.read_bytes()


TABLES: Mapping[str, Callable[[pa.Table], bytes]] = {ARROW: as_arrow, CSV: as_csv, VOTABLE: as_votable}
"""Writers of a table, by media type."""
FILES: Mapping[str, Callable[[pa.Table], bytes]] = {
    FITS: partial(_as_file, ".fits"),
    PARQUET: partial(_as_file, ".parquet"),
}
"""Likewise, for the answer to a file."""


def accepted(header: str, kinds: Iterable[str] = ()) -> str:
    """Return the first media type of an ``Accept`` header that is available; JSON if it accepts anything.

    Raises
    ------
    HTTPException
        406 if none is available.
    """
    for each in header.lower().split(","):
        kind = each.partition(";")[0].strip()
        if kind in ("*/*", "application/*", JSON):
            return JSON
        if kind in (*TABLES, *kinds):
            return kind
    raise HTTPException(406, f"available media types: {', '.join(dict.fromkeys((JSON, *TABLES, *kinds)))}")


@lru_cache(maxsize=4096)
def _names(flags: int) -> list[str]:
    return [f"{flag.name}: {MEANING[flag]}" for flag in Flag if flags & flag]
