"""The types of arrays that several rooms speak of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

AnyArray = Any
"""An array of NumPy, or of a graph that is being exported: both have the array API, which has no type."""

Columns = Mapping[str, NDArray]
"""Arrays with a row a star, by the names of columns."""
