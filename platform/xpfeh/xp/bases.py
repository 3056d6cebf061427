"""The bases in which Gaia gives XP spectra, sampled in absolute flux, for each data release.

The number of coefficients is a property of the release: 55 and 55 in DR3, 51 (BP) and 55 (RP) in DR4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.files import package_file
from xpfeh.xp.grid import WAVELENGTH_NM

BANDS = ("bp", "rp")
_BP_END_NM, _RP_BEGIN_NM = 643.0, 635.0  # gaiaxpy/core/satellite.py

Arrays = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Release:
    """What a data release fixes: coefficients a band, and GaiaXPy's models of it (None: GaiaXPy has none)."""

    n_coefficients: dict[str, int]
    models: dict[str, str] | None


# The models of DR3 are the defaults of `gaiaxpy.calibrate` (gaiaxpy/calibrator/calibrator.py). The coefficients of DR4
# are those that ESA announces for December 2026.
RELEASES = {
    "dr3": Release({"bp": 55, "rp": 55}, {"bp": "v375wi", "rp": "v142r"}),
    "dr4": Release({"bp": 51, "rp": 55}, None),
}


@dataclass(frozen=True)
class Band:
    """A band's sampled bases where the band contributes.

    Attributes
    ----------
    samples : (S,) bool
        The samples of the grid that the band contributes to; P of them are.
    alone : (S,) bool
        Those that it can give by itself, when the other band is missing.
    weight : (P,) float64
        Its merge weight at its P samples.
    basis : (n, P) float64
        Flux (W m-2 nm-1) at its samples of each of its n basis functions.
    pairs : (n (n + 1) / 2, P) float64
        What turns packed covariances (row by row of the lower triangle, diagonal included) into variances of flux:
        ``D_i D_j``, twice off the diagonal.
    """

    samples: NDArray[np.bool_]
    alone: NDArray[np.bool_]
    weight: NDArray[np.float64]
    basis: NDArray[np.float64]
    pairs: NDArray[np.float64]


def release_of(n_bp: int, n_rp: int) -> str:
    """Return the data release whose spectra have so many coefficients a band.

    Raises
    ------
    UserError
        If no known release has.

    Examples
    --------
    >>> release_of(55, 55), release_of(51, 55)
    ('dr3', 'dr4')
    """
    for name, release in RELEASES.items():
        if release.n_coefficients == {"bp": n_bp, "rp": n_rp}:
            return name
    known = "; ".join(f"{name}: {r.n_coefficients['bp']} and {r.n_coefficients['rp']}" for name, r in RELEASES.items())
    raise UserError(f"{n_bp} BP and {n_rp} RP coefficients belong to no known release ({known})")


@lru_cache(maxsize=8)
def load_bands(release: str, wavelength_nm: tuple[float, ...] | None = None) -> dict[str, Band]:
    """Return the bands of a release on the default grid of 343 samples, or on a grid of one's own.

    Parameters
    ----------
    release : {"dr3", "dr4"}
    wavelength_nm : tuple of float, optional
        Increasing wavelengths, nm, evaluated with GaiaXPy's instrument model.

    Raises
    ------
    UserError
        If the installed GaiaXPy has no bases of that release.

    Examples
    --------
    >>> bp = load_bands("dr3")["bp"]
    >>> n_coefficients, n_samples = bp.basis.shape
    >>> n_coefficients, bp.samples.size, bool(n_samples == bp.samples.sum())
    (55, 343, True)
    """
    models = RELEASES[release].models
    if models is None:
        raise UserError(f"the installed GaiaXPy has no bases for {release.upper()}; upgrade gaiaxpy when it has them")
    if wavelength_nm is None:
        bases, weights = _default_sampling(models)
        grid = WAVELENGTH_NM
    else:
        bases, weights = _own_sampling(models, np.array(wavelength_nm))
        grid = np.array(wavelength_nm)
    return {band: _band(band, bases[band], weights[band], grid) for band in BANDS}


def _band(name: str, basis: NDArray[np.float64], weight: NDArray[np.float64], grid: NDArray[np.float64]) -> Band:
    alone = grid < _BP_END_NM if name == "bp" else grid > _RP_BEGIN_NM
    samples = alone | (weight > 0)
    basis_there = np.ascontiguousarray(basis[:, samples])  # (n, S) -> (n, P)
    return Band(samples=samples, alone=alone, weight=weight[samples], basis=basis_there, pairs=_pairs(basis_there))


def _pairs(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = np.tril_indices(len(basis))
    pairs = basis[rows] * basis[columns]  # (n, P) -> (n (n + 1) / 2, P)
    pairs[rows != columns] *= 2  # a packed covariance off the diagonal stands for two elements of the matrix
    return pairs


def _default_sampling(models: dict[str, str]) -> tuple[Arrays, Arrays]:
    """Read them from GaiaXPy's file: to import GaiaXPy takes seconds, and turns LaTeX on in Matplotlib."""
    path = package_file("gaiaxpy", f"config/filters/XpFilter_{models['bp']}{models['rp']}.xml")
    root = ElementTree.parse(path).getroot()

    def numbers(tag: str) -> NDArray[np.float64]:
        return np.array([float(element.text or "nan") for element in root.iterfind(tag)])

    bases = {band: numbers(f"XpSampling/{band}SampledBases/*").reshape(WAVELENGTH_NM.size, -1).T for band in BANDS}
    return bases, {band: numbers(f"XpMerge/{band}Weights/*") for band in BANDS}


def _own_sampling(models: dict[str, str], grid: NDArray[np.float64]) -> tuple[Arrays, Arrays]:
    from gaiaxpy.calibrator import calibrator  # see `_default_sampling`

    # GaiaXPy has no public function for this; `vars` reaches the private one of gaiaxpy/calibrator/calibrator.py.
    make: Callable[..., tuple[dict, dict]] = vars(calibrator)["__generate_xp_matrices_and_merge"]
    bases, weights = make("calibrator", grid, models["bp"], models["rp"])
    return _by_band({band: bases[band].get_design_matrix() for band in bases}), _by_band(weights)


def _by_band(gaiaxpys: dict[Any, Any]) -> Arrays:
    """Return GaiaXPy's arrays by "bp" and "rp"; its own keys are strings in one place and an enumeration in another."""
    return {str(band).lower()[-2:]: np.asarray(values, dtype=np.float64) for band, values in gaiaxpys.items()}
