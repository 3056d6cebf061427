"""Is a spectrum like those that the networks were trained on? Its distance from them, and how far they disagree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xpfeh.inference.answers import Answers

_FLOOR = 1e-3  # of a flux that is 1 around 550 nm: negative pixels have no logarithm
_LARGEST_RELATIVE_ERROR = 5.0  # beyond it a pixel says nothing, whatever its error
_DISAGREEMENT = 10.0  # how much disagreement counts beside distance; the product does both jobs best, LOG 2026-11-23
_USUAL_SIGMA = 0.1  # dex; the networks' own error at which disagreement begins to count
_COARSE = 60  # pixels at most: as many as a spectrum of XP's resolution has independent ones
_HEAT = 5.0  # by 100 K beyond the hottest stars the score doubles: hot stars have no lines that would tell them apart
_HOTTEST = 0.999  # of the stars with [Fe/H]
WORST = 0.01
"""Share of the validation stars that count as outside."""


class Domain(BaseModel):
    """Principal components of the training stars' log flux, in P = 60 pixels at most.

    Attributes
    ----------
    mean : P floats
    components : P x P floats
        One a row.
    variances : P floats
        Of the training stars along them.
    hottest : float, optional
        T_eff of the hottest of them with [Fe/H], on the networks' scale, if they learn T_eff.
    usual_sigma : (float, float), optional
        Of log sigma, the networks' own, of stars that they have not seen: its value at a noise of 1 and its slope along
        log noise.
    """

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    hottest: float | None = None
    usual_sigma: tuple[float, float] | None = None

    def score(self, flux: Any, flux_error: Any, answers: Answers) -> Any:
        """Return the score of B spectra.

        The distance is the root mean square of the components, each in units of what is expected: the spread of the
        training stars, and the noise of this spectrum, which is not held against it. It counts the more, the more
        the members disagree beyond what noise explains; and, of networks that learn the whole star, the hotter it is
        than any with a label, and the less they are sure than they are of stars as noisy.

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
    flux: NDArray[np.float32], whole_star: tuple[NDArray[np.float32], Mapping[str, NDArray]] | None = None
) -> Domain:
    """Return the domain of N training stars with [Fe/H].

    Parameters
    ----------
    flux : (N, pixels) float32
    whole_star : ((N,) float32, mapping of (M,) arrays), optional
        Their T_eff on the networks' scale, and the `Answers` for stars that the networks have not seen.
    """
    log_flux = np.log(np.maximum(averaged(flux), _FLOOR))
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
        variances=tuple(np.maximum(variances, 1e-12).tolist()),
        hottest=hottest,
        usual_sigma=usual_sigma,
    )


def averaged(flux: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (N, pixels) spectra in the P ranges of a `Domain`."""
    return flux.astype(np.float64) @ _means(flux.shape[1])


def _means(n_pixels: int) -> NDArray[np.float32]:
    """Return the (n_pixels, P) weights that average pixels to P ranges as even as possible."""
    cuts = np.round(np.linspace(0, n_pixels, min(n_pixels, _COARSE) + 1)).astype(np.intp)
    widths = np.diff(cuts)
    return (np.repeat(np.eye(len(widths)), widths, axis=0) / widths).astype(np.float32)
