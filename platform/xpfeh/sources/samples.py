"""XP spectra that are already sampled, in files or tables: from lists to checked arrays; invalid rows are separated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from xpfeh.errors import InputError
from xpfeh.sources.coefficients import (
    LIST_COLUMNS,
    NO_ID,
    REPEATED,
    RawBatch,
    is_repeated,
    known_ids,
    lengths_of,
    matrix,
    require_columns,
    without_rejected,
)
from xpfeh.xp.grid import WAVELENGTH_NM

SAMPLES = ("flux", "flux_error")
"""W m-2 nm-1, at the 343 wavelengths of `xpfeh.xp.grid`."""
COEFFICIENTS = ("bp_coeff", "rp_coeff", "e_bp_coeff", "e_rp_coeff")
ONE_SAMPLE = "holds one sample in each row; download XP_CONTINUOUS or XP_SAMPLED with the data structure RAW"


def is_sampled(names: Sequence[str]) -> bool:
    """Return whether a table with these columns holds sampled spectra, and no coefficients.

    >>> is_sampled(["source_id", "flux", "flux_error"]), is_sampled(["bp_coefficients", "flux", "flux_error"])
    (True, False)
    """
    return set(SAMPLES) <= set(names) and not any(name.startswith(COEFFICIENTS) for name in names)


def list_columns(names: Sequence[str], path: str) -> tuple[str, ...]:
    """Return the columns of a file's spectra, lists of samples or of coefficients.

    Raises
    ------
    UserError
        If it lacks one, or ``source_id``, or has one twice; or if it holds features.
    """
    if not is_sampled(names):
        require_columns(names, path)
        return LIST_COLUMNS
    for name in ("source_id", *SAMPLES):
        if (count := list(names).count(name)) != 1:
            hint = f"; {ONE_SAMPLE}" if "wavelength" in names else ""
            raise InputError(f"{path}: has {count or 'no'} column{'s' * (count > 1)} named {name}{hint}")
    check_not_features(names, path)
    return SAMPLES


def check_not_features(names: Sequence[str], path: str) -> None:
    """Raise a `UserError` for features: their spectra are scaled, and would be processed twice."""
    if {"g0", "bp_rp0"} <= set(names):
        raise InputError(f"{path}: holds features, made by xpfeh; give the spectra that they were made from")


def check_one_spectrum_each(table: pa.Table, path: str) -> None:
    """Raise a `UserError` for a table with a row for each sample."""
    if table.num_rows and (lengths_of(table[SAMPLES[0]]) == 1).all():
        raise InputError(f"{path}: {ONE_SAMPLE}")


def to_sampled_batch(table: pa.Table, first_row: int = 0, seen: set[int] | None = None) -> RawBatch:
    """Turn a table of ``source_id`` and lists of samples into arrays, and reject invalid rows.

    Parameters
    ----------
    table : pyarrow.Table
        ``source_id`` (int64, null where unreadable), ``flux`` and ``flux_error`` (lists of float64).
    first_row : int
        Number in the file of the table's first row.
    seen : set of int, optional
        Identifiers accepted so far; those of this batch are added.

    Returns
    -------
    RawBatch
        ``source_id`` (N,) int64, ``flux`` and ``flux_error`` (N, 343) float64. A spectrum may hold NaN: it is
        delivered, and flagged when it is preprocessed.

    Examples
    --------
    >>> lists = pa.array([[1.0] * 343, [1.0] * 60], pa.list_(pa.float64()))
    >>> to_sampled_batch(pa.table({"source_id": [17, 18], "flux": lists, "flux_error": lists})).rejected
    [Reject(row=1, source_id=18, reason='flux: 60 numbers, not 343')]
    """
    width = WAVELENGTH_NM.size
    ids, known = known_ids(table["source_id"])
    lengths = {name: lengths_of(table[name]) for name in SAMPLES}
    reason = np.where(known, "", NO_ID).astype(object)
    for name, length in lengths.items():
        wrong = (reason == "") & (length != width)
        reason[wrong] = [f"{name}: {found or 'no'} numbers, not {width}" for found in length[wrong]]
    seen = set() if seen is None else seen
    reason[is_repeated(ids, reason == "", seen)] = REPEATED
    spectra = {name: matrix(table[name], lengths[name], width) for name in SAMPLES}
    batch = without_rejected({"source_id": ids, **spectra}, known, reason, first_row)
    seen.update(batch.columns["source_id"].tolist())
    return batch
