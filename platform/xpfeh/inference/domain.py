"""Is a spectrum like those that the networks were trained on? Its distance from them, and how far they disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xpfeh.training.backend import ops

_FLOOR = 1e-3  # of a flux that is 1 around 550 nm: negative pixels have no logarithm
_LARGEST_RELATIVE_ERROR = 5.0  # beyond it a pixel says nothing, whatever its error
_DISAGREEMENT = 10.0  # how much disagreement counts beside distance; the product does both jobs best, LOG 2026-11-23
_USUAL_SIGMA = 0.1  # dex; the networks' own error at which disagreement begins to count
_COARSE = 60  # pixels at most: as many as a spectrum of XP's resolution has independent ones
WORST = 0.01
"""Share of the validation stars beyond the threshold."""


class Domain(BaseModel):
    """Principal components of the training stars' log flux, in P = 60 pixels at most.

    Attributes
    ----------
    mean : P floats
    components : P x P floats
        One a row.
    variances : P floats
        Of the training stars along them.
    threshold : float
        Score of the worst 1 % of the validation stars.
    """

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    threshold: float = float("inf")

    def check_pixels(self, n_pixels: int) -> None:
        """Raise a `ValueError` if this is not the domain of spectra of `n_pixels` pixels."""
        lengths = {len(self.mean), len(self.variances), len(self.components), *map(len, self.components)}
        if lengths != {min(n_pixels, _COARSE)}:
            raise ValueError(f"the domain is of {sorted(lengths)} pixels, not {min(n_pixels, _COARSE)}")

    def score(self, flux: Any, flux_error: Any, aleatoric: Any, epistemic: Any) -> Any:
        """Return the score of B spectra.

        The distance is the root mean square of the components, each in units of what is expected: the spread of the
        training stars, and the noise of this spectrum, which is not held against it. It counts the more, the more
        the members disagree beyond what noise explains.

        Parameters
        ----------
        flux, flux_error : (B, pixels) tensors
        aleatoric, epistemic : (B,) tensors
            As `xpfeh.inference.calibration.Calibration.intervals` takes them, dex.
        """
        means = _means(flux.shape[1])
        flux, flux_error = ops.matmul(flux, means), ops.sqrt(ops.matmul(ops.square(flux_error), means))
        log_flux = ops.log(ops.maximum(flux, _FLOOR))
        relative = ops.minimum(flux_error / ops.maximum(flux, _FLOOR), _LARGEST_RELATIVE_ERROR)
        components = np.array(self.components, dtype=np.float32)
        along = ops.matmul(log_flux - np.array(self.mean, dtype=np.float32), components.T)
        noise = ops.matmul(ops.square(relative), np.square(components).T)
        expected = np.array(self.variances, dtype=np.float32) + noise
        distance = ops.sqrt(ops.mean(ops.square(along) / expected, axis=1))
        return distance * (1 + _DISAGREEMENT * epistemic / (aleatoric + _USUAL_SIGMA))


def domain_of(flux: NDArray[np.float32]) -> Domain:
    """Return the domain of (N, pixels) training spectra, without a threshold."""
    log_flux = np.log(np.maximum(flux.astype(np.float64) @ _means(flux.shape[1]), _FLOOR))
    variances, components = np.linalg.eigh(np.cov(log_flux.T))
    return Domain(
        mean=tuple(log_flux.mean(axis=0).tolist()),
        components=tuple(map(tuple, components.T.tolist())),
        variances=tuple(np.maximum(variances, 1e-12).tolist()),
    )


def _means(n_pixels: int) -> NDArray[np.float32]:
    """Return the (n_pixels, P) weights that average pixels to P ranges as even as possible."""
    cuts = np.round(np.linspace(0, n_pixels, min(n_pixels, _COARSE) + 1)).astype(np.intp)
    widths = np.diff(cuts)
    return (np.repeat(np.eye(len(widths)), widths, axis=0) / widths).astype(np.float32)
