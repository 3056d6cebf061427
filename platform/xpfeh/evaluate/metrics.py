"""How good predictions are: one summary of residuals and intervals, for all stars and for slices.

An interval is open at an end that is NaN. A star without [Fe/H] is counted but has no
residual; a star without any limit claims nothing and is left out of coverages.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from xpfeh.evaluate.cells import by_cell, ratios, standard_errors
from xpfeh.evaluate.residuals import SPREADS, robust_sigma, spreads
from xpfeh.evaluate.slices import slices_of
from xpfeh.typing import Array, Columns

CATASTROPHIC = 0.5
"""Residual (dex) beyond which a prediction is worse than no prediction."""
LEVELS = (68, 95)
"""Levels of the intervals, per cent."""

_FREEDOM = 4  # degrees of freedom of Student's t: its tails match the calibrated 95 % intervals, LOG 2026-11-23
_WORST = 0.99  # quantile of the domain score above which a star counts as caught


def inside(stars: Columns, level: int) -> NDArray[np.bool_]:
    """Return whether each of N stars has its true [Fe/H] inside its interval; an open end excludes nothing.

    Examples
    --------
    >>> stars = {"feh": np.full(3, -3.1), "FEH_lo68": np.array([np.nan, -3.0, -3.2]), "FEH_hi68": np.full(3, -2.2)}
    >>> inside(stars, 68).tolist()
    [True, False, True]
    """
    return ~(stars["feh"] < stars[f"FEH_lo{level}"]) & ~(stars["feh"] > stars[f"FEH_hi{level}"])


def has_interval(stars: Columns, level: int) -> NDArray[np.bool_]:
    """Return whether each of N stars has an interval with at least one end."""
    return np.isfinite(stars[f"FEH_lo{level}"]) | np.isfinite(stars[f"FEH_hi{level}"])


def coverage(stars: Columns, level: int) -> float:
    """Return the share of the stars with an interval whose true [Fe/H] is inside; NaN if there are none."""
    return _mean(inside(stars, level)[has_interval(stars, level)])


def summary(stars: Columns) -> dict[str, float]:
    """Return the numbers for N stars.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``feh`` (true, dex) and the columns of `xpfeh.inference.predictor.Predictor.predict`.

    Returns
    -------
    dict
        ``n``, stars with a predicted [Fe/H], ``n_without_feh``, those without, and ``n_open``, those whose 95 %
        interval lacks an end; `xpfeh.evaluate.residuals.SPREADS` of the n residuals, dex; ``coverage_68`` and
        ``coverage_95``, the share of the stars with an interval that are within it.

        For stars with an error, whose 68 % interval is closed: ``z_robust_std`` of residual / ``FEH_err``; ``nll``,
        the mean negative log-likelihood of a Gaussian with ``FEH_err``; ``nll_t``, that of Student's t with 4 degrees
        of freedom and the same 68 % interval, whose tails match the calibrated 95 % intervals, and which is not
        dominated by a single wrong label.

        ``inside_own_sigma``, the share of residuals within the networks' own sigma, before calibration, where that is
        known.

        ``catastrophic``, the number of residuals beyond 0.5 dex, and ``caught``, how many of those are among the 1 %
        with the largest domain scores, where these are known. NaN where a number cannot be computed; if no star has
        an [Fe/H], only the counts.

    Examples
    --------
    >>> truth, predicted = np.array([-1.0, -0.5, 0.0, -4.0]), np.array([-0.9, -0.5, 0.7, np.nan])
    >>> stars = {"feh": truth, "FEH": predicted, "FEH_err": 0.1 + 0 * predicted}
    >>> stars |= {"FEH_lo68": predicted - 0.1, "FEH_hi68": predicted + 0.1}
    >>> stars |= {"FEH_lo95": predicted - 0.2, "FEH_hi95": predicted + 0.2}
    >>> numbers = summary(stars)
    >>> {name: round(numbers[name], 3) for name in ("n", "n_without_feh", "bias", "mae", "coverage_95")}
    {'n': 3, 'n_without_feh': 1, 'bias': 0.267, 'mae': 0.267, 'coverage_95': 0.667}
    """
    truth, predicted, error = (np.asarray(stars[name], dtype=np.float64) for name in ("feh", "FEH", "FEH_err"))
    given = np.isfinite(predicted)
    is_open = np.isnan(stars["FEH_lo95"]) | np.isnan(stars["FEH_hi95"])
    n = int(given.sum())
    numbers: dict[str, float] = {
        "n": n,
        "n_without_feh": int((~given).sum()),
        "n_open": int(is_open.sum()),
    }
    if not n:
        return numbers
    residual = predicted - truth
    catastrophic = np.abs(residual[given]) > CATASTROPHIC
    closed = given & np.isfinite(error)
    numbers |= {
        **dict(zip(SPREADS, spreads(residual[given], np.ones((1, n)))[:, 0].tolist(), strict=True)),
        **{f"coverage_{level}": coverage(stars, level) for level in LEVELS},
        **_likelihoods(residual[closed], error[closed]),
        "catastrophic": int(catastrophic.sum()),
    }
    if "FEH_err_aleatoric" in stars:
        own = np.hypot(stars["FEH_err_aleatoric"], stars["FEH_err_epistemic"])[given]
        numbers["inside_own_sigma"] = _mean(np.abs(residual[given]) < own)
    if "domain_score" in stars:
        score = stars["domain_score"][given]
        numbers["caught"] = int((catastrophic & (score >= np.quantile(score, _WORST))).sum())
    return numbers


def with_errors(stars: Columns) -> dict[str, float]:
    """Return `summary` with standard errors of spreads and coverages by resampling cells, as ``mae_se`` and so on.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        As for `summary`, and ``source_id``.

    Examples
    --------
    >>> predicted = np.tile([-0.1, 0.1], 200)
    >>> stars = {"source_id": np.arange(400) * 2**49, "feh": np.zeros(400), "FEH": predicted}  # each in its own cell
    >>> stars |= dict.fromkeys(("FEH_err", "FEH_hi68", "FEH_hi95"), np.full(400, 0.1))
    >>> stars |= dict.fromkeys(("FEH_lo68", "FEH_lo95"), predicted - 0.05)
    >>> numbers = with_errors(stars)
    >>> {name: round(numbers[name], 3) for name in ("bias", "bias_se", "coverage_68", "coverage_68_se")}
    {'bias': 0.0, 'bias_se': 0.005, 'coverage_68': 0.5, 'coverage_68_se': 0.025}
    """
    numbers = summary(stars)
    if not numbers["n"]:
        return numbers
    cell, given = by_cell(stars["source_id"]), np.isfinite(stars["FEH"])
    residual = np.asarray(stars["FEH"], dtype=np.float64)[given] - stars["feh"][given]
    numbers |= standard_errors(cell[given], SPREADS, partial(spreads, residual))
    for level in LEVELS:
        judged = has_interval(stars, level)
        held = inside(stars, level)[judged, None].astype(np.float64)
        numbers |= standard_errors(cell[judged], [f"coverage_{level}"], partial(ratios, held, np.ones_like(held)))
    return numbers


def sliced_summary(stars: Columns) -> dict[str, dict[str, float]]:
    """Return `with_errors` for each of `xpfeh.evaluate.slices.slices_of`, by the slice's name.

    Parameters
    ----------
    stars : mapping of (N, ...) arrays
        As `with_errors` and `slices_of` take them.
    """
    return {
        name: with_errors({column: values[chosen] for column, values in stars.items()})
        for name, chosen in slices_of(stars).items()
    }


def _likelihoods(residual: Array, error: Array) -> dict[str, float]:
    if not len(error):
        return dict.fromkeys(("z_robust_std", "nll", "nll_t"), math.nan)
    z = residual / error
    # The scale of the t distribution that puts 68 % of it within the error.
    scale = error / student_t.ppf(0.84, _FREEDOM)
    return {
        "z_robust_std": robust_sigma(z),
        "nll": float((0.5 * z**2 + np.log(error) + 0.5 * np.log(2 * np.pi)).mean()),
        "nll_t": float(-student_t.logpdf(residual, _FREEDOM, scale=scale).mean()),
    }


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else math.nan
