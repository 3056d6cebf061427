"""APOGEE's [Fe/H], as the library of XP spectra carries it, written as a table of labels."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from xpfeh.sources.apogee_library import library_path, read_labels


def write_labels(source: str, path: str | Path) -> int:
    """Write the labels of a library as Parquet at `path` and return how many there are."""
    frame = pl.DataFrame(read_labels(library_path(source)))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    frame.write_parquet(temporary)
    temporary.rename(path)
    return frame.height
