"""Stars requested by identifier: their spectra and photometry, in files saved from the archive's responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xpfeh.releases import RELEASES
from xpfeh.sources.coefficients import LIST_COLUMNS, REPEATED, RawBatch, Reject, to_batch
from xpfeh.sources.companions import Companions

SCHEMA = pa.schema([("source_id", pa.int64()), *((name, pa.list_(pa.float64())) for name in LIST_COLUMNS)])
"""The schema of the files of spectra."""
_STARS = 5_000  # at a time: 130 MB of coefficients


@dataclass(frozen=True)
class ArchiveStars:
    """A list of stars of one release: a reader of spectra like those of files (`xpfeh.sources.reader.SpectraFile`).

    Attributes
    ----------
    release : {"dr3", "dr4"}
    ids : (N,) int64
        As requested; each is delivered, in this order, or rejected.
    spectra : mapping
        Parquet files of spectra, and the identifiers (K,) in each.
    photometry : sequence of str
        Tables of gaia_source.
    missing : mapping
        The reason why a star has no spectrum, by identifier.
    distances : sequence of str
        Tables of distances.
    """

    takes_companions: ClassVar[bool] = True

    release: str
    ids: NDArray[np.int64]
    spectra: Mapping[str, NDArray[np.int64]]
    photometry: Sequence[str]
    missing: Mapping[int, str]
    distances: Sequence[str] = ()

    @property
    def path(self) -> str:
        """Name of the source in messages and records."""
        return f"the archive of {RELEASES[self.release].title}"

    @property
    def location(self) -> str:
        """As `path`: there is no one file."""
        return self.path

    @property
    def releases(self) -> tuple[str, ...]:
        """The one release."""
        return (self.release,)

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return ranges of the list: (first, stars)."""
        return [(start, min(_STARS, len(self.ids) - start)) for start in range(0, len(self.ids), _STARS)]

    def read(self, start: int, rows: int | None) -> Iterator[RawBatch]:
        """Yield the stars of a range with their photometry."""
        here = slice(start, None if rows is None else start + rows)
        first = np.zeros(len(self.ids), dtype=bool)
        first[np.unique(self.ids, return_index=True)[1]] = True
        requested, fresh = self.ids[here], first[here]
        rejected = [Reject(start + int(i), int(requested[i]), REPEATED) for i in np.flatnonzero(~fresh)]
        distinct = requested[fresh]
        place = dict(zip(distinct.tolist(), np.flatnonzero(fresh).tolist(), strict=True))
        rejected += [Reject(start + place[i], i, self.missing[i]) for i in place if i in self.missing]
        tables = [
            pq.read_table(path, filters=[("source_id", "in", there.tolist())])
            for path, ids in self.spectra.items()
            if (there := np.intersect1d(ids, distinct)).size
        ]
        table = pa.concat_tables([SCHEMA.empty_table(), *tables])
        places = np.array([place[i] for i in table["source_id"].to_pylist()])
        batch = to_batch(table.take(np.argsort(places)), self.releases, 0, set())
        rejected += [reject._replace(row=start + place[reject.source_id or 0]) for reject in batch.rejected]
        photometry = Companions(self.photometry, self.distances).of(batch.columns["source_id"])
        yield RawBatch({**batch.columns, **photometry}, sorted(rejected))

    def source_ids(self, start: int, rows: int | None) -> Iterator[pa.Array]:
        """Yield the identifiers of a range."""
        yield pa.array(self.ids[start : None if rows is None else start + rows])
