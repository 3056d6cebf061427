"""A whole file of coefficients at once, for tests that look at all its stars."""

from pathlib import Path

import numpy as np
from xpfeh.sources.coefficients import RawBatch
from xpfeh.sources.gaia_files import GaiaFile


def read_whole(path: str | Path) -> RawBatch:
    """Return all batches of a file as one."""
    batches = list(GaiaFile(str(path)).read())
    columns = {name: np.concatenate([batch.columns[name] for batch in batches]) for name in batches[0].columns}
    return RawBatch(columns, [reject for batch in batches for reject in batch.rejected])
