"""Intervals that hold what they say, from stars that the network was not trained on.

A network's sigma is right in shape at best: here quantiles of (true - predicted) / sigma, as they are on stars like
those that the numbers are about, turn it into 68 % and 95 % intervals (quantile regression, Koenker & Bassett 1978,
DOI 10.2307/1913643). They depend on the predicted [Fe/H], otherwise below -2 than above, on the noise of the spectrum
(which G and S/N come down to), on the share of sigma that is disagreement in the ensemble, and on E(B-V). Fainter
copies of the stars carry them beyond the magnitudes of the labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

QUANTILES = (0.025, 0.16, 0.84, 0.975)
"""The ends of the 95 % and of the 68 % interval."""

_SHARES = (0.68, 0.95)  # of the stars, inside the intervals between those
_SHRINKAGE = 3e-3  # L1 penalty: a slope that few stars ask for stays 0
_WEIGHT_OF_ORIGINALS = 4.0  # of a star against its fainter copy: the copies carry the trend, the stars the level
_LEAST = 1e-3  # dex; an interval has some width, and a logarithm something to take
_POOR = -2.0  # dex; where spectra begin to say less, and labels of APOGEE end
_BELOW = 1  # the covariate that counts dex below that
_FEWEST = 40  # stars below it of which one in twenty is known
_DUST = 0.16 * 2.2  # of E(B-V): SFD's own error (Schlegel et al. 1998, abstract) times d[Fe/H]/dE(B-V), dex per mag
_LABEL_SIGMA = 0.1  # dex: a label whose own error is as large says half as much of the network's

_Four = Annotated[tuple[float, ...], Field(min_length=4, max_length=4)]  # quantiles
_Five = Annotated[tuple[float, ...], Field(min_length=5, max_length=5)]  # K = 5 covariates


class Calibration(BaseModel):
    """Quantiles of the standardised residual, each linear in the covariates.

    Attributes
    ----------
    low, high : K floats
        The range of the covariates on the stars it was fitted to; beyond it they are held at its ends.
    intercepts : 4 floats
    slopes : 4 x K floats
        By `QUANTILES`.
    """

    model_config = ConfigDict(frozen=True)

    low: _Five
    high: _Five
    intercepts: _Four
    slopes: Annotated[tuple[_Five, ...], Field(min_length=4, max_length=4)]

    def intervals(self, feh: Any, aleatoric: Any, epistemic: Any, noise: Any, ebv: Any) -> dict[str, Any]:
        """Return ``FEH_err`` and the ends of the intervals, dex, of B stars.

        Parameters
        ----------
        feh, aleatoric, epistemic : (B,) arrays
            The ensemble's mean, the root of its mean variance, and the deviation between its members, dex.
        noise : (B,) array
            Mean pixel error, in the features' scale.
        ebv : (B,) array
            E(B-V), mag.
        """
        xp = feh.__array_namespace__()
        low, high, intercepts, slopes = (
            xp.asarray(np.array(values, dtype=np.float32))
            for values in (self.low, self.high, self.intercepts, np.transpose(self.slopes))
        )
        sigma = _sigma(aleatoric, epistemic, ebv)
        x = xp.minimum(xp.maximum(_covariates(feh, aleatoric, epistemic, noise, ebv), low), high)
        z = xp.matmul(x, slopes) + intercepts
        lo95, lo68, hi68, hi95 = (feh + sigma * z[:, i] for i in range(4))
        lo68 = xp.minimum(lo68, feh - _LEAST)
        hi68 = xp.maximum(hi68, feh + _LEAST)
        return {
            "FEH_err": (hi68 - lo68) / 2,
            "FEH_lo68": lo68,
            "FEH_hi68": hi68,
            "FEH_lo95": xp.minimum(lo95, lo68),
            "FEH_hi95": xp.maximum(hi95, hi68),
        }


def fit_calibration(
    outputs: Mapping[str, NDArray],
    feh: NDArray[np.float64],
    feh_err: NDArray[np.float64],
    fold: NDArray[np.int64],
    copies: int = 0,
) -> Calibration:
    """Fit the intervals to stars that the networks were not trained on.

    The quantiles are fitted to all; then both intervals are widened or narrowed by what the original stars lack in
    a fit that has not seen their fold (conformalised quantile regression, Romano et al. 2019, arXiv:1905.03222),
    first all alike, then those predicted below -2 in proportion to how far below.

    Parameters
    ----------
    outputs : mapping of (N,) arrays
        ``feh``, ``aleatoric``, ``epistemic``, ``noise`` and ``ebv``, as `Calibration.intervals` takes them.
    feh, feh_err : (N,) float64
        True [Fe/H] and its error, dex; NaN where unknown, and taken as 0.
    fold : (N,) int64
        Part of the sky of each star.
    copies : int
        The N rows are the stars, followed by so many copies of them with more noise, in the same order.
    """
    given = {name: np.asarray(values, dtype=np.float64) for name, values in outputs.items()}
    x = _covariates(**given)
    low, high = np.percentile(x, [0.5, 99.5], axis=0)
    x = np.clip(x, low, high)
    z = (feh - given["feh"]) / _sigma(given["aleatoric"], given["epistemic"], given["ebv"])
    n_stars = len(z) // (1 + copies)
    weight = _LABEL_SIGMA**2 / (_LABEL_SIGMA**2 + np.square(np.nan_to_num(feh_err)))
    weight[:n_stars] *= _WEIGHT_OF_ORIGINALS

    lacking = np.empty((2, n_stars))
    for left_out in np.unique(fold):
        used, judged = fold != left_out, np.flatnonzero(fold[:n_stars] == left_out)
        intercepts, slopes = _quantiles(x[used], z[used], weight[used])
        lo95, lo68, hi68, hi95 = (intercepts + x[judged] @ slopes.T).T
        lacking[0, judged] = np.maximum(lo68 - z[judged], z[judged] - hi68)
        lacking[1, judged] = np.maximum(lo95 - z[judged], z[judged] - hi95)
    wider68, wider95 = (
        _weighted_quantile(each, share, weight[:n_stars]) for each, share in zip(lacking, _SHARES, strict=True)
    )
    intercepts, slopes = _quantiles(x, z, weight)
    intercepts += np.array([-wider95, -wider68, wider68, wider95])

    # Below -2 there are too few stars to move the quantiles of all: there the intervals widen by what those lack.
    below = x[:n_stars, _BELOW]
    poor = below > 0
    if poor.sum() >= _FEWEST:
        steeper68, steeper95 = (
            max(0.0, _weighted_quantile((each[poor] - wider) / below[poor], share, weight[:n_stars][poor]))
            for each, wider, share in zip(lacking, (wider68, wider95), _SHARES, strict=True)
        )
        slopes[:, _BELOW] += np.array([-steeper95, -steeper68, steeper68, steeper95])
    return Calibration(
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        intercepts=tuple(intercepts.tolist()),
        slopes=tuple(tuple(row) for row in slopes.tolist()),
    )


def _quantiles(
    x: NDArray[np.float64], z: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (4,) intercepts and (4, K) slopes of the quantiles of z as functions of the covariates."""
    centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    fits = np.array([_quantile((x - centre) / scale, z, weight / weight.sum(), q) for q in QUANTILES])
    slopes = fits[:, 1:] / scale
    return fits[:, 0] - slopes @ centre, slopes


