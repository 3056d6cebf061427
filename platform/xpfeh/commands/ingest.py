"""Ingest: spectra from any source to features, once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.progress import track

from xpfeh.cluster.run_plan import ShardWork, run_plan
from xpfeh.columns import features_schema, to_table
from xpfeh.dataset.ledger import Delivery, Record
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.errors import UserError
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import reader
from xpfeh.xp import dust
from xpfeh.xp.correct import correction_tables
from xpfeh.xp.preprocess import preprocess

_NOTHING = reader.Beside()


def ingest(
    sources: Sequence[str], out: str | Path, settings: PreprocessSettings, beside: reader.Beside = _NOTHING
) -> list[Record]:
    """Turn the spectra of `sources` into a features dataset at `out`; a killed run is resumed by the same call.

    Parameters
    ----------
    sources : sequence of str
        The library's name or a file of its layout; Gaia's files, folders, globs or URIs of them.
    out : str or Path
    settings : PreprocessSettings
    beside : Beside
        Photometry and distances of Gaia's files of spectra.

    Raises
    ------
    UserError
        If a source is not readable as one, or `out` holds another run.
    """
    return run_plan(out, plan_features(sources, settings, beside), partial(make_work, settings, beside))


def plan_features(sources: Sequence[str], settings: PreprocessSettings, beside: reader.Beside = _NOTHING) -> Plan:
    """Return the plan of `ingest`: every file with its fingerprint.

    Raises
    ------
    UserError
        If a source is not readable as one.
    """
    dust.check(settings.dust_map)
    tables = {} if settings.correction == "uncorrected" else {"correction tables": correction_tables().fingerprint}
    pieces = [piece for source in sources for piece in reader.pieces(source)]
    if settings.pixel_error == "exact" and not all(piece.release for piece in pieces):
        raise UserError("pixel_error=exact needs coefficients and their correlations; a source here is sampled already")
    spectra = tuple(dict.fromkeys(piece.source for piece in pieces))
    kinds = {"spectra": spectra, "photometry": beside.photometry, "distances": beside.distances}
    files = [file for kind in kinds.values() for file in kind]
    with ThreadPoolExecutor() as threads:
        read = track(threads.map(reader.fingerprint, files), description="fingerprints", total=len(files))
        found = dict(zip(files, read, strict=True))
    return Plan(
        kind="features",
        inputs=tables | {name: _together(found[file] for file in files) for name, files in kinds.items() if files},
        settings=settings.model_dump(mode="json"),
        shards=[
            Shard(name=f"part-{i:05d}", **asdict(piece), fingerprint=found[piece.source])
            for i, piece in enumerate(pieces)
        ],
        made_by=code_version(),
    )


def _together(fingerprints: Iterable[str]) -> str:
    return f"sha256:{hashlib.sha256(' '.join(fingerprints).encode()).hexdigest()}"


def make_work(settings: PreprocessSettings, beside: reader.Beside = _NOTHING) -> ShardWork:
    """Return the function that makes a shard's features."""
    schema = features_schema(settings.n_pixels)

    def work(shard: Shard) -> Iterator[Delivery]:
        piece = reader.Piece(shard.source, shard.release, shard.start, shard.rows)
        for batch in reader.read(piece, beside):
            yield Delivery(to_table(preprocess(batch.columns, settings), schema), batch.rejected)
        reader.check(shard.source, shard.fingerprint)

    return work
