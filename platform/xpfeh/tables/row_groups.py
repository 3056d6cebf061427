"""Which identifiers a Parquet file's row groups hold, from its statistics: a star is found without reading the rest."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

ANY_ID = -(2**63), 2**63 - 1
"""The range of a row group or a file about which nothing is known: all of int64."""


def id_ranges(metadata: pq.FileMetaData, column: str = "source_id") -> NDArray[np.int64]:
    """Return the first and the last identifier of each row group, (G, 2), or `ANY_ID`."""
    index = metadata.schema.names.index(column)
    groups = (metadata.row_group(group).column(index).statistics for group in range(metadata.num_row_groups))
    ranges = [(each.min, each.max) if each is not None and each.has_min_max else ANY_ID for each in groups]
    # Text and floats are not identifiers: the reader of the rows refuses them.
    whole = [each if isinstance(each[1], int) and each[1] <= ANY_ID[1] else ANY_ID for each in ranges]
    return np.array(whole, dtype=np.int64).reshape(-1, 2)
