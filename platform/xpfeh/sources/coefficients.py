"""Coefficients of XP continuous spectra, from the lists of any reader to checked arrays; invalid rows are separated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.errors import InputError
from xpfeh.releases import RELEASES
from xpfeh.xp.bases import BANDS

KINDS = ("coefficients", "coefficient_errors", "coefficient_correlations")
LIST_COLUMNS = tuple(f"{band}_{kind}" for band in BANDS for kind in KINDS)
"""The columns of Gaia's xp_continuous_mean_spectrum that are read, named as in the archive's data model."""
_OPTIONAL = "coefficient_correlations"  # tables made by others often lack the correlations
_LARGEST_CORRELATION = 1 + 1e-6  # Gaia delivers single precision: a true 1 may be rounded up by 6e-8

NO_ID = "source_id is missing, or not a positive 64-bit integer"
REPEATED = "repeated source_id"
"""The reason for rejecting a row whose star has appeared earlier in the same source."""


class Reject(NamedTuple):
    """A row that is not delivered: its number in the file (the first is 0), its source_id if known, and the reason.

    >>> Reject(7, 5937083312263887616, "bp_coefficients: 54 numbers, not 55").reason
    'bp_coefficients: 54 numbers, not 55'
    """

    row: int
    source_id: int | None
    reason: str


@dataclass(frozen=True)
class RawBatch:
    """Some rows of a source.

    Attributes
    ----------
    columns : dict of arrays
        Raw columns of the accepted stars, see `xpfeh.xp.preprocess`.
    rejected : list of Reject
        The remaining rows: rows read = stars accepted + rows rejected.
    matched : mapping
        The number of stars with a row in the companion files, by kind.

    Examples
    --------
    >>> RawBatch({"source_id": np.array([17, 18])}, [Reject(2, 18, "repeated source_id")]).rows_read
    3
    """

    columns: dict[str, NDArray]
    rejected: list[Reject] = field(default_factory=list)
    matched: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows_read(self) -> int:
        """Rows of the source that this batch accounts for."""
        return len(self.columns["source_id"]) + len(self.rejected)


def require_columns(names: Sequence[str], path: str) -> None:
    """Raise a `UserError` if a file with these columns cannot hold XP continuous spectra."""
    needed = [name for name in ("source_id", *LIST_COLUMNS) if not name.endswith(_OPTIONAL)]
    if missing := [name for name in needed if name not in names]:
        raise InputError(f"{path}: not a file of XP continuous spectra, it lacks {', '.join(missing)}")
    counts = Counter(names)
    if twice := [name for name in ("source_id", *LIST_COLUMNS) if counts[name] > 1]:
        raise InputError(f"{path}: has several columns named {', '.join(twice)}; keep one")


def to_batch(table: pa.Table, releases: Sequence[str], first_row: int, seen: set[int]) -> RawBatch:
    """Turn a table of lists into arrays and reject invalid rows.

    Parameters
    ----------
    table : pyarrow.Table
        ``source_id`` (int64, null where unreadable) and the six list columns of float64; a null or empty list is
        missing, a null in a list is a value that could not be read as a number.
    releases : sequence of str
        The releases that have these numbers of coefficients.
    first_row : int
        Number in the file of the table's first row.
    seen : set of int
        Identifiers accepted so far; those of this batch are added.

    Returns
    -------
    RawBatch
        ``source_id`` (N,) int64 and, float64 with n coefficients per band, (N, n) coefficients and errors and
        (N, n (n - 1) / 2) correlations; NaN where a band or its correlations are missing.
    """
    n_rows = table.num_rows
    reason = np.full(n_rows, "", dtype=object)

    def reject(rows: NDArray[np.bool_], why: str) -> None:
        reason[rows & (reason == "")] = why

    ids, known_id = known_ids(table["source_id"])
    reject(~known_id, NO_ID)
    columns: dict[str, NDArray] = {}
    missing = {}
    for band in BANDS:
        n = RELEASES[releases[0]].n_coefficients[band]
        widths = dict(zip(KINDS, (n, n, n * (n - 1) // 2), strict=True))
        missing[band] = lengths_of(table[f"{band}_coefficients"]) == 0
        for kind, width in widths.items():
            name = f"{band}_{kind}"
            lengths = lengths_of(table[name])
            optional = missing[band] | (kind == _OPTIONAL)
            wrong = (lengths != width) & ~((lengths == 0) & optional)
            for length in np.unique(lengths[wrong]):
                reject(wrong & (lengths == length), f"{name}: {length} numbers, not {width}")
            values = matrix(table[name], lengths, width)
            columns[name] = values
            present = lengths == width
            reject(present & ~np.isfinite(values).all(axis=1), f"{name}: not all finite numbers")
            if kind == "coefficient_errors":
                reject(present & (values <= 0).any(axis=1), f"{name}: zero or negative")
            if kind == _OPTIONAL:
                reject(present & (np.abs(values) > _LARGEST_CORRELATION).any(axis=1), f"{name}: beyond 1")
    reject(missing["bp"] & missing["rp"], "both bands are missing")
    # Last: a rejected row must not exclude a valid one of the same star.
    reject(is_repeated(ids, reason == "", seen), REPEATED)

    batch = without_rejected({"source_id": ids, **columns}, known_id, reason, first_row)
    seen.update(batch.columns["source_id"].tolist())
    return batch


def without_rejected(
    columns: dict[str, NDArray], known_id: NDArray[np.bool_], reason: NDArray[np.object_], first_row: int = 0
) -> RawBatch:
    """Return the rows (N,) without a reason to reject them, and the others as `Reject`."""
    good, ids = reason == "", columns["source_id"]
    rejected = [
        Reject(first_row + i, int(ids[i]) if known_id[i] else None, str(reason[i]))
        for i in np.flatnonzero(~good).tolist()
    ]
    if rejected:  # the columns are large: copied only if some rows must go
        columns = rows_of(columns, good)
    return RawBatch(columns, rejected)


def known_ids(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return identifiers, -1 where one is missing, and whether each is known; a negative one is not.

    >>> known_ids(pa.chunked_array([[17, None]]))
    (array([17, -1]), array([ True, False]))
    """
    ids = pl.Series(column)
    if not column.null_count:  # the quick way: polars takes 0.3 ms to look for nulls, long for one star of a request
        return ids.to_numpy(), ids.to_numpy() >= 0
    values = ids.fill_null(-1).to_numpy()
    return values, values >= 0


