"""What the packaged typical correlations are made of, and how: real stars that have their own."""

from pathlib import Path

import numpy as np
from xpfeh.xp.bases import BANDS
from xpfeh.xp.typical_correlations import band_magnitude

from tests.genuine import datalink_file, shared
from tests.sources.reading import read_whole

Columns = dict[str, np.ndarray]

FILES = (
    "gaia_continuous/XP_CONTINUOUS_RAW.csv", "gaia_continuous/XP_CONTINUOUS_RAW_colour_eq_dr3int6.csv",
    "gaia_continuous/XP_CONTINUOUS_RAW_with_missing_BP.csv", "gaia_continuous/ten_bright_stars.csv",
    "gaia_bulk/XpContinuousMeanSpectrum_000000-003111.csv.gz",
)  # fmt: skip
"""In ../shared/data; the others of its files hold these stars again."""
EXTREME = {1908095850396090880: -0.31, 5762406957886626816: -0.34, 5853498713190525696: 3.79}
"""Stars that are left out for their BP-RP: their correlations are unlike all others'."""
MAGNITUDES = np.array([-16.7, -10.2, -7.7, -5.4])
"""Where matrices are made: near stars, which are few, and at both ends."""
WIDTH_MAG = 1.0


def stars_with_correlations(folder: Path) -> Columns:
    """Return the stars that have correlations in a band or both, each once; `folder` is for an unpacked file."""
    paths = [*(shared(name) for name in FILES), datalink_file("csv", folder)]
    every = [read_whole(path).columns for path in paths]
    columns = {name: np.concatenate([each[name] for each in every]) for name in every[0]}
    _, first = np.unique(columns["source_id"], return_index=True)
    return {name: values[np.sort(first)] for name, values in columns.items()}


def usable(stars: Columns, band: str) -> np.ndarray:
    """Return which stars count in a band's matrices."""
    known = np.isfinite(stars[f"{band}_coefficient_correlations"]).all(axis=1)
    return known & ~np.isin(stars["source_id"], list(EXTREME))


def mean_matrices(stars: Columns, band: str, used: np.ndarray) -> np.ndarray:
    """Return the (K, n (n - 1) / 2) mean correlations around each of `MAGNITUDES` of the stars that are used."""
    magnitude = band_magnitude(stars[f"{band}_coefficients"][used])
    weight = np.exp(-0.5 * np.square((magnitude - MAGNITUDES[:, None]) / WIDTH_MAG))
    weight /= weight.sum(axis=1, keepdims=True)
    return weight @ stars[f"{band}_coefficient_correlations"][used]  # (K, M) @ (M, C) -> (K, C)


def made(stars: Columns) -> Columns:
    """Return what the file holds: ``np.savez_compressed(DATA, **made(stars_with_correlations(folder)))`` writes it."""
    matrices = {f"dr3_{band}": mean_matrices(stars, band, usable(stars, band)).astype(np.float32) for band in BANDS}
    return {"magnitudes": MAGNITUDES, **matrices}
