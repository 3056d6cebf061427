"""Tables of labels from the literature: a compilation, cross-matched with Gaia, written for training or testing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from xpfeh.errors import UserError
from xpfeh.labels.compilation import to_labels
from xpfeh.labels.crossmatch import crossmatch, without_common
from xpfeh.labels.pastel import read_pastel
from xpfeh.labels.saga import read_saga
from xpfeh.sources.companions import read_columns
from xpfeh.sources.library import library_path
from xpfeh.sources.library import read_labels as read_apogee

COMPILATIONS = {"pastel": read_pastel, "saga": read_saga}


def write_apogee(source: str, out: str | Path) -> int:
    """Write the APOGEE labels that a library of spectra carries, and return how many there are."""
    return _write(pl.DataFrame(read_apogee(library_path(source))), out)


def write_labels(
    kind: str, path: str | Path, gaia: str | Path, out: str | Path, without: str | Path | None = None
) -> dict[str, int]:
    """Write the labels of a compilation's stars that Gaia has, and return how many each step left.

    Parameters
    ----------
    kind : {"pastel", "saga"}
    path : str or Path
        The compilation's table.
    gaia : str or Path
        Gaia stars to match with: ``source_id``, ``ra``, ``dec`` and perhaps ``pmra``, ``pmdec``, ``ref_epoch``.
    out : str or Path
        Parquet table to write.
    without : str or Path, optional
        Labels (Parquet) whose stars are left out: the training stars, where a test sample is made.

    Raises
    ------
    UserError
        If a table cannot be read, or no star is left.
    """
    if kind not in COMPILATIONS:
        raise UserError(f"labels of {kind!r} are not known; there are: apogee, {', '.join(COMPILATIONS)}")
    compilation = COMPILATIONS[kind](path)
    stars, counts = compilation.stars, dict(compilation.counts)
    frame = read_columns(str(gaia), ("ra", "dec"), ("pmra", "pmdec", "ref_epoch"))
    columns = {name: frame[name].fill_null(np.nan).to_numpy() for name in frame.columns if name != "source_id"}
    columns["ref_epoch"] = np.where(np.isnan(columns["ref_epoch"]), 2016.0, columns["ref_epoch"])
    source_id = frame["source_id"].to_numpy()
    match = crossmatch(stars["ra"].to_numpy(), stars["dec"].to_numpy(), {"source_id": source_id, **columns})
    labels = to_labels(stars, match, source_id)
    counts |= {"matched with Gaia": labels.height, "of these ambiguous": int(match.ambiguous.sum())}
    if without is not None:
        labels = without_common(labels, pl.read_parquet(without))
        counts["not among the stars to leave out"] = labels.height
    if not labels.height:
        raise UserError(f"{path}: no star is left: " + ", ".join(f"{k} {v}" for k, v in counts.items()))
    _write(labels, out)
    return counts


def _write(labels: pl.DataFrame, path: str | Path) -> int:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    labels.write_parquet(temporary)
    temporary.rename(path)
    return labels.height
