"""From spectra to one table, on this machine, in a file or in memory: shared by `predict`, `spectra` and Python."""

from __future__ import annotations

import csv
import json
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.catalog.citation import references
from xpfeh.columns import PROVENANCE_KEY, rows_of
from xpfeh.commands.companion_matches import check_matches
from xpfeh.errors import InputError, UserError
from xpfeh.files import absolute, local_path, whole_file
from xpfeh.forks import check_not_forked
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.archive_stars import ArchiveStars
from xpfeh.sources.coefficients import REPEATED, RawBatch, Reject, is_repeated
from xpfeh.sources.companions import far_from_source_id
from xpfeh.sources.reader import CompanionFiles, find_spectra, forget_companions, read
from xpfeh.tables.writing import check_format, write_table
from xpfeh.typing import Columns

ToTable = Callable[[Columns], pa.Table]
"""Makes the rows to write from stars' raw columns."""


@dataclass(frozen=True)
class Written:
    """The outcome of writing a source's stars.

    Attributes
    ----------
    stars : int
        Rows written.
    rejected : int
        Rows of the source that were not.
    listing : Path
        The file that lists these with their reasons.
    warnings : tuple of str
    replaced : bool
        Whether a file was overwritten.
    repeated : int
        How many of the rejected rows repeat an earlier star.
    kinds : mapping
        Number of answers of each kind, see `xpfeh.inference.kinds.kinds_of`; empty if nothing is predicted.
    """

    stars: int
    rejected: int
    listing: Path
    warnings: tuple[str, ...] = ()
    replaced: bool = False
    repeated: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)


def with_provenance(schema: pa.Schema, settings: PreprocessSettings, **more: str | list[float]) -> pa.Schema:
    """Return a schema with the origin of its rows and what to cite; FITS wants keys of `more` of at most 8 letters."""
    paper, *_ = references()
    made_by = {**more, "settings": settings.model_dump(mode="json"), "versions": code_version(), "cite": paper}
    return schema.with_metadata({PROVENANCE_KEY: json.dumps(made_by)})


def read_all(
    source: object,
    companions: CompanionFiles,
    rejected: list[tuple[str, Reject]],
    description: str | None = None,
    warn: Callable[[str], object] = warnings.warn,
) -> Generator[dict[str, NDArray]]:
    """Yield the raw columns of all stars of a source, each once; the other rows go to `rejected`.

    A description shows a progress bar. At the end `warn` is called for companion files with few of the stars, and for
    positions that are not where a star's identifier says.

    Raises
    ------
    UserError
        If a file cannot be read, there are no stars, or companion files have none of them, which is known at the end.
    """
    check_not_forked()
    forget_companions()
    batches = stars = misplaced = 0
    matched: Counter[str] = Counter()
    seen = set[int]()
    files = find_spectra(source)
    for file in track(files, description=description) if description else files:
        for start, rows in file.ranges():
            row = start
            for batch in read(file, start, rows, companions):
                row, batch = row + batch.rows_read, _without_repeats(batch, row, seen)
                rejected.extend((file.path, reject) for reject in batch.rejected)
                batches += 1
                stars += len(batch.columns["source_id"])
                misplaced += int(far_from_source_id(batch.columns).sum())
                matched.update(batch.matched)
                yield batch.columns
    if not batches:
        raise InputError(f"{', '.join(file.path for file in files[:3])}{', ...' * (len(files) > 3)}: holds no star")
    check_matches(companions, matched, stars, warn)
    if misplaced:
        are, their = ("is", "its") if misplaced == 1 else ("are", "their")
        warn(
            f"{misplaced:,} of {stars:,} star{'s' * (stars > 1)} {are} more than a degree from the position in {their} "
            "source_id; ra and dec must be ICRS, in degrees"
        )


def _without_repeats(batch: RawBatch, first_row: int, seen: set[int]) -> RawBatch:
    """Reject the stars of a batch that were in an earlier one, of another file too; `seen` gets the others."""
    ids = batch.columns["source_id"]
    repeated = is_repeated(ids, np.ones(len(ids), dtype=bool), seen)
    seen.update(ids.tolist())
    if not repeated.any():
        return batch
    rows = np.arange(first_row, first_row + batch.rows_read)
    accepted = np.setdiff1d(rows, [reject.row for reject in batch.rejected])[: len(ids)]
    repeats = zip(accepted[repeated].tolist(), ids[repeated].tolist(), strict=True)
    rejected = sorted([*batch.rejected, *(Reject(row, source_id, REPEATED) for row, source_id in repeats)])
    return RawBatch(rows_of(batch.columns, ~repeated), rejected, batch.matched)


def check_not_input(out: str | Path, *inputs: object) -> None:
    """Raise a `UserError` if `out` is one of the input files, which it would replace."""
    target = local_path(out).resolve()
    for each in inputs:
        if isinstance(each, str | Path) and Path(absolute(each)).resolve() == target:
            raise UserError(f"{out}: is one of the inputs; choose another --out")


def write_file(
    source: str | list[str] | ArchiveStars,
    out: str | Path,
    companions: CompanionFiles,
    description: str,
    to_table: ToTable,
) -> Written:
    """Write a row for each valid star of `source`; the others and their reasons go to OUT.rejected.csv.

    Parameters
    ----------
    source, companions
        As for `xpfeh.sources.reader.find_spectra` and `read`.
    out : str or Path
        See `xpfeh.tables.writing.write_table`.
    description : str
        Of the progress bar.
    to_table : callable

    Raises
    ------
    UserError
        If the source has no spectra or no stars, none of its stars is in the companion files of a kind, or `out` cannot
        be written or is one of these files.
    """
    check_format(out)
    check_not_input(
        out, *(file.location for file in find_spectra(source)), *companions.photometry, *companions.distances
    )
    replaced = local_path(out).exists()
    rejected: list[tuple[str, Reject]] = []
    warned: list[str] = []
    # Always closed here: a progress bar that the garbage collector stops may wait for its own lock for ever.
    with closing(read_all(source, companions, rejected, description, warned.append)) as stars_read:
        stars = write_table(out, map(to_table, stars_read))
    listing = local_path(f"{out}.rejected.csv")
    listing.unlink(missing_ok=True)
    if rejected:
        with whole_file(listing) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([("source", *Reject._fields), *((path, *reject) for path, reject in rejected)])
    repeated = sum(reject.reason == REPEATED for _, reject in rejected)
    return Written(stars, len(rejected), listing, tuple(warned), replaced, repeated)
