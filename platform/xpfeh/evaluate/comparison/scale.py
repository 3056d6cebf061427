"""A parameter's values on an axis: numbers, words, and values that have no place on a scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xpfeh.evaluate.comparison.runs import short, to_number

_LOGARITHMIC = ("learning_rate", "weight_decay", "epsilon", "l2", "further_labels")  # as a search draws them
_STEP, _MOST = 0.2, 0.6  # of a scale's length: between values that have no place on it, and for all of them at most


@dataclass(frozen=True)
class Scale:
    """A parameter's values as positions from 0 to 1, with labelled marks.

    Words are evenly spaced. Numbers have a scale, and before its foot, evenly spaced, what has no place on it: zero on
    a logarithmic scale, or a value that was not recorded.

    Attributes
    ----------
    positions : (R,) float64
        Of the runs.
    ticks, labels : list
        Positions of the marks, and what is written there.

    Examples
    --------
    >>> scale = Scale.of("learning_rate", ["0.001", "0.01", "0.001"])
    >>> scale.positions.tolist(), scale.labels
    ([0.0, 1.0, 0.0], ['0.001', '0.01'])
    """

    positions: NDArray[np.float64]
    ticks: list[float]
    labels: list[str]

    @classmethod
    def of(cls, name: str, texts: Sequence[str]) -> Scale:
        """Return the scale of a parameter that the runs have these values of, as they were recorded."""
        numbers = {text: to_number(text) for text in texts}
        if name in _LOGARITHMIC:
            numbers = {text: np.log10(value) if value > 0 else np.nan for text, value in numbers.items()}
        words = sorted(text for text, value in numbers.items() if not np.isfinite(value))
        known = np.unique([value for value in numbers.values() if np.isfinite(value)])
        if known.size:
            return cls._of_numbers(texts, numbers, words, known, name in _LOGARITHMIC)
        return cls._of_words(texts, words)

    @classmethod
    def _of_words(cls, texts: Sequence[str], words: Sequence[str]) -> Scale:
        steps = np.linspace(0, 1, len(words)) if len(words) > 1 else np.array([0.5])
        place = dict(zip(words, steps.tolist(), strict=True))
        return cls(np.array([place[text] for text in texts]), list(place.values()), [short(text) for text in place])

    @classmethod
    def _of_numbers(
        cls,
        texts: Sequence[str],
        numbers: Mapping[str, float],
        words: Sequence[str],
        known: NDArray[np.float64],
        logarithmic: bool,
    ) -> Scale:
        foot = min(_STEP * len(words), _MOST)  # where the scale begins
        low, extent = known[0], known[-1] - known[0]

        def position(value: float) -> float:
            share = float(value - low) / extent if extent else 0.5
            return foot + (1 - foot) * share

        place = {text: foot * step / len(words) for step, text in enumerate(words)}
        # Every value has its mark if the marks are few and far enough apart to be read; else three show the range.
        every = len(known) <= 5 and (not extent or np.all(np.diff(known) > 0.2 * extent))
        marks = known if every else np.linspace(low, known[-1], 3)
        values = 10**marks if logarithmic else marks
        return cls(
            np.array([place[text] if text in place else position(numbers[text]) for text in texts]),
            [*place.values(), *(position(mark) for mark in marks)],
            [*(short(text) for text in words), *(short(f"{value:.6g}") for value in values)],
        )

    def spread(self) -> NDArray[np.float64]:
        """Return the positions, side by side where every value has its mark, so that no line hides another."""
        every_value_has_its_mark = len(np.unique(self.positions)) == len(self.ticks)
        if not every_value_has_its_mark:
            return self.positions
        return self.positions + np.linspace(0.02, -0.02, len(self.positions))
