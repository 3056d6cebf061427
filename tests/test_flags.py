"""The definition of a good star, and flags as text."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from astropy.table import MaskedColumn, Table
from xpfeh.flags import BEYOND_PAPER, NOT_GOOD, Flag, is_good, names

SPOIL = {
    "BAD_SPECTRUM", "NO_DUST", "MISSING_BAND", "NOT_GIANT", "CUT_NOT_EVALUATED", "LOW_SN", "CORRECTION_RANGE",
    "OUTSIDE_DOMAIN", "FEH_EDGE", "ODD_SN",
}  # fmt: skip
SPOIL_BEYOND_PAPER = {"COLOUR_RANGE", "HIGH_EXTINCTION", "NEAR_PLANE", "BAD_PHOTOMETRY"}


@pytest.mark.parametrize("flag", Flag, ids=lambda flag: flag.name)
def test_each_flag_spoils_a_star_or_does_not(flag: Flag) -> None:
    alone, with_others = np.array([flag], np.uint32), np.array([flag | Flag.FAINT | Flag.OWN_EBV], np.uint32)
    for flags in (alone, with_others):
        assert is_good(flags, whole_sky=True).tolist() == [flag.name not in SPOIL]
        assert is_good(flags, whole_sky=False).tolist() == [flag.name not in SPOIL | SPOIL_BEYOND_PAPER]


def test_a_star_that_no_flag_warns_of_is_good() -> None:
    assert is_good(np.zeros(1, np.uint32), whole_sky=False).all()
    assert (NOT_GOOD, BEYOND_PAPER) == (0b1_1110_1010_0100_1011, 0b1011_1100)  # users of published catalogs have them


TABLES: dict[str, Callable[[list[int]], object]] = {
    "flags": lambda flags: flags,
    "array": lambda flags: np.array(flags, np.uint32),
    "mapping": lambda flags: {"flags": flags},
    "astropy": lambda flags: Table({"flags": flags}),
    "pandas": lambda flags: pd.DataFrame({"flags": flags}),
    "series": lambda flags: pd.Series(flags),
    "polars": lambda flags: pl.DataFrame({"flags": flags}),
    "arrow": lambda flags: pa.table({"flags": pa.array(flags, pa.uint32())}),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_names_of_any_table(table: Callable[[list[int]], object]) -> None:
    flags = [int(Flag.FAINT | Flag.NO_CORRELATIONS), 0, int(Flag.BAD_SPECTRUM), 0]
    assert names(table(flags)).tolist() == ["FAINT NO_CORRELATIONS", "", "BAD_SPECTRUM", ""]
    assert names(table([])).tolist() == []


def test_names_need_no_other_import() -> None:
    code = "import xpfeh; print(xpfeh.flags.names([256])[0])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "FAINT\n"


def test_a_star_without_an_answer_has_no_flags() -> None:
    masked = MaskedColumn([256, 1], mask=[False, True], dtype=np.uint32)
    assert names(masked).tolist() == names(np.array([256, np.nan])).tolist() == ["FAINT", ""]
    assert names(Table({"flags": [256, 0]})[0]) == "FAINT"
