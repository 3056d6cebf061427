"""How accurate the good stars (column ``good``) are, among stars of known [Fe/H] and log g."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from xpfeh.evaluate.cells import by_cell, estimates, ratios
from xpfeh.evaluate.metrics import LEVELS, inside
from xpfeh.evaluate.whole_sky import is_giant
from xpfeh.typing import Columns

OF_GOOD_STARS = ("mae", *(f"coverage_{level}" for level in LEVELS), "dwarfs", "completeness")


def good_numbers(stars: Columns) -> dict[str, float]:
    """Return how accurate good stars are, what share of them are dwarfs, and what share of the giants are good.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``source_id``, ``feh`` and ``logg`` (of the label, dex, NaN where unknown), the predictor's columns, ``good``.

    Returns
    -------
    dict
        ``n``, good stars of known [Fe/H], and for these ``mae`` (dex), ``coverage_68`` and ``coverage_95``, the share
        within their intervals; ``dwarfs``, the share of the good stars with log g >= 3.5; ``completeness``, the share
        of the giants that are good; standard errors by resampling cells of the sky, as ``mae_se`` and so on. NaN where
        a number cannot be computed.

    Examples
    --------
    >>> logg, feh = np.repeat([2.0, 4.5], 50), np.zeros(100)
    >>> stars = {"source_id": np.arange(100) * 2**49, "logg": logg, "feh": feh, "FEH": feh + 0.1}
    >>> stars |= {"FEH_lo68": feh + 0.05, "FEH_hi68": feh + 0.15, "FEH_lo95": feh - 0.1, "FEH_hi95": feh + 0.3}
    >>> numbers = good_numbers(stars | {"good": (np.arange(100) >= 20) & (np.arange(100) < 60)})
    >>> {name: round(numbers[name], 3) for name in ("n", *OF_GOOD_STARS)}
    {'n': 40, 'mae': 0.1, 'coverage_68': 0.0, 'coverage_95': 1.0, 'dwarfs': 0.25, 'completeness': 0.6}
    """
    good, giant, known = stars["good"], is_giant(stars["logg"]), np.isfinite(stars["logg"])
    judged = good & np.isfinite(stars["feh"])
    residual = np.where(judged, np.abs(stars["FEH"] - stars["feh"]), 0.0)
    held = [judged & inside(stars, level) for level in LEVELS]
    part = np.stack([residual, *held, good & known & ~giant, good & giant], axis=1).astype(np.float64)  # (N, 5)
    whole = np.stack([judged, *[judged] * len(LEVELS), good & known, giant], axis=1).astype(np.float64)
    numbers = estimates(by_cell(stars["source_id"]), OF_GOOD_STARS, partial(ratios, part, whole))
    unknown = [name for name, n in zip(OF_GOOD_STARS, whole.sum(axis=0).tolist(), strict=True) if not n]
    return {"n": int(judged.sum())} | numbers | dict.fromkeys(unknown + [f"{name}_se" for name in unknown], math.nan)
