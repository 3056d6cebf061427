"""Calibrated intervals, from stars that the network was not trained on.

At best a network's sigma has the right shape. Here the quantiles of (true - predicted) / sigma for unseen stars turn it
into 68 % and 95 % intervals. They depend on the `covariates`: the star's [Fe/H], T_eff and log g, the dust in front of
it, the noise of its spectrum. Fainter copies of the stars extend them beyond the magnitudes of the labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from xpfeh.inference.answers import Answers
from xpfeh.inference.further_labels import FURTHER_LABELS
from xpfeh.inference.inputs import CLEAREST
from xpfeh.inference.quantiles import fit_quantiles, weighted_quantile
from xpfeh.labels.cuts import MAX_LOGG
from xpfeh.typing import AnyArray

QUANTILES = (0.025, 0.16, 0.84, 0.975)
"""The limits of the 95 % and of the 68 % interval."""
DUST_ERROR = 0.16 * 2.2
"""Error of [Fe/H], dex per mag of E(B-V), if the spectrum was dereddened: SFD's relative error (Schlegel et al. 1998,
abstract) times d[Fe/H]/dE(B-V)."""

_OUTWARD = np.array([-1.0, -1.0, 1.0, 1.0])  # the direction in which each limit moves when an interval grows
_WEIGHT_OF_ORIGINALS = 4.0  # of a star relative to its fainter copy: copies set the trend, stars the level
_LEAST = 1e-3  # dex; keeps widths and arguments of logarithms positive
_POOR = -2.0  # dex; below it spectra become less informative, and APOGEE's labels are few and too high
_BELOW = 1  # index of the covariate "dex below -2"
_BEYOND, _BEYOND_SHARE = 37, 0.005  # a covariate is clipped so that this many stars, or this share, are beyond each end
_LEAST_BELOW = 0.1  # dex: this close to -2, a star's deficit does not show how the deficit grows
_FEWEST = 40  # stars below -2: with fewer, a 95 % quantile is unknown
_LABEL_SIGMA = 0.1  # dex: a label with this error has half the weight of an exact one

# Where quantiles may bend.
_DUST_BENDS = (0.05, 0.2, 0.5, 0.8, 1.5)  # mag of E(B-V)
_BETWEEN = 0.2  # dex in log g: the width of the step between dwarfs and giants
_HOT = 5500.0  # K; T_eff has another slope above

_FourQuantiles = Annotated[tuple[float, ...], Field(min_length=4, max_length=4)]


class LinearQuantiles(BaseModel):
    """Q quantiles, each linear in the K covariates.

    Attributes
    ----------
    low, high : K floats
        The range of the covariates among the fitted stars; covariates are clipped to it.
    intercepts : Q floats
    slopes : Q x K floats
    """

    model_config = ConfigDict(frozen=True)

    low: tuple[float, ...]
    high: tuple[float, ...]
    intercepts: tuple[float, ...]
    slopes: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        widths = {len(self.high), *map(len, self.slopes)}
        if widths != {len(self.low)} or len(self.slopes) != len(self.intercepts):
            raise ValueError("the numbers of quantiles and covariates do not match")
        return self

    def quantiles(self, x: AnyArray) -> AnyArray:
        """Return (B, Q) quantiles at (B, K) covariates."""
        xp = x.__array_namespace__()
        low, high, intercepts, slopes = (
            xp.asarray(np.array(values, dtype=np.float32))
            for values in (self.low, self.high, self.intercepts, np.transpose(self.slopes))
        )
        return xp.matmul(xp.minimum(xp.maximum(x, low), high), slopes) + intercepts


class Calibration(LinearQuantiles):
    """Quantiles of the standardised residual of [Fe/H], by `QUANTILES`.

    Attributes
    ----------
    dust_error : float
        Of [Fe/H], dex per mag of E(B-V), added to the networks' sigma; 0 for networks that are given E(B-V).
    """

    intercepts: _FourQuantiles
    dust_error: float

    def intervals(self, answers: Answers) -> dict[str, AnyArray]:
        """Return ``FEH_err`` and the limits of the intervals, dex, for B stars."""
        feh = answers["feh"]
        xp = feh.__array_namespace__()
        sigma = _sigma(answers["aleatoric"], answers["epistemic"], self.dust_error * answers["ebv"])
        z = self.quantiles(covariates(answers))
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


class FurtherCalibration(LinearQuantiles):
    """For each of `FURTHER_LABELS`, the 68 % quantile of its absolute residual in sigmas."""

    def columns(self, answers: Answers) -> dict[str, AnyArray]:
        """Return each further label and its error (half the 68 % interval), in the label's unit, by column."""
        factors = self.quantiles(covariates(answers))
        columns = {}
        for i, label in enumerate(FURTHER_LABELS):
            xp = factors.__array_namespace__()
            sigma = _sigma(answers[f"{label.name}_aleatoric"], answers[f"{label.name}_epistemic"])
            columns[label.column] = answers[label.name] * label.unit + label.centre
            columns[label.error_column] = xp.maximum(sigma * factors[:, i], _LEAST) * label.unit
        return columns


