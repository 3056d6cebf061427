"""The samples of a catalog that can be published."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xpfeh.flags import BEYOND_PAPER, GOOD, Flag

SAMPLE_COLUMNS = ("flags", "good", "FEH")
"""The columns that decide whether a star belongs to a sample."""


class CatalogSample(NamedTuple):
    """A selection of stars: its name, its definition, and which of N stars belong to it, from their `SAMPLE_COLUMNS`.

    Examples
    --------
    >>> flags, good = pa.array([0, Flag.NEAR_PLANE, 0], pa.uint32()), [True, True, False]
    >>> stars = pa.RecordBatch.from_pydict({"flags": flags, "good": good, "FEH": [-1.2, -0.3, None]})
    >>> {name: sample.holds(stars).tolist() for name, sample in SAMPLES.items()}
    {'all': [True, True, True], 'good': [True, True, False], 'paper': [True, False, False]}
    """

    name: str
    definition: str
    holds: Callable[[pa.RecordBatch], NDArray[np.bool_]]


def _all(stars: pa.RecordBatch) -> NDArray[np.bool_]:
    return np.ones(len(stars), dtype=bool)


def _good(stars: pa.RecordBatch) -> NDArray[np.bool_]:
    return stars["good"].to_numpy(zero_copy_only=False)


def _paper(stars: pa.RecordBatch) -> NDArray[np.bool_]:
    # A star whose giant cut could not be evaluated may not be a giant at all.
    refused = np.uint32(BEYOND_PAPER | Flag.CUT_NOT_EVALUATED)
    return ((stars["flags"].to_numpy() & refused) == 0) & pc.is_valid(stars["FEH"]).to_numpy(zero_copy_only=False)


_SAMPLES = (
    CatalogSample("all", "every star of the catalog, with or without a prediction", _all),
    CatalogSample("good", f"the good stars: {GOOD}", _good),
    CatalogSample(
        "paper",
        "stars with [Fe/H] that pass the paper's cuts 1 to 3, as far as these can be evaluated, and have E(B-V) < 0.5",
        _paper,
    ),
)

SAMPLES = {sample.name: sample for sample in _SAMPLES}
"""The samples that can be published."""
