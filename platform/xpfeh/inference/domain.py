"""Is a spectrum like those the networks were trained on? Its distance from them, and the networks' disagreement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xpfeh.inference.answers import Answers

_FLOOR = 1e-3  # of a flux that is 1 around 550 nm: negative pixels have no logarithm
_LARGEST_RELATIVE_ERROR = 5.0  # beyond it a pixel has no information, whatever its error
_DISAGREEMENT = 10.0  # weight of disagreement relative to distance; the product serves both best, LOG 2026-11-23
_USUAL_SIGMA = 0.1  # dex; the networks' own error at which disagreement begins to count
_COARSE = 60  # pixels at most: the number of independent ones at XP's resolution
_HEAT = 5.0  # the score doubles 100 K beyond the hottest stars: hot stars have no lines that would reveal them
_HOTTEST = 0.999  # quantile of T_eff among the stars with [Fe/H]
WORST = 0.01
"""Share of the validation stars that count as outside."""


class Domain(BaseModel):
    """Principal components of the training stars' log flux, in at most P = 60 pixels.

    Attributes
    ----------
    mean : P floats
    components : P x P floats
        One per row.
    variances : P floats
        Of the training stars along the components.
    hottest : float, optional
        T_eff of the hottest training stars with [Fe/H], on the networks' scale, if they learn T_eff.
    usual_sigma : (float, float), optional
        Log of the networks' own sigma for stars that they have not seen: its value at a noise of 1, and its slope
        along log noise.
    """

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    hottest: float | None = None
    usual_sigma: tuple[float, float] | None = None

    def score(self, flux: Any, flux_error: Any, answers: Answers) -> Any:
        """Return the scores of B spectra.

        The distance is the root mean square of the components, each in units of the expected scatter: the spread of
        the training stars plus the noise of this spectrum. It is multiplied by the members' disagreement beyond what
        noise explains. If the networks also learn the further labels, it is multiplied further for a star hotter than
        any with [Fe/H], and where sigma is larger than for equally noisy stars.

        Parameters
        ----------
        flux, flux_error : (B, pixels) arrays
        answers : mapping of (B,) arrays
        """
        xp = flux.__array_namespace__()
        components, mean, variances = (
            np.array(values, dtype=np.float32) for values in (self.components, self.mean, self.variances)
        )
        means = xp.asarray(_means(flux.shape[1]))
        flux, flux_error = xp.matmul(flux, means), xp.sqrt(xp.matmul(xp.square(flux_error), means))
        log_flux = xp.log(xp.maximum(flux, _FLOOR))
        relative = xp.minimum(flux_error / xp.maximum(flux, _FLOOR), _LARGEST_RELATIVE_ERROR)
        along = xp.matmul(log_flux - xp.asarray(mean), xp.asarray(components.T))
        noise = xp.matmul(xp.square(relative), xp.asarray(np.square(components).T))
        distance = xp.sqrt(xp.mean(xp.square(along) / (xp.asarray(variances) + noise), axis=1))
        score = distance * (1 + _DISAGREEMENT * answers["epistemic"] / (answers["aleatoric"] + _USUAL_SIGMA))
        if self.hottest is not None:
            score = score * (1 + _HEAT * xp.maximum(answers["teff"] - self.hottest, 0.0))
        if self.usual_sigma is not None:
            at_1, slope = self.usual_sigma
            score = score * xp.square(answers["aleatoric"] / xp.exp(at_1 + slope * xp.log(answers["noise"])))
        return score


def domain_of(
    flux: NDArray[np.floating], whole_star: tuple[NDArray[np.float32], Mapping[str, NDArray]] | None = None
) -> Domain:
    """Return the domain of N training stars with [Fe/H].

    Parameters
    ----------
    flux : (N, pixels) floats
        Or already in the P ranges.
    whole_star : ((N,) float32, mapping of (M,) arrays), optional
        Their T_eff on the networks' scale, and the `Answers` for stars that the networks have not seen.
    """
    log_flux = np.log(np.maximum(to_ranges(flux), _FLOOR))
    variances, components = np.linalg.eigh(np.cov(log_flux.T))
    hottest = usual_sigma = None
    if whole_star:
        teff, answers = whole_star
        hottest = float(np.nanquantile(teff, _HOTTEST)) if np.isfinite(teff).any() else None
        slope, at_1 = np.polyfit(np.log(answers["noise"]), np.log(answers["aleatoric"]), 1)
        usual_sigma = (float(at_1), float(slope))
    return Domain(
        mean=tuple(log_flux.mean(axis=0).tolist()),
        components=tuple(map(tuple, components.T.tolist())),
        variances=tuple(np.maximum(variances, 1e-12).tolist()),  # rounding can make the smallest negative
        hottest=hottest,
        usual_sigma=usual_sigma,
    )


def to_ranges(flux: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (N, pixels) spectra averaged over the P ranges of a `Domain`."""
    return flux.astype(np.float64) @ _means(flux.shape[1])


def _means(n_pixels: int) -> NDArray[np.float32]:
    """Return the (n_pixels, P) weights that average pixels over P ranges of nearly equal width."""
    cuts = np.round(np.linspace(0, n_pixels, min(n_pixels, _COARSE) + 1)).astype(np.intp)
    widths = np.diff(cuts)
    return (np.repeat(np.eye(len(widths)), widths, axis=0) / widths).astype(np.float32)
