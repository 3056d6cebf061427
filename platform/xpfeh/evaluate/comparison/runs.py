"""Runs grouped by recipe, and what differs between the recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from xpfeh.evaluate.numbers import NUMBERS
from xpfeh.evaluate.section import text_of

OF_A_RUN = ("mae", "robust_sigma", "std", "coverage_68", "nll", "seconds")
"""Of `xpfeh.evaluate.numbers.NUMBERS`."""
SHORT_ID = 8
"""Characters of a run's id that tables show."""
ERROR = "mae_error"
"""The number that is the standard error of ``mae``."""


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes
    ----------
    run_id, recipe, seed : str
    parameters : mapping of str
        The other settings of `xpfeh.settings.Recipe`, and the data.
    numbers : mapping of float
        On the validation stars, dex; always with ``mae``. ``seconds`` is the training time.
    trial : Run, optional
        For a finalist of a search: the single network with the same recipe.
    """

    run_id: str
    recipe: str
    seed: str
    parameters: Mapping[str, str]
    numbers: Mapping[str, float]
    trial: Run | None = None


@dataclass(frozen=True)
class Row:
    """Runs that differ only in their seeds, best first.

    Examples
    --------
    >>> errors = {"0": 0.08, "1": 0.1}  # of two seeds
    >>> row = Row([Run(f"run {seed}", "best", seed, {"latent": "16"}, {"mae": mae}) for seed, mae in errors.items()])
    >>> row.text("mae"), row.text("nll"), row.parameter("latent")
    ('0.0900 ± 0.0141', '–', '16')
    >>> row.unlike(Row([Run("run 2", "best", "0", {"latent": "32"}, {"mae": 0.1})]), ["latent"])
    [('latent', '16')]
    """

    runs: Sequence[Run]

    @property
    def best(self) -> Run:
        """The run with the lowest error."""
        return self.runs[0]

    @property
    def mae(self) -> float:
        """Mean over the seeds, dex."""
        return mean(run.numbers["mae"] for run in self.runs)

    @property
    def recipes(self) -> str:
        """Name of the recipe, or names if runs of the same settings have several."""
        return ", ".join(sorted({run.recipe for run in self.runs}))

    def number(self, number: str) -> float | None:
        """Return the mean of one of `OF_A_RUN` over the seeds that have it."""
        known = self._known(number)
        return mean(known) if known else None

    def text(self, number: str) -> str:
        """Return one of `OF_A_RUN` as text: its mean and standard deviation over the seeds that have it."""
        known = self._known(number)
        spread = stdev(known) if len(known) > 1 else math.nan
        return text_of(mean(known) if known else math.nan, NUMBERS[number].form, spread)

    def parameter(self, name: str) -> str:
        """Return a parameter of the best run as short text."""
        return short(self.best.parameters.get(name, "–"))

    def settings(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return parameters of the best run, by name, as short text."""
        return [(name, self.parameter(name)) for name in names]

    def unlike(self, other: Row, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return those of the parameters `names` that differ from another recipe's, as short text."""
        mine, its = self.best.parameters, other.best.parameters
        return [(name, self.parameter(name)) for name in names if mine.get(name) != its.get(name)]

    def _known(self, number: str) -> list[float]:
        values = [run.numbers.get(number, math.nan) for run in self.runs]
        return [value for value in values if not math.isnan(value)]


def varied(rows: Sequence[Row]) -> list[str]:
    """Return the parameters that have more than one value among the rows that have them.

    Examples
    --------
    >>> parameters = [{"latent": "16", "noise": "0"}, {"latent": "32", "noise": "0"}]
    >>> varied([Row([Run("", "best", "0", each, {"mae": 0.1})]) for each in parameters])
    ['latent']
    """
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.best.parameters.items():
            values.setdefault(name, set()).add(value)
    return sorted(name for name, known in values.items() if len(known) > 1)


def short(text: str) -> str:
    """Return a recorded value in as few characters as possible.

    Examples
    --------
    >>> short("0.00123456"), short("512.0"), short("(256, 64)")
    ('0.00123', '512', '256,64')
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        return text.replace(" ", "").strip("()[],")
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e7 else f"{number:.3g}"
