"""Reference catalogs, read in their published layouts and matched with Gaia's stars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from numpy.typing import ArrayLike

from xpfeh.errors import UserError
from xpfeh.files import local_path
from xpfeh.labels.compilation import SAME_STAR_ARCSEC, to_labels
from xpfeh.labels.crossmatch import crossmatch, pairs_within
from xpfeh.labels.reference_catalogs import REFERENCES, Reference, reference_of
from xpfeh.labels.reference_files import BEST, files_of, read_file
from xpfeh.releases import RELEASES
from xpfeh.tables.checks import with_source_id

_ROW, _PLACE = "_row", "_place"


@dataclass(frozen=True)
class ReferenceStars:
    """Stars of a reference catalog that passed its cuts.

    Attributes
    ----------
    reference : Reference
    stars : polars.DataFrame
        One row per star, with the columns of the file among ``source_id`` (int64), ``ra``, ``dec`` (degrees), ``feh``,
        ``feh_err``, ``logg``, ``teff`` (K), ``alpha_m``, ``c_fe`` (dex), null where unknown; for a compilation, the
        columns of `xpfeh.labels.compilation.Compilation`.
    counts : dict
        Rows left after each step, by its text, and finally the stars.
    """

    reference: Reference
    stars: pl.DataFrame
    counts: dict[str, int]


def what_to_download(name: str) -> str:
    """Return title, download and layout of a catalog of `REFERENCES`: three lines.

    Examples
    --------
    >>> print(what_to_download("pastel"))
    PASTEL (Soubiran et al. 2016)
    Download: VizieR B/pastel, table pastel, with RAJ2000, DEJ2000, [Fe/H], logg and bibcode
    Layout: High-resolution literature, several rows per star: their median, of papers after 1986.
    """
    reference = REFERENCES[name]
    return f"{reference.title}\nDownload: {reference.download}\nLayout: {reference.layout}"


def read_reference(name: str, path: str | Path) -> ReferenceStars:
    """Read a reference catalog, apply its recommended cuts, and keep one row per star.

    Of several rows of a star the one with the highest `Reference.best` is kept, or else the smallest error, or else
    the first. A [Fe/H] that is a limit is dropped; in other columns a limit becomes null.

    Parameters
    ----------
    name : str
        For `xpfeh.labels.reference_catalogs.reference_of`: a table of any unknown name has the plain layout.
    path : str or Path
        A local file in a format of `xpfeh.tables.reading.read_table`, or a folder of such files.

    Raises
    ------
    UserError
        If the name is refused, a file cannot be read or lacks a column, a cell is not a number, a source_id is a float,
        or no star is left.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "made_up.csv")
    ...     _ = path.write_text("source_id,feh,c_fe\\n4295806720,-2.5,<0.7\\n34361129088,-9999,\\n")
    ...     found = read_reference("mine", path)
    >>> found.stars.rows(named=True)
    [{'source_id': 4295806720, 'feh': -2.5, 'c_fe': None}]
    >>> list(found.counts.values())
    [2, 2, 2, 1, 1, 1]
    """
    reference = reference_of(name)
    if reference.read_compilation:
        compilation = reference.read_compilation(path)
        stars, counts = compilation.stars, dict(compilation.counts)
    else:
        parts, counts = [], {}
        for file in files_of(local_path(path)):
            part, counts_of_file = read_file(reference, file)
            parts.append(part)
            counts = {step: counts.get(step, 0) + left for step, left in counts_of_file.items()}
        stars = _one_row_per_star(pl.concat(parts, how="diagonal_relaxed"))
        counts["stars"] = stars.height
    if not stars.height:
        left = ", ".join(f"{step}: {rows}" for step, rows in counts.items())
        raise UserError(f"{path}: no star of {name} is left ({left}); is it the whole file?")
    return ReferenceStars(reference, stars, counts)


def match_to_gaia(
    found: ReferenceStars,
    gaia: pl.DataFrame | Mapping[str, ArrayLike],
    release: str = "dr3",
) -> pl.DataFrame:
    """Return the catalog's stars that are among Gaia stars: by identifier, or without one by position (2 arcsec).

    Parameters
    ----------
    found : ReferenceStars
    gaia : polars.DataFrame or mapping of (K,) arrays
        ``source_id`` and, to match by position, the columns for `xpfeh.labels.crossmatch.crossmatch`: ``ra``, ``dec``
        (degrees) and optionally ``pmra``, ``pmdec`` (mas/yr), ``ref_epoch``.
    release : {"dr3", "dr4"}
        Of the Gaia stars. A catalog with identifiers of another release is matched by position.

    Returns
    -------
    polars.DataFrame
        ``source_id`` of Gaia's star, each once and ascending, then the catalog's columns.

    Raises
    ------
    UserError
        If stars have to be matched by position and either side lacks positions, or a source_id of Gaia is not an
        integer or is repeated.

    Examples
    --------
    >>> stars = pl.DataFrame({"source_id": [7, None], "ra": [1.0, 2.0], "dec": [0.0, 0.0], "feh": [-1.0, -2.0]})
    >>> found = ReferenceStars(reference_of("mine"), stars, {})
    >>> match_to_gaia(found, {"source_id": [9, 7], "ra": [2.0, 1.0], "dec": [0.0, 0.0]})["source_id", "feh"].rows()
    [(7, -1.0), (9, -2.0)]
    """
    stars, reference = found.stars, found.reference
    frame = with_source_id(pl.DataFrame(gaia), "Gaia stars")
    matched = []
    if "source_id" in stars.columns and reference.identifier in (release, None):
        matched.append(stars.filter(pl.col("source_id").is_in(frame["source_id"].implode())))
        frame = frame.filter(~pl.col("source_id").is_in(matched[0]["source_id"].implode()))
        stars = stars.filter(pl.col("source_id").is_null())
    if stars.height:
        if not {"ra", "dec"} <= {*stars.columns}:
            raise UserError(
                f"{reference.name}: no positions, and identifiers of Gaia {(reference.identifier or release).upper()} "
                f"do not match stars of {release.upper()}; add the columns ra and dec to the catalog"
            )
        columns = {name: frame[name].to_numpy() for name in frame.columns}
        positions = stars["ra"].to_numpy(), stars["dec"].to_numpy()
        match = crossmatch(*positions, columns, epoch=reference.epoch, gaia_epoch=RELEASES[release].ref_epoch)
        matched.append(to_labels(stars.drop("source_id", strict=False), match, columns["source_id"]))
    return pl.concat(matched, how="diagonal").select("source_id", pl.exclude("source_id")).sort("source_id")


def _one_row_per_star(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the best row of each star, in the order of the file; without identifiers, close rows are one star."""
    keys = [key for key in (BEST, "feh_err") if key in rows.columns]
    rows = rows.with_row_index(_ROW)
    if keys:
        rows = rows.sort(keys, descending=[key == BEST for key in keys], nulls_last=True, maintain_order=True)
    identified = pl.col("source_id").is_not_null() if "source_id" in rows.columns else pl.lit(False)
    stars, others = rows.filter(identified), rows.filter(~identified)
    if stars.height:
        stars = stars.unique("source_id", keep="first", maintain_order=True)
    if others.height:
        positions = others["ra"].to_numpy(), others["dec"].to_numpy()
        row, row2, _ = pairs_within(*positions, *positions, SAME_STAR_ARCSEC)
        others = others.with_row_index(_PLACE).filter(~pl.col(_PLACE).is_in(row2[row2 > row].tolist())).drop(_PLACE)
    return pl.concat([stars, others]).sort(_ROW).drop(_ROW, BEST, strict=False)
