"""Tables of the literature's [Fe/H] for Gaia stars: a user's own, and the packaged one of metal-poor stars."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from xpfeh.errors import UserError
from xpfeh.labels.literature import merge
from xpfeh.tables.checks import columns_of, numbers, truths, with_source_id
from xpfeh.tables.reading import read_table

METAL_POOR = Path(__file__).parent / "data" / "metal_poor.csv"
"""Of 70 stars of the packaged library of spectra; written by `write_metal_poor`."""

_HEADER = """\
# [Fe/H] of 70 metal-poor stars of the packaged library of XP spectra, from the literature: one row a star.
# Made by xpfeh.labels.literature_table.write_metal_poor of {rows} rows matched by Gaia DR3 source_id. The rule is that
# of xpfeh.labels.literature: the mean of a star's independent values; zero points, where any is applied, taken off.
# Zero points (dex, stars in common):
{zero_points}
# The values are facts of the papers cited:
# JINAbase: Abohalima & Frebel 2018, ApJS 238, 36. PASTEL: Soubiran et al. 2016, A&A 591, A118.
# Li et al. 2022, ApJ 931, 147. Placco et al. 2014, ApJ 797, 21. Pristine: high-resolution follow-up of that survey.
"""
_NUMBERS = ("feh", "feh_err", "logg", "teff", "alpha_m")


def read_literature(path: str | Path) -> pl.DataFrame:
    """Read a table for `xpfeh.labels.literature.merge`: ``source_id``, ``feh``, any number of rows a star.

    Parameters
    ----------
    path : str or Path
        With ``reference``, ``feh_err``, ``logg``, ``teff``, ``alpha_m``, ``limit`` and ``carbon_rich`` where it has
        them. Rows without a reference are the file's.

    Raises
    ------
    UserError
        If it cannot be read, is empty, lacks ``source_id`` or ``feh``, or a cell is not what its column needs.

    Examples
    --------
    >>> read_literature(METAL_POOR).columns
    ['source_id', 'feh', 'feh_err', 'carbon_rich', 'reference']
    """
    table = with_source_id(read_table(path), path)
    names = columns_of(table, path, ["feh"], [*_NUMBERS, "limit", "carbon_rich", "reference"])
    if not table.height:
        raise UserError(f"{path}: the table is empty")
    columns = [table["source_id"]]
    columns += [numbers(table, names[name], path).alias(name) for name in _NUMBERS if name in names]
    if "limit" in names:
        columns.append(table[names["limit"]].cast(pl.String).alias("limit"))
    if "carbon_rich" in names:
        columns.append(truths(table, names["carbon_rich"], path).alias("carbon_rich"))
    given = pl.col(names["reference"]).cast(pl.String) if "reference" in names else pl.lit(None, pl.String)
    return pl.DataFrame(columns).with_columns(
        table.with_columns(given.fill_null(Path(path).stem).alias("reference"))["reference"]
    )


def write_metal_poor(source: str | Path, out: str | Path) -> None:
    """Write the packaged table anew (CSV) from rows ``source_id``, ``feh``, ``reference``.

    Raises
    ------
    UserError
        If `source` cannot be read.
    """
    rows = read_literature(source)
    merged = merge(rows.clear(), [rows])
    zero_points = "\n".join(
        f"#   {name}: {offset:+.3f} +- {error:.3f}, {stars} stars, {'applied' if applied else 'not applied'}"
        for name, stars, offset, error, applied in merged.zero_points.iter_rows()
    )
    table = merged.labels.select("source_id", pl.col("feh", "feh_err").round(3), "carbon_rich", "reference")
    header = _HEADER.format(rows=rows.height, zero_points=zero_points)
    Path(out).write_text(header + table.write_csv(), encoding="utf-8")
