"""From 343 samples to the paper's pixels (section 2.1): medians of flux, root mean squares of errors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xpfeh.xp.grid import WAVELENGTH_NM


def edges(n_pixels: int) -> NDArray[np.intp]:
    """Return the (n_pixels + 1,) sample indices that cut the grid into ranges as even as possible.

    The paper does not give its ranges; these are ours.

    Examples
    --------
    >>> edges(60)[:4].tolist(), int(edges(60)[-1])
    ([0, 6, 11, 17], 343)
    """
    return np.round(np.linspace(0, WAVELENGTH_NM.size, n_pixels + 1)).astype(np.intp)


def centres_nm(n_pixels: int) -> NDArray[np.float64]:
    """Return the (n_pixels,) mean wavelengths of the pixels, nm.

    Examples
    --------
    >>> centres_nm(60)[:3].tolist()
    [341.0, 352.0, 363.0]
    """
    cuts = edges(n_pixels)
    return np.add.reduceat(WAVELENGTH_NM, cuts[:-1]) / np.diff(cuts)


def flux_pixels(flux: NDArray[np.float64], n_pixels: int) -> NDArray[np.float64]:
    """Return the (N, n_pixels) medians of an (N, 343) flux.

    Examples
    --------
    >>> flux_pixels(WAVELENGTH_NM[None], 60)[0, :3].tolist()
    [341.0, 352.0, 363.0]
    """
    result = np.empty((flux.shape[0], n_pixels))
    for pixels, samples in _ranges_by_width(n_pixels):
        result[:, pixels] = np.median(flux[:, samples], axis=-1)  # (N, 343) -> (N, P, width) -> (N, P)
    return result


def error_pixels(flux_error: NDArray[np.float64], n_pixels: int) -> NDArray[np.float64]:
    """Return the (N, n_pixels) root mean squares of an (N, 343) error.

    Examples
    --------
    >>> error_pixels(np.full((2, 343), 0.5), 60).shape, float(error_pixels(np.full((2, 343), 0.5), 60)[0, 0])
    ((2, 60), 0.5)
    """
    cuts = edges(n_pixels)
    return np.sqrt(np.add.reduceat(np.square(flux_error), cuts[:-1], axis=1) / np.diff(cuts))  # (N, 343) -> (N, pixels)


def normalisation(flux: NDArray[np.float64], normalise_nm: tuple[float, float]) -> NDArray[np.float64]:
    """Return the (N,) mean of an (N, 343) flux within `normalise_nm`, both ends included.

    Examples
    --------
    >>> normalisation(WAVELENGTH_NM[None], (540.0, 560.0)).tolist()
    [550.0]
    """
    inside = (WAVELENGTH_NM >= normalise_nm[0]) & (WAVELENGTH_NM <= normalise_nm[1])
    return flux[:, inside].mean(axis=1)


def _ranges_by_width(n_pixels: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield, for each width of range, its pixels (P,) and their samples (P, width).

    Ranges of one width are one array, whose medians NumPy takes at once.
    """
    cuts = edges(n_pixels)
    widths = np.diff(cuts)
    for width in np.unique(widths):
        pixels = np.flatnonzero(widths == width)
        yield pixels, cuts[pixels][:, None] + np.arange(width)
