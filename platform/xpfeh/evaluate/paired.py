"""Two models star by star: is the difference real? A paired bootstrap of what their reports hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.evaluate.metrics import MAD_TO_SIGMA

RESAMPLES = 10_000
_SAME_TRUTH = 1e-5
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Difference:
    """One number of two models A and B on the same stars.

    Attributes
    ----------
    name : str
    a, b : float
        Dex.
    low, high : float
        95 % interval of a - b.
    n : int
        Stars.
    """

    name: str
    a: float
    b: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> str:
        """Which model is better, if the stars can tell."""
        if self.high < 0:
            return "A is better"
        return "B is better" if self.low > 0 else f"no difference that these {self.n} stars can show"


def star_by_star(a: Path, b: Path) -> list[Difference]:
    """Return the differences in MAE, robust sigma and std of the reports A and B, by a paired bootstrap.

    Raises
    ------
    UserError
        If a folder is no report, they have no star in common, or a star's true [Fe/H] differs.
    """
    both = _stars_of(a).join(_stars_of(b), on="source_id", suffix="_b")
    if both.is_empty():
        raise UserError(f"{a} and {b} have no star in common")
    truth, truth_b = both["feh"].to_numpy(), both["feh_b"].to_numpy()
    if other := int((np.abs(truth - truth_b) > _SAME_TRUTH).sum()):
        raise UserError(
            f"{a} and {b}: the true [Fe/H] of {other} of {len(both)} stars differs; judge with one --labels"
        )
    return bootstrap(both["FEH"].to_numpy() - truth, both["FEH_b"].to_numpy() - truth)


def bootstrap(a: NDArray[np.float64], b: NDArray[np.float64]) -> list[Difference]:
    """Return the differences of two models' residuals (N,), dex; resamples take both of a star."""
    rng, n = np.random.default_rng(0), len(a)
    drawn, chunk = [], max(1, _CHUNK // n)
    for start in range(0, RESAMPLES, chunk):
        stars = rng.integers(n, size=(min(chunk, RESAMPLES - start), n))
        drawn.append(_spreads(a[stars]) - _spreads(b[stars]))
    lows, highs = np.percentile(np.concatenate(drawn, axis=1), [2.5, 97.5], axis=1)
    names = ("MAE", "robust σ", "std")
    found = zip(_spreads(a).tolist(), _spreads(b).tolist(), lows.tolist(), highs.tolist(), strict=True)
    return [Difference(name, *numbers, n) for name, numbers in zip(names, found, strict=True)]


def _spreads(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return MAE, robust sigma and std over the last axis, stacked before the others."""
    centred = residuals - np.median(residuals, axis=-1, keepdims=True)
    robust = MAD_TO_SIGMA * np.median(np.abs(centred), axis=-1)
    return np.stack([np.abs(residuals).mean(axis=-1), robust, residuals.std(axis=-1)])


def _stars_of(report: Path) -> pl.DataFrame:
    path = report / "stars.parquet"
    if not path.is_file():
        raise UserError(f"{report} is no report: it has no stars.parquet; xpfeh validate --out writes one")
    wanted = pl.Schema({"source_id": pl.Int64, "feh": pl.Float64, "FEH": pl.Float64})
    return pl.read_parquet(path, columns=wanted.names()).cast(wanted)
