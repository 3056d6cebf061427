"""Made-up correction tables: random factors in the layout of Huang et al. (2024), nothing of their contents."""

from pathlib import Path

import numpy as np
import polars as pl

ROWS = {
    "untruc_interC2_CM.csv": (-0.5, 0.7),
    "untruc_interC3_CM.csv": (-0.3, 0.4),
    "untruc_interG_CM.csv": (2.703, 17.122),
    "interGext_CM.csv": (9.0, 17.4),
    "inter_phot.csv": (10.0, 17.7),
}
"""The files of row indices; those of magnitude go as far as the real ones."""

FACTORS = {
    "untruc_interyyC2_CM.csv": ("untruc_interC2_CM.csv", 343),
    "untruc_interyyC3_CM.csv": ("untruc_interC3_CM.csv", 343),
    "untruc_interyyG_CM.csv": ("untruc_interG_CM.csv", 343),
    "untruc_interyyGext_CM.csv": ("interGext_CM.csv", 343),
    "inter_BP.csv": ("inter_phot.csv", 1),
    "inter_RP.csv": ("inter_phot.csv", 1),
}
"""The files of factors: whose rows they have, and how many columns."""


def made_up_tables(folder: Path) -> dict[str, np.ndarray]:
    """Write the 11 files and return what is in them."""
    rng = np.random.default_rng(20240111)
    contents = {name: np.arange(round(a * 1000), round(b * 1000) + 1)[:, None] / 1000 for name, (a, b) in ROWS.items()}
    for name, (index, width) in FACTORS.items():
        contents[name] = rng.integers(900, 1100, (len(contents[index]), width)) / 1000
    for name, values in contents.items():
        pl.DataFrame(values).write_csv(folder / name, include_header=False)
    return contents
