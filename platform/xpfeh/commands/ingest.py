"""Ingest: from spectra of any source to features, once."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rich.progress import track

from xpfeh.cluster.run_plan import MAX_WORKERS, ShardWork, run_plan
from xpfeh.columns import FEATURES, to_table
from xpfeh.commands.companion_matches import check_matches
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery, Record
from xpfeh.errors import UserError
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.companions import Companions
from xpfeh.sources.input_files import check_unchanged, fingerprint
from xpfeh.sources.reader import (
    NO_COMPANIONS,
    CompanionFiles,
    SpectraFile,
    check_companions,
    find_spectra,
    open_spectra,
    read,
)
from xpfeh.xp import dust
from xpfeh.xp.bases import load_bands
from xpfeh.xp.correction_tables import correction_tables
from xpfeh.xp.preprocess import preprocess


def ingest(
    sources: Sequence[str],
    out: str | Path,
    settings: PreprocessSettings,
    companions: CompanionFiles = NO_COMPANIONS,
    max_workers: int = MAX_WORKERS,
    warn: Callable[[str], object] = warnings.warn,
) -> list[Record]:
    """Turn the spectra of `sources` into a features dataset at `out`; a killed run is resumed by the same call.

    Parameters
    ----------
    sources : sequence of str
        The library's name or a file of the same layout; Gaia's files, or folders, globs or URIs of them.
    out : str or Path
    settings : PreprocessSettings
    companions : CompanionFiles
        Photometry and distances of Gaia's files of spectra.
    max_workers : int
        See `run_plan`.
    warn : callable
        Called with a line about companion files that have few of the stars.

    Raises
    ------
    UserError
        If a source cannot be read, `out` holds another run, or companion files have none of the stars. That is known
        only once the features are made, so they exist: flagged NO_PHOTOMETRY, or, without any distance,
        CUT_NOT_EVALUATED.
    """
    plan = plan_features(sources, settings, companions)
    records = run_plan(out, plan, partial(make_work, settings, companions), max_workers)
    matched: Counter[str] = sum((Counter(record.matched) for record in records), Counter())
    check_matches(companions, matched, sum(record.rows_written for record in records), warn)
    return records


def plan_features(
    sources: Sequence[str], settings: PreprocessSettings, companions: CompanionFiles = NO_COMPANIONS
) -> Plan:
    """Return the plan of `ingest`: every file with its fingerprint.

    Raises
    ------
    UserError
        If a source cannot be read, or does not fit the settings.
    """
    dust.check(settings.dust_map)
    tables = {} if settings.correction == "uncorrected" else {"correction tables": correction_tables().fingerprint}
    spectra = [file for source in sources for file in find_spectra(source)]
    _check_each_once(spectra)
    for file in spectra:
        _check_settings(file, settings)
        check_companions(file, companions)
    fingerprints = _fingerprints("spectra", [partial(fingerprint, file.location) for file in spectra])
    inputs = {"spectra": _together(fingerprints)}
    Companions(companions.photometry, companions.distances).check()
    for name, paths in (("photometry", companions.photometry), ("distances", companions.distances)):
        if paths:
            inputs[name] = _together(_fingerprints(name, [partial(fingerprint, str(path)) for path in paths]))
    ranges = [(file, *rows, found) for file, found in zip(spectra, fingerprints, strict=True) for rows in file.ranges()]
    return Plan(
        kind="features",
        inputs=tables | inputs,
        settings=settings,
        shards=[
            Shard(name=f"part-{i:05d}", source=file.path, start=start, rows=rows, fingerprint=found)
            for i, (file, start, rows, found) in enumerate(ranges)
        ],
        made_by=code_version(),
    )


def make_work(settings: PreprocessSettings, companions: CompanionFiles = NO_COMPANIONS) -> ShardWork:
    """Return the function that makes a shard's features."""

    def work(shard: Shard) -> Iterator[Delivery]:
        file = open_spectra(shard.source)
        for batch in read(file, shard.start, shard.rows, companions):
            features = to_table(preprocess(batch.columns, settings), FEATURES)
            yield Delivery(features, batch.rejected, batch.matched)
        check_unchanged(file.location, shard.fingerprint)

    return work


def _check_settings(file: SpectraFile, settings: PreprocessSettings) -> None:
    """Refuse a file now, by name, which every worker would otherwise refuse later."""
    if not file.releases:  # sampled spectra
        return
    if settings.release not in file.releases:
        found = file.releases[0]
        raise UserError(
            f"{file.path}: holds {found.upper()} spectra, but the settings are for {settings.release.upper()}; use "
            f"--release {found}, and ingest each release separately"
        )
    load_bands(settings.release, settings.bases)


def _check_each_once(spectra: Sequence[SpectraFile]) -> None:
    """Refuse a file named by two sources, such as a folder and a glob in it: its stars would be repeated."""
    for path, count in Counter(file.path for file in spectra).items():
        if count > 1:
            raise UserError(f"{path}: given {count} times; name each file once")


def _fingerprints(what: str, makers: Sequence[Callable[[], str]]) -> list[str]:
    with ThreadPoolExecutor() as threads:
        results = threads.map(lambda make: make(), makers)
        return list(track(results, description=f"fingerprints of {what}", total=len(makers)))


def _together(fingerprints: Iterable[str]) -> str:
    return f"sha256:{hashlib.sha256(' '.join(fingerprints).encode()).hexdigest()}"
