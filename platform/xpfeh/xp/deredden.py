"""Dereddening with the XP extinction curve of Zhang et al. (2024, DOI 10.3847/1538-4357/ad613e)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from xpfeh.files import package_file
from xpfeh.typing import Array
from xpfeh.xp.grid import WAVELENGTH_NM

R55 = 2.730
"""A(55) / E(44-55) of the curve, as in the authors' program (PyPI ``XP-Extinction-Toolkit``)."""


def e4455(ebv: Array) -> Array:
    """Return E(44-55) in magnitudes from raw SFD98 E(B-V), (N,) both (paper Eq. 1; 1.1 x 10^-3, not 1.1 e^-3).

    Examples
    --------
    >>> e4455(np.array([0.0, 1.0])).tolist()
    [0.0011, 0.9621]
    """
    return 0.961 * ebv + 0.0011


def attenuation(ebv: Array) -> Array:
    """Return the factor by which dust dims each star at each wavelength.

    Parameters
    ----------
    ebv : (N,) float64
        Raw SFD98 E(B-V), magnitudes.

    Returns
    -------
    (N, 343) float64
        ``10^(-0.4 A(lambda))`` on `xpfeh.xp.grid.WAVELENGTH_NM`: divide a spectrum and its errors by it
        to deredden them.

    Examples
    --------
    >>> attenuation(np.array([0.0, 0.3]))[:, WAVELENGTH_NM == 550].round(3).tolist()
    [[0.997], [0.484]]
    """
    return np.exp(np.multiply.outer(-0.4 * np.log(10.0) * R55 * e4455(ebv), _curve()))  # (N,), (343,) -> (N, 343)


@lru_cache(maxsize=1)
def _curve() -> Array:
    """Return A(lambda) / A(55) on the sampled grid (343,), from k(lambda - 55) of the published table."""
    path = package_file("xp_extinction_toolkit", "XP_extinction_curve.csv")
    wave_nm, k = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(1, 2), unpack=True)
    return np.interp(WAVELENGTH_NM, wave_nm, k) / R55 + 1.0