def _quantile(x: NDArray[np.float64], z: NDArray[np.float64], share: NDArray[np.float64], q: float) -> NDArray:
    """Return (1 + K,) intercept and slopes of one quantile: those with the least pinball loss and L1 penalty.

    Solved as the dual linear program, which has a row for each covariate and not for each star: ten times as fast as
    `sklearn.linear_model.QuantileRegressor` (LOG 2026-11-25), and the same numbers.
    """
    from scipy.optimize import linprog  # half a second, which those who only predict need not wait

    count = x.shape[1]
    found = linprog(
        -z,
        A_ub=np.vstack([x.T, -x.T]),
        b_ub=np.full(2 * count, _SHRINKAGE),
        A_eq=np.ones((1, len(z))),
        b_eq=[0.0],
        bounds=np.stack([(q - 1) * share, q * share], axis=1),
        method="highs",
    )
    slopes = found.ineqlin.marginals
    return np.concatenate([-found.eqlin.marginals, slopes[count:] - slopes[:count]])


def _weighted_quantile(values: NDArray[np.float64], share: float, weight: NDArray[np.float64]) -> float:
    return float(np.quantile(values, share, weights=weight, method="inverted_cdf"))


def _sigma(aleatoric: Any, epistemic: Any, ebv: Any) -> Any:
    """Return (B,) sigma before calibration, dex: noise, disagreement, and the error of the dust map."""
    xp = aleatoric.__array_namespace__()
    return xp.sqrt(xp.square(aleatoric) + xp.square(epistemic) + xp.square(_DUST * ebv))


def _covariates(feh: Any, aleatoric: Any, epistemic: Any, noise: Any, ebv: Any) -> Any:
    """Return the (B, K) numbers that the quantiles depend on."""
    xp = feh.__array_namespace__()
    disagreement = xp.log((epistemic + _LEAST) / aleatoric)
    return xp.stack([feh, xp.maximum(_POOR - feh, 0.0), xp.log(noise), disagreement, ebv], axis=1)
