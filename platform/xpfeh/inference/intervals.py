"""The distribution that calibrated intervals describe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

_Z68, _Z95 = norm.ppf([0.84, 0.975])  # upper limits of the two intervals for a normal distribution


def quantile(ends: NDArray[np.float32], normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return quantiles for stars, interpolated between the limits of their intervals along a normal distribution.

    Parameters
    ----------
    ends : (N, 5) float32
        Lower limits of the 95 % and of the 68 % interval, the median, upper limits of the 68 % and the 95 % interval.
    normal : (N, n) float32
        Which quantiles: in sigmas of a normal distribution.

    Returns
    -------
    (N, n) float32
        Extrapolated linearly beyond the 95 % interval; NaN for a star with an open interval.

    Examples
    --------
    >>> quantile(np.float32([[-1.5, -1.2, -1.0, -0.9, -0.8]]), np.float32([[0, _Z68, _Z95]])).round(3).tolist()
    [[-1.0, -0.8999999761581421, -0.800000011920929]]
    """
    lo95, lo68, middle, hi68, hi95 = ends[:, :, None].swapaxes(0, 1)  # (N, 1) each
    sigmas = np.abs(normal)
    below = normal < 0
    inner = np.where(below, lo68 - middle, hi68 - middle) / np.float32(_Z68)
    outer = np.where(below, lo95 - lo68, hi95 - hi68) / np.float32(_Z95 - _Z68)
    known = np.isfinite(ends).all(axis=1, keepdims=True)
    drawn = middle + inner * np.minimum(sigmas, np.float32(_Z68)) + outer * np.maximum(sigmas - np.float32(_Z68), 0)
    return np.where(known, drawn, np.float32(np.nan)).astype(np.float32)
