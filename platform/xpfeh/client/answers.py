"""Turns an endpoint's answers into an astropy Table, as from `xpfeh.predict`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import Table

from xpfeh.columns import CATALOG
from xpfeh.commands.in_memory import rejected_lines
from xpfeh.sources.coefficients import Reject
from xpfeh.tables.astropy_table import to_astropy

NO_ANSWERS = CATALOG.append(pa.field("error", pa.string())).empty_table()
"""The answers if all rows are rejected before they are sent."""


def found_of(table: pa.Table, url: str, not_sent: Sequence[tuple[str, Reject]] = ()) -> Table:
    """Return the answers without an error; ``meta["rejected"]`` lists the others, and the rows that were not sent."""
    refused = pc.is_valid(table["error"])
    reasons = table.select(["source_id", "error"]).filter(refused).to_pylist()
    rows = np.flatnonzero(refused)  # among the stars sent
    rejected = [*not_sent, *((url, Reject(int(row), *why.values())) for row, why in zip(rows, reasons, strict=True))]
    found = to_astropy(table.filter(pc.invert(refused)).drop_columns("error"))
    models = pc.drop_null(pc.unique(table["model_version"])).to_pylist()  # two if a rollout came between two requests
    found.meta = {"model": ", ".join(models), "rejected": rejected_lines(rejected)}
    return found
