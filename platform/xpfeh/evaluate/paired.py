"""Two models star by star: is the difference significant? A bootstrap of their residuals, by cell of the sky."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.evaluate.cells import FEW_CELLS, by_cell, resample
from xpfeh.evaluate.numbers import NUMBERS
from xpfeh.evaluate.residuals import spreads
from xpfeh.labels.neighbourhood import Neighbourhood
from xpfeh.tables.reading import read_stars
from xpfeh.typing import Array

RESAMPLES = 2000
"""The limits of a 95 % interval are then accurate to 1.5 per cent of its length."""
COMPARED = ("mae", "robust_sigma", "std")
"""Of `xpfeh.evaluate.residuals.SPREADS`."""

_SAME_TRUTH = 1e-5  # dex: the same label in float32 and in float64


@dataclass(frozen=True)
class Difference:
    """One number of two models A and B on the same stars.

    Attributes
    ----------
    name : str
    a, b : float
        Dex.
    low, high : float
        95 % interval of a - b; NaN if the stars are in fewer than ten cells of the sky.
    n : int
        Stars.

    Examples
    --------
    >>> Difference("MAE", a=0.078, b=0.086, low=-0.012, high=-0.003, n=700).verdict()
    'A is better'
    """

    name: str
    a: float
    b: float
    low: float
    high: float
    n: int

    def verdict(self, a: str = "A", b: str = "B") -> str:
        """Return which of the two is better, if the stars are sufficient to show it."""
        if self.high < 0:
            return f"{a} is better"
        if self.low > 0:
            return f"{b} is better"
        return f"no significant difference on these {self.n} stars"


def star_by_star(a: Path, b: Path, neighbourhood: Neighbourhood | None = None) -> list[Difference]:
    """Return the differences in MAE, robust sigma and std between the reports A and B, by a paired bootstrap.

    Stars without [Fe/H] in either are left out.

    Parameters
    ----------
    a, b : Path
        Folders written by `xpfeh.evaluate.report.write_report`.
    neighbourhood : Neighbourhood, optional
        If A is of the data release before B's: which stars are the same.

    Raises
    ------
    UserError
        If a folder is not a report, no star has [Fe/H] from both, or a star's true [Fe/H] differs.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name, scatter in (("a", 0.1), ("b", 0.3)):
    ...         Path(folder, name).mkdir()
    ...         stars = {"source_id": np.arange(400) * 2**49, "feh_true": np.zeros(400)}  # each in its own cell
    ...         stars["FEH"] = scatter * np.sin(np.arange(400))
    ...         pl.DataFrame(stars).write_parquet(Path(folder, name, "stars.parquet"))
    ...     [found.verdict() for found in star_by_star(Path(folder, "a"), Path(folder, "b"))]
    ['A is better', 'A is better', 'A is better']
    """
    return differences_of(in_both(judging_stars(a), judging_stars(b), f"{a} and {b}", neighbourhood))


def in_both(a: pl.DataFrame, b: pl.DataFrame, names: str, neighbourhood: Neighbourhood | None = None) -> pl.DataFrame:
    """Return the stars common to two reports; B's columns get the suffix ``_b``.

    Parameters
    ----------
    a, b : polars.DataFrame
        With ``source_id``, ``feh`` and ``FEH``.
    names : str
        Names of the two reports in error messages.
    neighbourhood : Neighbourhood, optional
        As in `star_by_star`.

    Raises
    ------
    UserError
        If no star has [Fe/H] from both, or a star's true [Fe/H] differs.
    """
    stars = a if neighbourhood is None else neighbourhood.move(a).table
    both = stars.join(b, on="source_id", suffix="_b")
    if both.is_empty():
        raise UserError(f"{names} have no star in common with [Fe/H] in both")
    different = int(((both["feh"] - both["feh_b"]).abs() > _SAME_TRUTH).sum())
    if different:
        raise UserError(
            f"{names}: the true [Fe/H] of {different} of {len(both)} stars differs; judge both with the same --labels"
        )
    return both


def differences_of(both: pl.DataFrame) -> list[Difference]:
    """Return the differences between two predictions, ``FEH`` and ``FEH_b``, for the same stars."""
    truth = both["feh"].to_numpy()
    return bootstrap(both["FEH"].to_numpy() - truth, both["FEH_b"].to_numpy() - truth, both["source_id"].to_numpy())


def bootstrap(a: Array, b: Array, source_id: NDArray[np.int64], names: Sequence[str] = COMPARED) -> list[Difference]:
    """Return the differences between two models' residuals (N,), dex; resamples take whole cells, and stars as pairs.

    `names` are some of `xpfeh.evaluate.residuals.SPREADS`.

    Examples
    --------
    >>> residual, source_id = np.linspace(-0.2, 0.2, 300), np.arange(300) * 2**49
    >>> mae, *_ = bootstrap(residual, 2 * residual, source_id)
    >>> mae.name, round(mae.a, 3), round(mae.b, 3), mae.verdict()
    ('MAE', 0.1, 0.201, 'A is better')
    """
    cell, n = by_cell(source_id), len(a)
    if len(np.unique(cell)) < FEW_CELLS:
        lows = highs = np.full(len(names), math.nan)
    else:
        drawn = resample(cell, lambda weight: spreads(a, weight, names) - spreads(b, weight, names), RESAMPLES)
        lows, highs = np.percentile(drawn, [2.5, 97.5], axis=1)  # (K, RESAMPLES) -> (K,), (K,)
    once = np.ones((1, n))
    columns = (spreads(a, once, names)[:, 0], spreads(b, once, names)[:, 0], lows, highs)
    numbers = zip(names, *(each.tolist() for each in columns), strict=True)
    return [Difference(NUMBERS[key].title, of_a, of_b, low, high, n) for key, of_a, of_b, low, high in numbers]


def judging_stars(report: Path) -> pl.DataFrame:
    """Return ``source_id``, ``feh``, ``FEH`` and ``phot_g_mean_mag`` of the stars behind a report's numbers.

    Raises
    ------
    UserError
        If the folder is not a report.
    """
    path = report / "stars.parquet"
    if not path.is_file():
        raise UserError(f"{report} is not a report: it has no stars.parquet; xpfeh validate --out writes one")
    stars = read_stars(path, ["feh_true", "FEH"], ["phot_g_mean_mag", "judges"])
    judging = stars.filter(pl.col("judges").fill_null(1) == 1).rename({"feh_true": "feh"})
    return judging.drop("judges").drop_nulls(["feh", "FEH"])
