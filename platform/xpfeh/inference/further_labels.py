"""Labels in addition to [Fe/H]: T_eff, log g and [alpha/M], on the scale on which networks learn them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LARGEST = 6.0
"""On the networks' scale: labels beyond are clipped to this, so that hot stars do not dominate the training. For T_eff
it is 7700 K: beyond the stars that have an [Fe/H] (LOG 2026-11-29)."""


class FurtherLabel(NamedTuple):
    """A label, with its names in tables of labels and in catalogs; its scale is chosen for giants.

    Attributes
    ----------
    name, column : str
    centre, unit : float
        In the label's own unit: to the networks ``centre`` is 0 and ``centre + unit`` is 1.
    """

    name: str
    column: str
    centre: float
    unit: float

    @property
    def error_column(self) -> str:
        """The catalog's column of its error."""
        return f"{self.column}_err"


FURTHER_LABELS = (
    FurtherLabel("teff", "TEFF", 4700.0, 500.0),
    FurtherLabel("logg", "LOGG", 2.2, 0.8),
    FurtherLabel("alpha_m", "ALPHA_M", 0.1, 0.12),
)
TEFF, LOGG, ALPHA_M = range(3)
"""Their indices."""


def network_labels(stars: Mapping[str, NDArray]) -> NDArray[np.float32]:
    """Return (N, 3) labels on the networks' scale, NaN where unknown.

    Examples
    --------
    >>> star = {"teff": np.array([5200.0]), "logg": np.array([np.nan]), "alpha_m": np.array([0.1])}
    >>> network_labels(star).tolist()
    [[1.0, nan, 0.0]]
    """
    columns = [(stars[label.name] - label.centre) / label.unit for label in FURTHER_LABELS]
    return np.clip(np.stack(columns, axis=1), -LARGEST, LARGEST).astype(np.float32)
