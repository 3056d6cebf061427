"""A model's validation stars with its predictions: a small table in its bundle's folder, for comparisons."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from numpy.typing import NDArray

from xpfeh.typing import Columns

FILE = "validation.parquet"
"""In the bundle's folder, but not part of the model or its version."""
OF_VALIDATION = ("source_id", "feh", "FEH", "FEH_err")
"""The star, its true [Fe/H], and the prediction by members not trained on it, with its error (dex)."""


def write_validation(bundle: str | Path, stars: Columns) -> None:
    """Write `OF_VALIDATION` of N stars into a bundle's folder."""
    pl.DataFrame({name: stars[name] for name in OF_VALIDATION}).write_parquet(Path(bundle) / FILE)


def read_validation(path: str | Path) -> dict[str, NDArray]:
    """Return `OF_VALIDATION`, (N,) each, from a table of `write_validation`.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as bundle:
    ...     write_validation(bundle, {name: np.array([1]) for name in OF_VALIDATION})
    ...     read_validation(Path(bundle, FILE))["FEH"].tolist()
    [1]
    """
    table = pl.read_parquet(path, columns=list(OF_VALIDATION))
    return {name: table[name].to_numpy() for name in OF_VALIDATION}
