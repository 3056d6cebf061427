"""The bases of Gaia's XP spectra, sampled in absolute flux, for each data release: GaiaXPy's."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.files import first_line, package_file, package_folder
from xpfeh.releases import RELEASES
from xpfeh.typing import Array
from xpfeh.xp.grid import WAVELENGTH_NM

BANDS = ("bp", "rp")
GAIAXPY = "gaiaxpy"
_BP_END_NM, _RP_BEGIN_NM = 643.0, 635.0  # gaiaxpy/core/satellite.py

Arrays = dict[str, Array]


@dataclass(frozen=True)
class Band:
    """A band's sampled bases where the band contributes.

    Attributes
    ----------
    samples : (S,) bool
        The samples of the grid that the band contributes to; P of them are.
    alone : (S,) bool
        Samples that it covers by itself, when the other band is missing.
    weight : (P,) float64
        Its merge weight at its P samples.
    basis : (n, P) float64
        Flux (W m-2 nm-1) of each of its n basis functions at its samples.
    pairs : (n (n + 1) / 2, P) float64
        Converts packed covariances (lower triangle row by row, with its diagonal) into variances of flux: ``D_i D_j``,
        twice off the diagonal.
    """

    samples: NDArray[np.bool_]
    alone: NDArray[np.bool_]
    weight: Array
    basis: Array
    pairs: Array


@lru_cache(maxsize=8)
def load_bands(release: str, bases: str = GAIAXPY, wavelength_nm: tuple[float, ...] | None = None) -> dict[str, Band]:
    """Return the bands of a release on the default grid of 343 samples, or on the user's own grid.

    Parameters
    ----------
    release : {"dr3", "dr4"}
    bases : str
        ``gaiaxpy``, or a folder with GaiaXPy's file ``XpFilter_*.xml`` for that release.
    wavelength_nm : tuple of float, optional
        Increasing wavelengths, nm, evaluated with GaiaXPy's instrument model.

    Raises
    ------
    UserError
        If there are no bases for that release.

    Examples
    --------
    >>> bp = load_bands("dr3")["bp"]
    >>> n_coefficients, n_samples = bp.basis.shape
    >>> n_coefficients, bp.samples.size, bool(n_samples == bp.samples.sum())
    (55, 343, True)
    """
    if wavelength_nm is None:
        sampled, weights = _sampling(release, bases)
        grid = WAVELENGTH_NM
    else:
        models = RELEASES[release].models
        if models is None or bases != GAIAXPY:
            raise UserError(f"your own sampling needs the models of GaiaXPy, which has none for {release.upper()}")
        grid = np.array(wavelength_nm)
        sampled, weights = _own_sampling(models, grid)
    return {band: _band(band, sampled[band], weights[band], grid) for band in BANDS}


def _sampling(release: str, bases: str) -> tuple[Arrays, Arrays]:
    """Return sampled bases and weights by band, from the file with the default grid."""
    known = RELEASES[release]
    if bases != GAIAXPY:
        folder = Path(bases)
        found = sorted(folder.glob("XpFilter_*.xml"))
        if len(found) != 1:
            raise UserError(f"bases={bases}: {len(found)} files XpFilter_*.xml there; one of {known.title} is needed")
        sampled, weights = _read_sampling(found[0])
        if _numbers(sampled) != known.n_coefficients:
            raise UserError(
                f"{found[0]}: has {_numbers(sampled)} basis functions, {known.title} {known.n_coefficients}"
            )
        return sampled, weights
    if known.models:
        name = f"XpFilter_{known.models['bp']}{known.models['rp']}.xml"
        return _read_sampling(package_file("gaiaxpy", f"config/filters/{name}"))
    others = {f"XpFilter_{r.models['bp']}{r.models['rp']}.xml" for r in RELEASES.values() if r.models}
    for path in sorted(package_folder("gaiaxpy", "config/filters").glob("XpFilter_v*.xml")):
        if path.name not in others:
            sampled, weights = _read_sampling(path)
            if _numbers(sampled) == known.n_coefficients:
                return sampled, weights
    raise UserError(
        f"the installed GaiaXPy has no bases for {known.title}: pip install --upgrade --pre gaiaxpy, or set "
        "bases=DIR with its file XpFilter_*.xml"
    )


def _band(name: str, basis: Array, weight: Array, grid: Array) -> Band:
    alone = grid < _BP_END_NM if name == "bp" else grid > _RP_BEGIN_NM
    samples = alone | (weight > 0)
    basis_there = np.ascontiguousarray(basis[:, samples])  # (n, S) -> (n, P)
    return Band(samples=samples, alone=alone, weight=weight[samples], basis=basis_there, pairs=_pairs(basis_there))


def _pairs(basis: Array) -> Array:
    rows, columns = np.tril_indices(len(basis))
    pairs = basis[rows] * basis[columns]  # (n, P) -> (n (n + 1) / 2, P)
    pairs[rows != columns] *= 2  # a packed covariance off the diagonal represents two elements of the matrix
    return pairs


def _read_sampling(path: Path) -> tuple[Arrays, Arrays]:
    """Read them from GaiaXPy's file: importing GaiaXPy takes seconds, and turns on LaTeX in Matplotlib."""
    try:
        root = ElementTree.parse(path).getroot()
        weights = {band: numbers(root, f"XpMerge/{band}Weights/*") for band in BANDS}
        if sizes := {weight.size for weight in weights.values()} - {WAVELENGTH_NM.size}:
            raise UserError(
                f"{path}: its bases are sampled at {sizes.pop()} wavelengths, xpfeh's grid has {WAVELENGTH_NM.size} "
                "(docs/dr4.md, Another grid)"
            )
        sampled = {band: numbers(root, f"XpSampling/{band}SampledBases/*") for band in BANDS}
        bases = {band: values.reshape(WAVELENGTH_NM.size, -1).T for band, values in sampled.items()}
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise UserError(f"{path}: not GaiaXPy's file of sampled bases ({first_line(error)})") from None
    return bases, weights


def numbers(root: ElementTree.Element, tag: str) -> Array:
    """Return the numbers in the elements of a path in one of GaiaXPy's XML files.

    Examples
    --------
    >>> numbers(ElementTree.fromstring("<config><a><v>1</v><v>2</v></a></config>"), "a/*").tolist()
    [1.0, 2.0]
    """
    return np.array([float(element.text or "nan") for element in root.iterfind(tag)])


def _numbers(bases: Arrays) -> dict[str, int]:
    return {band: len(bases[band]) for band in BANDS}


def _own_sampling(models: dict[str, str], grid: Array) -> tuple[Arrays, Arrays]:
    from gaiaxpy.calibrator import calibrator  # see `_read_sampling`

    # GaiaXPy has no public function for this; `vars` reaches the private one of gaiaxpy/calibrator/calibrator.py.
    make: Callable[..., tuple[dict, dict]] = vars(calibrator)["__generate_xp_matrices_and_merge"]
    with redirect_stdout(io.StringIO()):  # it reports which files it reads
        bases, weights = make("calibrator", grid, models["bp"], models["rp"])
    return _by_band({band: bases[band].get_design_matrix() for band in bases}), _by_band(weights)


def _by_band(gaiaxpys: dict[Any, Any]) -> Arrays:
    """Return GaiaXPy's arrays by "bp" and "rp"; its keys are strings in one place and an enumeration in another."""
    return {str(band).lower()[-2:]: np.asarray(values, dtype=np.float64) for band, values in gaiaxpys.items()}
