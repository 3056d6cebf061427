"""Which stars of a catalog are published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xpfeh.flags import OUTSIDE_PAPER_SAMPLE, Flag


@dataclass(frozen=True)
class Selection:
    """A choice of stars.

    Attributes
    ----------
    name : str
    definition : str
        The choice in words.
    refused : Flag
        A star with any of these flags is left out.
    predicted : bool
        A star without [Fe/H] is left out.
    """

    name: str
    definition: str
    refused: Flag
    predicted: bool

    def holds(self, stars: pa.RecordBatch) -> NDArray[np.bool_]:
        """Return which of N stars belong to the sample, from their columns ``flags`` and ``FEH``.

        Examples
        --------
        >>> stars = pa.RecordBatch.from_pydict({
        ...     "flags": pa.array([0, Flag.NEAR_PLANE, 0], pa.uint32()), "FEH": [-1.2, -0.3, None]
        ... })
        >>> SAMPLES["paper"].holds(stars).tolist(), SAMPLES["giants"].holds(stars).tolist()
        ([True, False, False], [True, True, False])
        """
        chosen = (stars["flags"].to_numpy() & np.uint32(self.refused)) == 0
        if self.predicted:
            chosen &= pc.is_valid(stars["FEH"]).to_numpy(zero_copy_only=False)
        return chosen


# A star whose cuts could not all be evaluated may be no giant at all.
_NOT_SURELY_GIANTS = Flag.NOT_GIANT | Flag.CUT_NOT_EVALUATED

_SAMPLES = (
    Selection("all", "every star of the catalog, with or without a prediction", Flag(0), predicted=False),
    Selection(
        "giants",
        "stars with [Fe/H] that are giants by M_G or by LOGG, at any latitude and behind any dust, whose spectra are "
        "like the training stars' and as clear as usual at their G",
        _NOT_SURELY_GIANTS | Flag.OUTSIDE_DOMAIN | Flag.ODD_SN,
        predicted=True,
    ),
    Selection(
        "paper",
        "stars with [Fe/H] that pass cuts 1 to 3 of the paper, as far as they can be evaluated, and have E(B-V) < 0.5",
        _NOT_SURELY_GIANTS | OUTSIDE_PAPER_SAMPLE | Flag.HIGH_EXTINCTION,
        predicted=True,
    ),
)

SAMPLES = {sample.name: sample for sample in _SAMPLES}
"""The samples that can be published."""
