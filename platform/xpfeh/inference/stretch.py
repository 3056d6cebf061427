"""The stretch below [Fe/H] = -2, where spectra say ever less and networks answer too near to what they know best.

A network that is unsure answers near the bulk of its labels: metal-poor stars come out too rich, the more so the poorer
they are (LOG 2026-11-25: +0.26 dex at -2.4 to -3.2). One factor, from stars that the networks have not seen, undoes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

_BEND = -2.0  # dex
_LABEL_KNOWS = 0.2  # dex; labels with larger errors say nothing of a scale (those of APOGEE below -2 as merged)
_FEWEST = 10  # stars whose scale means anything


class Stretch(BaseModel):
    """What lies below the bend is made `factor` times longer, and so are the errors there."""

    model_config = ConfigDict(frozen=True)

    factor: float = Field(ge=1)

    def feh(self, feh: Any) -> Any:
        """Return (B,) [Fe/H] as stretched, dex."""
        return feh - (self.factor - 1) * feh.__array_namespace__().maximum(_BEND - feh, 0.0)

    def errors(self, feh: Any, error: Any) -> Any:
        """Return (B,) errors of [Fe/H] as they are after its stretch, dex; `feh` is that before."""
        return feh.__array_namespace__().where(feh < _BEND, self.factor * error, error)


UNSTRETCHED = Stretch(factor=1.0)


def stretch_of(predicted: NDArray[np.float32], feh: NDArray[np.float64], feh_err: NDArray[np.float64]) -> Stretch:
    """Return the stretch that gives unseen stars below the bend the range of their labels.

    Both have errors, so the factor is that between regressions of one on the other: the ratio of their root mean
    squares (reduced major axis, through the bend). Never below 1; and 1 if there are too few stars with sure labels.

    Parameters
    ----------
    predicted : (N,) float32
        [Fe/H] by networks that have not seen the star, dex.
    feh, feh_err : (N,) float64
        Its label and the label's error, dex; NaN where unknown, and taken as 0.

    Examples
    --------
    >>> poor = np.linspace(-3.0, -2.0, 20)
    >>> round(stretch_of((poor + 2) / 2 - 2, poor, np.full(20, 0.1)).factor, 6)
    2.0
    """
    known = (feh < _BEND) & (np.nan_to_num(feh_err) <= _LABEL_KNOWS)
    below = np.maximum(_BEND - predicted[known].astype(np.float64), 0)
    if known.sum() < _FEWEST or not below.any():
        return UNSTRETCHED
    asked = _BEND - feh[known]
    return Stretch(factor=max(1.0, float(np.sqrt(np.square(asked).mean() / np.square(below).mean()))))