def fit_calibration(
    answers: Mapping[str, NDArray],
    feh: NDArray[np.float64],
    feh_err: NDArray[np.float64],
    fold: NDArray[np.int64],
    copies: int = 0,
    dust_error: float = 0.0,
) -> Calibration:
    """Fit the intervals to stars that the networks were not trained on.

    The quantiles are fitted to all stars; then both intervals are widened or narrowed so that they cover the original
    stars in fits that have not seen their fold (conformalised quantile regression, Romano et al. 2019,
    arXiv:1905.03222): first all intervals equally, then those predicted below -2 in proportion to how far below.

    Parameters
    ----------
    answers : mapping of (N,) arrays
        See `xpfeh.inference.answers.Answers`.
    feh, feh_err : (N,) float64
        True [Fe/H] and its error, dex; NaN where unknown, and taken as 0.
    fold : (N,) int64
        Part of the sky of each star.
    copies : int
        The N rows are the stars, followed by this number of noisier copies of them, in the same order.
    dust_error : float
        See `Calibration`.
    """
    given = {name: np.asarray(values, dtype=np.float64) for name, values in answers.items()}
    x, low, high = _clip(given)
    below, x[:, _BELOW] = x[:, _BELOW].copy(), 0.0  # its slopes are fitted last
    z = (feh - given["feh"]) / _sigma(given["aleatoric"], given["epistemic"], dust_error * given["ebv"])
    n_stars = len(z) // (1 + copies)
    weight = _LABEL_SIGMA**2 / (_LABEL_SIGMA**2 + np.square(np.nan_to_num(feh_err)))
    weight[:n_stars] *= _WEIGHT_OF_ORIGINALS

    off = np.empty((4, n_stars))  # sigmas by which the truth is beyond each limit, in a fit that has not seen it
    for left_out in np.unique(fold):
        used, judged = fold != left_out, np.flatnonzero(fold[:n_stars] == left_out)
        intercepts, slopes = fit_quantiles(x[used], z[used], weight[used], QUANTILES)
        off[:, judged] = _OUTWARD[:, None] * (z[judged] - intercepts[:, None] - slopes @ x[judged].T)
    lo95, lo68, hi68, hi95 = off
    wider = np.array([
        weighted_quantile(np.maximum(*ends), share, weight[:n_stars])
        for ends, share in zip(((lo95, hi95), (lo68, hi68)), (0.95, 0.68), strict=True)
    ])[[0, 1, 1, 0]]  # fmt: skip
    intercepts, slopes = fit_quantiles(x, z, weight, QUANTILES)
    intercepts += _OUTWARD * wider

    # Stars below -2 are too few to influence the fit to all: widen the intervals there until they cover these, too.
    poor = below[:n_stars] > 0
    if poor.sum() >= _FEWEST:
        far = np.maximum(below[:n_stars][poor], _LEAST_BELOW)
        for ends, share in zip(((0, 3), (1, 2)), (0.95, 0.68), strict=True):
            lacking = (np.maximum(*off[list(ends)][:, poor]) - wider[ends[0]]) / far
            steeper = max(0.0, weighted_quantile(lacking, share, weight[:n_stars][poor]))
            slopes[list(ends), _BELOW] += _OUTWARD[list(ends)] * steeper
    fitted = _plain(low=low, high=high, intercepts=intercepts, slopes=slopes)
    return Calibration(**fitted, dust_error=dust_error)


