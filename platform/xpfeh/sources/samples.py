"""XP spectra that are already sampled, from lists to checked arrays; invalid rows are separated."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from xpfeh.sources.coefficients import (
    NO_ID,
    REPEATED,
    RawBatch,
    is_repeated,
    known_ids,
    lengths_of,
    matrix,
    without_rejected,
)
from xpfeh.xp.grid import WAVELENGTH_NM

SAMPLES = ("flux", "flux_error")
"""W m-2 nm-1, at the 343 wavelengths of `xpfeh.xp.grid`."""


def to_sampled_batch(table: pa.Table) -> RawBatch:
    """Turn a table of ``source_id`` and lists of samples into arrays, and reject invalid rows.

    Parameters
    ----------
    table : pyarrow.Table
        ``source_id`` (int64, null where unreadable), ``flux`` and ``flux_error`` (lists of float64).

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
        reason[wrong] = [f"{name}: {found} numbers, not {width}" for found in length[wrong]]
    reason[is_repeated(ids, reason == "", set())] = REPEATED
    spectra = {name: matrix(table[name], lengths[name], width) for name in SAMPLES}
    return without_rejected({"source_id": ids, **spectra}, known, reason)
