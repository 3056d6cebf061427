"""The stars by which a new model was judged, with its answers: a small table beside its bundle, for pictures of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from numpy.typing import NDArray

FILE = "validation.parquet"
"""In the folder of the bundle; no part of the model, and of no version."""
COLUMNS = ("source_id", "feh", "FEH", "FEH_err")
"""The star, its true [Fe/H], and what members that had not learnt from it predicted, with its error (dex)."""


def write_validation(bundle: str | Path, stars: Mapping[str, NDArray]) -> None:
    """Write the `COLUMNS` of N stars beside a bundle."""
    pl.DataFrame({name: stars[name] for name in COLUMNS}).write_parquet(Path(bundle) / FILE)


def read_validation(path: str | Path) -> dict[str, NDArray]:
    """Return the `COLUMNS`, (N,) each, of such a table.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as bundle:
    ...     write_validation(bundle, {name: np.array([1]) for name in COLUMNS})
    ...     read_validation(Path(bundle, FILE))["FEH"].tolist()
    [1]
    """
    return {name: column.to_numpy() for name, column in pl.read_parquet(path, columns=list(COLUMNS)).to_dict().items()}