def fit_further(answers: Mapping[str, NDArray], labels: NDArray[np.floating], copies: int = 0) -> FurtherCalibration:
    """Fit the errors of the further labels, as `fit_calibration` does for [Fe/H].

    Parameters
    ----------
    answers, copies
        As for `fit_calibration`.
    labels : (N, L) floats
        True labels on the networks' scale, NaN where unknown.
    """
    given = {name: np.asarray(values, dtype=np.float64) for name, values in answers.items()}
    x, low, high = _clip(given)
    n_stars = len(x) // (1 + copies)
    fits = []
    for i, label in enumerate(FURTHER_LABELS):
        known = np.isfinite(labels[:, i])
        if not known.any():
            fits.append((1.0, *np.zeros(x.shape[1])))
            continue
        sigma = _sigma(given[f"{label.name}_aleatoric"], given[f"{label.name}_epistemic"])
        off = (np.abs(labels[:, i] - given[label.name]) / sigma)[known]
        original = (np.arange(len(x)) < n_stars)[known]
        weight = np.where(original, _WEIGHT_OF_ORIGINALS, 1.0)
        intercepts, slopes = fit_quantiles(x[known], off, weight, [0.68])
        lacking = off - intercepts - slopes[0] @ x[known].T  # 68 % of the original stars must be inside
        fits.append((*(intercepts + np.quantile(lacking[original], 0.68)), *slopes[0]))
    found = np.array(fits)
    return FurtherCalibration(**_plain(low=low, high=high, intercepts=found[:, 0], slopes=found[:, 1:]))


def covariates(answers: Answers) -> AnyArray:
    """Return the (B, K) numbers that the quantiles depend on.

    [Fe/H], with another slope below -2; the noise of the spectrum, to which G and S/N reduce; the ensemble's
    disagreement relative to sigma; E(B-V), with bends for a network that is given it; and T_eff and log g, if these
    were learned.
    """
    feh, ebv, epistemic = answers["feh"], answers["ebv"], answers["epistemic"]
    xp = feh.__array_namespace__()
    disagreement = xp.log((epistemic + _LEAST) / answers["aleatoric"])
    columns = [feh, xp.maximum(_POOR - feh, 0.0), xp.log(answers["noise"]), disagreement]
    if "logg" not in answers:
        return xp.stack([*columns, ebv], axis=1)
    dust = xp.log(xp.maximum(ebv, 0.0) + CLEAREST)
    bends = [xp.maximum(dust - float(np.log(bend + CLEAREST)), 0.0) for bend in _DUST_BENDS]
    teff, logg, _ = FURTHER_LABELS
    dwarf = xp.tanh((answers["logg"] - (MAX_LOGG - logg.centre) / logg.unit) / (_BETWEEN / logg.unit))
    hot = xp.maximum(answers["teff"] - (_HOT - teff.centre) / teff.unit, 0.0)
    return xp.stack([*columns, dust, *bends, answers["logg"], dwarf, answers["teff"], hot], axis=1)


def _sigma(*parts: AnyArray) -> AnyArray:
    """Return (B,) sigma before calibration: noise, disagreement and possibly dust, added in quadrature."""
    first, *others = parts
    xp = first.__array_namespace__()
    return xp.sqrt(sum((xp.square(part) for part in others), xp.square(first)))


def _clip(given: Answers) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the covariates clipped to the range of all but the outermost stars, and that range."""
    x = covariates(given)
    beyond = 100 * min(_BEYOND_SHARE, _BEYOND / len(x))
    low, high = np.percentile(x, [beyond, 100 - beyond], axis=0)
    return np.clip(x, low, high), low, high


def _plain(**arrays: NDArray[np.float64]) -> dict[str, Any]:
    return {name: values.tolist() for name, values in arrays.items()}
