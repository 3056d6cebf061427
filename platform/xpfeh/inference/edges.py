"""Where answers end: beyond the labels' range an interval is open, and far beyond it there is no [Fe/H]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_LABELS_BEYOND = 5  # stars: a range that fewer reach into is not known
_SENSELESS = 0.5  # dex beyond the range: so far a network says how its last layer is sloped, and nothing of a star


class Edges(BaseModel):
    """The range of [Fe/H] that the training labels span, dex.

    Attributes
    ----------
    low, high : float
        Five labelled stars are beyond either.
    """

    model_config = ConfigDict(frozen=True)

    low: float
    high: float

    def opened(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return the predictor's columns with NaN for every limit that is none, and for every [Fe/H] without sense.

        A limit beyond the labels' range is no limit: the interval is open there. Without one of the limits of the
        68 % interval there is no ``FEH_err`` either.
        """
        feh = columns["FEH"]
        sense = (feh >= self.low - _SENSELESS) & (feh <= self.high + _SENSELESS)
        kept = {
            "FEH": sense,
            **{name: sense & (columns[name] >= self.low) for name in ("FEH_lo68", "FEH_lo95")},
            **{name: sense & (columns[name] <= self.high) for name in ("FEH_hi68", "FEH_hi95")},
        }
        kept["FEH_err"] = kept["FEH_lo68"] & kept["FEH_hi68"]
        xp = feh.__array_namespace__()
        return {**columns, **{name: xp.where(keeps, columns[name], np.nan) for name, keeps in kept.items()}}


def edges_of(feh: NDArray[np.float64]) -> Edges:
    """Return the edges of (N,) training labels.

    Examples
    --------
    >>> edges_of(np.arange(-128, 129) / 64)
    Edges(low=-1.921875, high=1.921875)
    """
    ordered = np.sort(feh)
    beyond = min(_LABELS_BEYOND, len(ordered) - 1)
    return Edges(low=float(ordered[beyond]), high=float(ordered[-1 - beyond]))
