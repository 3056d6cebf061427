"""The types of arrays that several rooms speak of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Columns = Mapping[str, NDArray]
"""Arrays with a row a star, by the names of columns."""
