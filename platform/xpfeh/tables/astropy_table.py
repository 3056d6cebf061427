"""Our tables as astropy's: `Table.write` can write them in every format, and they print no digits beyond the errors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from astropy.table import Column, Table
from numpy.typing import NDArray

from xpfeh.columns import describe, describe_for_fits, made_by, to_arrays

_SHOWN = {"dex": ".3f", "mag": ".3f", "K": ".0f", "pc": ".0f", "deg": ".6f"}
"""How a number of each unit is shown: finer than its error. CSV, LaTeX and HTML are written like this, too."""
_SHOWN_WITHOUT_UNIT = ".3f"  # ratios and scores


def to_astropy(table: pa.Table) -> Table:
    """Return an Arrow table with the units, descriptions and provenance of its schema; null numbers become NaN.

    Neither FITS nor VOTable has the unit dex, and a quantity in dex cannot be compared with a number: so dex goes to
    the description. Integers are int64, since VOTable has no unsigned ones; text has no null.

    Examples
    --------
    >>> found = to_astropy(pa.table({"FEH": [-1.5, None], "error": [None, "too faint"]}))
    >>> found["FEH"].tolist(), found["error"].tolist()
    ([-1.5, nan], ['', 'too faint'])
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(place, field, table[place].fill_null(""))
    arrays = to_arrays(table)
    found = Table([_column(field, arrays[field.name]) for field in table.schema])
    found.meta = {**made_by(table.schema)}
    return found


def _column(field: pa.Field, values: NDArray) -> Column:
    text, unit, _ = describe_for_fits(field)
    shown = None
    if pa.types.is_floating(field.type):
        shown = _SHOWN.get(describe(field).unit, _SHOWN_WITHOUT_UNIT)
    elif pa.types.is_string(field.type):
        values = values.astype(str)
    elif pa.types.is_unsigned_integer(field.type):
        values = values.astype(np.int64)
    return Column(values, field.name, unit=unit or None, description=text or None, format=shown)
