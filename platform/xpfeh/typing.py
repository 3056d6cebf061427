"""The types of arrays that several rooms use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

AnyArray = Any
"""An array of NumPy, or of a graph that is being exported: both follow the array API, which has no type."""

Columns = Mapping[str, NDArray]
"""Arrays with one row per star, by column name."""
