"""Two models star by star: is the difference real? A paired bootstrap of what their reports hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.evaluate.metrics import MAD_TO_SIGMA
from xpfeh.tables import read_stars

RESAMPLES = 10_000
"""The ends of a 95 % interval are then good to one per cent of its length."""

_SAME_TRUTH = 1e-5  # dex: the same label in float32 and in float64
_NUMBERS_DRAWN = 2_000_000  # in memory at a time


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

    Examples
    --------
    >>> Difference("MAE", a=0.078, b=0.086, low=-0.012, high=-0.003, n=700).verdict
    'A is better'
    """

    name: str
    a: float
    b: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> str:
        """Which model is better, if the stars can show it."""
        if self.high < 0:
            return "A is better"
        if self.low > 0:
            return "B is better"
        return f"no difference that these {self.n} stars can show"


def star_by_star(a: Path, b: Path) -> list[Difference]:
    """Return the differences in MAE, robust sigma and std of the reports A and B, by a paired bootstrap.

    Parameters
    ----------
    a, b : Path
        Folders that `xpfeh.evaluate.report.write_report` wrote.

    Raises
    ------
    UserError
        If a folder is no report, they have no star in common, or a star's true [Fe/H] differs.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name, scatter in (("a", 0.1), ("b", 0.3)):
    ...         Path(folder, name).mkdir()
    ...         stars = {"source_id": range(400), "feh": np.zeros(400), "FEH": scatter * np.sin(np.arange(400))}
    ...         pl.DataFrame(stars).write_parquet(Path(folder, name, "stars.parquet"))
    ...     [found.verdict for found in star_by_star(Path(folder, "a"), Path(folder, "b"))]
    ['A is better', 'A is better', 'A is better']
    """
    both = _read_stars(a).join(_read_stars(b), on="source_id", suffix="_b")
    if both.is_empty():
        raise UserError(f"{a} and {b} have no star in common")
    truth, truth_b = both["feh"].to_numpy(), both["feh_b"].to_numpy()
    different = int((np.abs(truth - truth_b) > _SAME_TRUTH).sum())
    if different:
        raise UserError(
            f"{a} and {b}: the true [Fe/H] of {different} of {len(both)} stars differs; judge with one --labels"
        )
    return bootstrap(both["FEH"].to_numpy() - truth, both["FEH_b"].to_numpy() - truth)


def bootstrap(a: NDArray[np.float64], b: NDArray[np.float64]) -> list[Difference]:
    """Return the differences of two models' residuals (N,), dex; resamples take both of a star.

    Examples
    --------
    >>> residual = np.linspace(-0.2, 0.2, 300)
    >>> mae, *_ = bootstrap(residual, 2 * residual)
    >>> mae.name, round(mae.a, 3), round(mae.b, 3), mae.verdict
    ('MAE', 0.1, 0.201, 'A is better')
    """
    rng, n = np.random.default_rng(0), len(a)
    at_once = max(1, _NUMBERS_DRAWN // n)
    drawn = []
    for start in range(0, RESAMPLES, at_once):
        stars = rng.integers(n, size=(min(at_once, RESAMPLES - start), n))
        drawn.append(_spreads(a[stars]) - _spreads(b[stars]))  # (resamples, N) -> (3, resamples)
    lows, highs = np.percentile(np.concatenate(drawn, axis=1), [2.5, 97.5], axis=1)  # (3, RESAMPLES) -> (3,), (3,)
    names = ("MAE", "robust σ", "std")
    numbers = zip(_spreads(a).tolist(), _spreads(b).tolist(), lows.tolist(), highs.tolist(), strict=True)
    return [Difference(name, *each, n) for name, each in zip(names, numbers, strict=True)]


def _spreads(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return MAE, robust sigma and std over the last axis, stacked before the others: (..., N) -> (3, ...)."""
    centred = residuals - np.median(residuals, axis=-1, keepdims=True)
    robust = MAD_TO_SIGMA * np.median(np.abs(centred), axis=-1)
    return np.stack([np.abs(residuals).mean(axis=-1), robust, residuals.std(axis=-1)])


def _read_stars(report: Path) -> pl.DataFrame:
    path = report / "stars.parquet"
    if not path.is_file():
        raise UserError(f"{report} is no report: it has no stars.parquet; xpfeh validate --out writes one")
    return read_stars(path, ["feh", "FEH"])