def is_repeated(ids: NDArray[np.int64], valid: NDArray[np.bool_], seen: set[int]) -> NDArray[np.bool_]:
    """Return which valid rows repeat the identifier of an earlier valid row."""
    rows = np.flatnonzero(valid)
    first = np.zeros(len(ids), dtype=bool)
    first[rows[np.unique(ids[rows], return_index=True)[1]]] = True
    # A set of Python integers: NumPy's isin would sort all identifiers seen so far again for each batch.
    before = np.fromiter((i in seen for i in ids.tolist()), dtype=bool, count=len(ids))
    return valid & (~first | before)


def lengths_of(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the lengths of lists, 0 where a list is null.

    >>> lengths_of(pa.chunked_array([[[1.0, 2.0], None]]))
    array([2, 0])
    """
    lengths = pl.Series(pc.list_value_length(column))
    return (lengths.fill_null(0) if column.null_count else lengths).to_numpy().astype(np.int64)


def coefficients_per_star(column: pa.ChunkedArray, band: str) -> int | None:
    """Return the number of coefficients of a band in a column of lists, or None if no star has the band.

    A broken row must not decide: it is the most frequent length, if possible one that a release has.

    >>> coefficients_per_star(pa.chunked_array([[[1.0] * 54, [1.0] * 54, [1.0] * 55]]), "bp")
    55
    """
    lengths = lengths_of(column)
    counts = Counter(lengths[lengths > 0].tolist())
    known = {release.n_coefficients[band] for release in RELEASES.values()}
    return max(counts, key=lambda length: (length in known, counts[length]), default=None)


def matrix(column: pa.ChunkedArray, lengths: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """Return (N, width) numbers, NaN in the rows whose list has another length."""
    # (sum of lengths,): the lists of all rows, concatenated
    flat = pl.Series(pc.list_flatten(column), dtype=pl.Float64).to_numpy()
    if (lengths == width).all():
        return flat.reshape(-1, width)
    values = np.full((len(lengths), width), np.nan)
    fits = lengths == width
    values[fits] = flat[np.repeat(fits, lengths)].reshape(-1, width)
    return values
