"""How accurate T_eff, log g and [alpha/M] are, and whether log g separates giants from dwarfs."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from xpfeh.evaluate.cells import by_cell, estimates, ratios
from xpfeh.evaluate.residuals import SPREADS, spreads
from xpfeh.evaluate.whole_sky import is_giant
from xpfeh.flags import Flag
from xpfeh.inference.further_labels import FurtherLabel
from xpfeh.typing import Array, Columns

COVERAGE = "coverage_68"
SHARES = ("purity", "completeness")


def prediction(stars: Columns, column: str) -> Array:
    """Return a predicted column, (N,) float64; NaN for a model without it, such as boosted trees."""
    if column not in stars:
        return np.full(len(stars["source_id"]), np.nan)
    return np.asarray(stars[column], dtype=np.float64)


def label_numbers(stars: Columns, label: FurtherLabel) -> dict[str, float]:
    """Return how accurate one of the further labels is, with standard errors by resampling cells of the sky.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``source_id``, the true label, and, if the model has them, its predictions and their errors.
    label : FurtherLabel

    Returns
    -------
    dict
        ``n``, stars with a true and a predicted label; ``n_without``, those with only a true one; ``n_open``, those
        of the n that have no error; `xpfeh.evaluate.residuals.SPREADS` of the n residuals, in the label's unit;
        ``coverage_68``, the share of stars with an error whose true label is within it. NaN where a number cannot
        be computed.

    Examples
    --------
    >>> from xpfeh.inference.further_labels import FURTHER_LABELS
    >>> residual = np.tile([-0.1, 0.3], 50)
    >>> stars = {"source_id": np.arange(100) * 2**49, "logg": np.full(100, 2.0), "LOGG": 2 + residual}
    >>> numbers = label_numbers({**stars, "LOGG_err": np.full(100, 0.2)}, FURTHER_LABELS[1])
    >>> {name: round(numbers[name], 2) for name in ("n", "n_open", "bias", "mae", "mae_se", "coverage_68")}
    {'n': 100, 'n_open': 0, 'bias': 0.1, 'mae': 0.2, 'mae_se': 0.01, 'coverage_68': 0.5}
    """
    truth = np.asarray(stars[label.name], dtype=np.float64)
    value, error = prediction(stars, label.column), prediction(stars, label.error_column)
    known = np.isfinite(truth) & np.isfinite(value)
    closed = known & np.isfinite(error)
    n = int(known.sum())
    counts = {"n": n, "n_without": int(np.isfinite(truth).sum()) - n, "n_open": int((known & ~closed).sum())}
    residual, cell = value - truth, by_cell(stars["source_id"])
    held = (np.abs(residual) <= error)[closed, None].astype(np.float64)
    return (
        counts
        | estimates(cell[known], SPREADS, partial(spreads, residual[known]))
        | estimates(cell[closed], [COVERAGE], partial(ratios, held, np.ones_like(held)))
    )


def giants_by_flags(stars: Columns) -> NDArray[np.bool_]:
    """Return whether each of N stars is a giant by its flags, where the model predicts log g."""
    refused = (stars["flags"] & np.uint32(Flag.NOT_GIANT | Flag.CUT_NOT_EVALUATED)) > 0
    return np.isfinite(prediction(stars, "LOGG")) & ~refused


def giants_found(stars: Columns, called: NDArray[np.bool_]) -> dict[str, float]:
    """Return how pure and complete a selection of giants is, with standard errors by resampling cells of the sky.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``source_id`` and ``logg`` (of the label); stars of unknown log g are left out.
    called : (N,) bool
        The selection. A giant without a prediction is missed.

    Returns
    -------
    dict
        ``n``, ``truly``, ``called`` and ``right``, counts; ``purity`` and ``completeness``, NaN if nothing was
        selected, as with a model without log g.

    Examples
    --------
    >>> logg = np.repeat([2.0, 4.5], 50)
    >>> found = giants_found({"source_id": np.arange(100) * 2**49, "logg": logg}, np.arange(100) < 40)
    >>> found["truly"], found["right"], found["purity"], found["completeness"]
    (50, 40, 1.0, 0.8)
    """
    known = np.isfinite(stars["logg"])
    truly, called = is_giant(stars["logg"])[known], called[known]
    right = truly & called
    counts = {"n": len(truly), "truly": int(truly.sum()), "called": int(called.sum()), "right": int(right.sum())}
    if not counts["called"] or not counts["truly"]:
        return counts | dict.fromkeys([*SHARES, *(f"{name}_se" for name in SHARES)], math.nan)
    both, whole = np.stack([right, right], axis=1), np.stack([called, truly], axis=1)  # (N, 2)
    statistic = partial(ratios, both.astype(np.float64), whole.astype(np.float64))
    return counts | estimates(by_cell(stars["source_id"][known]), SHARES, statistic)
