"""The stretch below [Fe/H] = -2, where spectra become less informative and predictions too close to the bulk of labels.

An uncertain network predicts values near the bulk of its labels: the more metal-poor a star is, the more it comes out
too metal-rich (LOG 2026-11-25: +0.26 dex at -2.4 to -3.2). One factor, from unseen stars, corrects this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

_BEND = -2.0  # dex; as in calibration: below it spectra become less informative
_LARGEST_ERROR = 0.2  # dex; labels with larger errors do not constrain a scale (merged APOGEE labels below -2)
_FEWEST = 10  # stars: with fewer, the scale is meaningless


class Stretch(BaseModel):
    """Below the bend, the distance from it and the errors are multiplied by `factor`."""

    model_config = ConfigDict(frozen=True)

    factor: float = Field(ge=1)

    def feh(self, feh: Any) -> Any:
        """Return (B,) stretched [Fe/H], dex."""
        return feh - (self.factor - 1) * feh.__array_namespace__().maximum(_BEND - feh, 0.0)

    def errors(self, feh: Any, error: Any) -> Any:
        """Return (B,) errors of the stretched [Fe/H], dex; `feh` is the value before."""
        return feh.__array_namespace__().where(feh < _BEND, self.factor * error, error)


UNSTRETCHED = Stretch(factor=1.0)


def stretch_of(predicted: NDArray[np.float32], feh: NDArray[np.float64], feh_err: NDArray[np.float64]) -> Stretch:
    """Return the stretch that gives predictions for unseen stars below the bend the range of their labels.

    Both have errors, so the factor is between the two regressions of one on the other: the ratio of their root mean
    squares (reduced major axis, through the bend). It is never below 1, and 1 if too few stars have accurate labels.

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
    known = (feh < _BEND) & (np.nan_to_num(feh_err) <= _LARGEST_ERROR)
    below = np.maximum(_BEND - predicted[known].astype(np.float64), 0)
    if known.sum() < _FEWEST or not below.any():
        return UNSTRETCHED
    wanted = _BEND - feh[known]
    return Stretch(factor=max(1.0, float(np.sqrt(np.square(wanted).mean() / np.square(below).mean()))))
