"""How the packaged table of metal-poor stars is made."""

import polars as pl
from xpfeh.labels.literature import merge

HEADER = """\
# [Fe/H] of 70 metal-poor stars of the packaged library of XP spectra, from the literature: one row a star.
# Made by tests/labels/making_metal_poor.py of {rows} rows matched by Gaia DR3 source_id. The rule is that
# of xpfeh.labels.literature: the mean of a star's independent values; zero points, where any is applied, taken off.
# Zero points (dex, stars in common):
{zero_points}
# The values are facts of the papers cited:
# JINAbase: Abohalima & Frebel 2018, ApJS 238, 36. PASTEL: Soubiran et al. 2016, A&A 591, A118.
# Li et al. 2022, ApJ 931, 147. Placco et al. 2014, ApJ 797, 21. Pristine: high-resolution follow-up of that survey.
"""


def metal_poor_csv(rows: pl.DataFrame) -> str:
    """Return the packaged table from rows ``source_id``, ``feh``, ``reference``, as `read_literature` gives them."""
    merged = merge(rows.clear(), [rows])
    zero_points = "\n".join(
        f"#   {name}: {offset:+.3f} +- {error:.3f}, {stars} stars, {'applied' if applied else 'not applied'}"
        for name, stars, offset, error, applied in merged.zero_points.iter_rows()
    )
    table = merged.labels.select("source_id", pl.col("feh", "feh_err").round(3), "carbon_rich", "reference")
    return HEADER.format(rows=rows.height, zero_points=zero_points) + table.write_csv()
