"""The cost-sensitive Gaussian likelihood (paper Eqs. 8 to 12)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpfeh.training.backend import ops

_COLOURS = (0.7, 1.9)
"""(BP-RP)0 of the paper's stars, mag. Dwarfs, and stars with wrong dust in the map, count in the outermost bins."""


def cost_weights(
    bp_rp0: NDArray[np.float64], feh: NDArray[np.float64], bins: tuple[int, int], gamma: float
) -> NDArray[np.float32]:
    """Return each training star's cost, ``(f / max f)^-gamma`` (Eq. 11), scaled to mean 1.

    Parameters
    ----------
    bp_rp0, feh : (N,) float64
        (BP-RP)0 in mag and [Fe/H] in dex of the training stars.
    bins : (int, int)
        Numbers of equal bins that span the training stars' range in (BP-RP)0 and in [Fe/H].
    gamma : float
        How much more rare stars cost; 0 weighs all equally.
    """
    colour = np.clip(np.nan_to_num(bp_rp0, nan=_COLOURS[0]), *_COLOURS)
    frequency, colour_edges, feh_edges = np.histogram2d(colour, feh, bins=bins)
    colour_bin = np.clip(np.searchsorted(colour_edges, colour, side="right") - 1, 0, bins[0] - 1)
    feh_bin = np.clip(np.searchsorted(feh_edges, feh, side="right") - 1, 0, bins[1] - 1)
    cost = (frequency[colour_bin, feh_bin] / frequency.max()) ** -gamma
    return (cost / cost.mean()).astype(np.float32)


def feh_losses(mean: Any, sigma: Any, feh: Any, feh_error: Any, cost: Any, beta: float) -> Any:
    """Return each member's mean cost over a batch (Eq. 12), without the constant of the Gaussian.

    Parameters
    ----------
    mean, sigma, feh, feh_error, cost : (E, B) tensors
        The label's own error is not the network's fault: it adds to the variance of the residual.
    beta : float
        Weigh each star by ``sigma^(2 beta)`` with its gradient stopped (Seitzer et al. 2022, arXiv:2203.09168);
        0 is the paper's likelihood.
    """
    variance = ops.square(sigma) + ops.square(feh_error)
    likelihood = ops.square(feh - mean) / (2 * variance) + ops.log(variance) / 2
    if beta:
        likelihood = likelihood * ops.stop_gradient(sigma ** (2 * beta))
    return ops.mean(cost * likelihood, axis=-1)


def further_losses(mean: Any, sigma: Any, labels: Any) -> Any:
    """Return each member's mean squared error of the further labels, plus a term that trains their sigmas.

    In a Gaussian likelihood stars of large sigma would count less; here sigma is trained on the residuals without
    influencing the means.

    Parameters
    ----------
    mean, sigma : (E, B, L) tensors
    labels : (E, B, L) tensor
        On the networks' scale; NaN where unknown, and without cost.
    """
    known = ops.isfinite(labels)
    square = ops.where(known, ops.square(ops.where(known, labels, 0.0) - mean), 0.0)
    for_sigma = ops.where(known, ops.stop_gradient(square) / (2 * ops.square(sigma)) + ops.log(sigma), 0.0)
    return ops.mean(ops.sum(square + for_sigma, axis=-1), axis=-1)
