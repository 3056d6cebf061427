"""Limits of predictions: beyond the labels' range an interval is open, and far beyond it there is no prediction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xpfeh.inference.further_labels import FURTHER_LABELS, LARGEST
from xpfeh.typing import AnyArray

_LABELS_BEYOND = 5  # stars beyond either end of a range: with fewer, the network cannot know that end
_NO_LABELS = (1e9, -1e9)  # an empty range: a label without training stars is never predicted
_SENSELESS = 0.5  # dex beyond the range: there a prediction reflects the slope of the last layer, not the star


class Edges(BaseModel):
    """The ranges of the training labels.

    Attributes
    ----------
    low, high : float
        Of [Fe/H], dex: five labelled stars are beyond either.
    further : dict of (float, float)
        The same for the further labels that the model has learned, in their own units, by column.
    """

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    further: dict[str, tuple[float, float]] = {}

    def open_intervals(self, columns: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Return the predictor's columns with NaN for limits beyond the labels, and for meaningless predictions.

        Where a limit is NaN the interval is open. If either limit of the 68 % interval is NaN, so is the error.
        """
        feh = columns["FEH"]
        sense = (feh >= self.low - _SENSELESS) & (feh <= self.high + _SENSELESS)
        kept = {
            "FEH": sense,
            **{name: sense & (columns[name] >= self.low) for name in ("FEH_lo68", "FEH_lo95")},
            **{name: sense & (columns[name] <= self.high) for name in ("FEH_hi68", "FEH_hi95")},
        }
        kept["FEH_err"] = kept["FEH_lo68"] & kept["FEH_hi68"]
        for label in FURTHER_LABELS:
            if label.column in columns:
                low, high = self.further[label.column]
                value, error = columns[label.column], columns[label.error_column]
                beyond = _SENSELESS * label.unit
                kept[label.column] = (value >= low - beyond) & (value <= high + beyond)
                kept[label.error_column] = (value - error >= low) & (value + error <= high)
        xp = feh.__array_namespace__()
        return {**columns, **{name: xp.where(keeps, columns[name], np.nan) for name, keeps in kept.items()}}


def edges_of(labels: Mapping[str, NDArray[np.float64]]) -> Edges:
    """Return the edges of training labels, (N,) each, NaN where unknown: ``feh``, and optionally further ones.

    Examples
    --------
    >>> edges_of({"feh": np.arange(-128, 129) / 64})
    Edges(low=-1.921875, high=1.921875, further={})
    """
    low, high = _range(labels["feh"])
    further = {}
    for label in FURTHER_LABELS:
        if label.name in labels:
            taken = LARGEST * label.unit  # labels beyond are clipped to this in training
            further[label.column] = _range(np.clip(labels[label.name], label.centre - taken, label.centre + taken))
    return Edges(low=low, high=high, further=further)


def _range(labels: NDArray[np.float64]) -> tuple[float, float]:
    ordered = np.sort(labels[np.isfinite(labels)])
    if not len(ordered):
        return _NO_LABELS
    beyond = min(_LABELS_BEYOND, len(ordered) - 1)
    return float(ordered[beyond]), float(ordered[-1 - beyond])
