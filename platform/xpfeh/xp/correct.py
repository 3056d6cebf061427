"""The systematics correction of XP spectra of Huang et al. (2024, DOI 10.3847/1538-4365/ad18b1).

A spectrum is multiplied by three tabulated factors, for its colours C2 and C3 and its G magnitude. All numbers here
are those of the authors' program GaiaXPcorrection (github.com/HiromonGON/GaiaXPcorrection).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xpfeh.typing import Array
from xpfeh.xp.correction_tables import G_RANGE, CorrectionTables
from xpfeh.xp.grid import WAVELENGTH_NM

CORRECTED, OUTSIDE_VALIDITY, UNCHANGED = 0, 1, 2
"""Cautions: in the range tested by the authors; corrected, but outside that range; not corrected."""

# Samples of the grid.
_LEVEL = slice(62, 78)  # 460 to 490 nm, where spectra are normalised
_C2 = slice(27, 49), slice(49, 71)  # the blue and the red window whose difference is the colour
_C3 = slice(71, 102), slice(102, 133)
_BP_SAMPLES = 105  # the absolute correction treats these first samples as BP, the others as RP

_EXTENDED_FROM = 10.0  # the extended table is used from this G on


def correct(
    flux: NDArray,
    flux_error: NDArray,
    g_mag: NDArray,
    bp_rp: NDArray,
    ebv: NDArray,
    tables: CorrectionTables,
    absolute: bool,
) -> tuple[Array, Array, NDArray[np.uint8]]:
    """Return corrected spectra; each star's depends on that star alone, to the last bit.

    Parameters
    ----------
    flux, flux_error : (N, 343) float64
        Before dereddening, in any unit.
    g_mag, bp_rp, ebv : (N,) float64
        G, BP-RP and E(B-V), mag. BP-RP and E(B-V) only decide the caution.
    tables : CorrectionTables
    absolute : bool
        Also correct the level of BP and of RP, from G = 10 on.

    Returns
    -------
    flux, flux_error : (N, 343) float64
        New arrays, both multiplied by the same factors.
    caution : (N,) uint8
        0: corrected. 1: corrected as well, but not (or not known to be) within -0.5 < BP-RP < 2, 3 < G < 17.5,
        E(B-V) < 0.8; a G outside a table uses its nearest end. 2: unchanged, because C2 or C3 is outside its table, or
        a flux, an error, G or a factor is not finite.

    Examples
    --------
    With tables whose factors are all 2, the spectrum is multiplied by 2 for C2, for C3 and for G:

    >>> from xpfeh.xp.correction_tables import FactorTable
    >>> colour = FactorTable(-0.5, 0.7, np.full((1201, 343), 2.0))
    >>> magnitude = FactorTable(2.703, 17.4, np.full((14698, 343), 2.0))
    >>> tables = CorrectionTables(colour, colour, magnitude, magnitude, magnitude, fingerprint="")
    >>> flux, mag = np.ones((1, 343)), np.array([8.0])
    >>> corrected, _, caution = correct(flux, 0.01 * flux, mag, np.array([1.0]), np.array([0.1]), tables, False)
    >>> float(corrected[0, 0]), caution.tolist()
    (8.0, [0])
    """
    flux = np.array(flux, dtype=np.float64, order="C")
    flux_error = np.array(flux_error, dtype=np.float64, order="C")
    g_mag, bp_rp, ebv = (np.asarray(values, dtype=np.float64) for values in (g_mag, bp_rp, ebv))
    finite = np.isfinite(flux).all(axis=1) & np.isfinite(flux_error).all(axis=1) & np.isfinite(g_mag)
    stars = np.flatnonzero(finite)  # the stars still to be corrected; each check below removes some
    c2, c3 = colours(flux[stars], flux_error[stars])
    inside = tables.c2.holds(c2) & tables.c3.holds(c3)
    stars = stars[inside]
    factor = tables.c2.at(c2[inside])  # (stars,) -> (stars, 343)
    factor *= tables.c3.at(c3[inside])
    factor *= _magnitude_factor(g_mag[stars], tables, absolute)
    known = np.isfinite(factor).all(axis=1)
    stars, factor = stars[known], factor[known]
    flux[stars] *= factor
    flux_error[stars] *= factor
    caution = np.full(len(flux), UNCHANGED, dtype=np.uint8)
    tested = (bp_rp > -0.5) & (bp_rp < 2) & (g_mag > 3) & (g_mag < 17.5) & (ebv < 0.8)
    caution[stars] = np.where(tested[stars], CORRECTED, OUTSIDE_VALIDITY)
    return flux, flux_error, caution


def colours(flux: Array, flux_error: Array) -> tuple[Array, Array]:
    """Return C2 and C3 of N spectra, slopes of the normalised flux.

    Parameters
    ----------
    flux, flux_error : (N, 343) float64
        Any unit, rows contiguous.

    Returns
    -------
    c2, c3 : (N,) float64
        Per 1000 Angstrom; not finite where they are undefined.

    Examples
    --------
    A flux that rises by 10 % of its value at 475 nm in every 1000 Angstrom has colours of about 0.1:

    >>> flux = 1 + 0.1 * (WAVELENGTH_NM[None] - 475) / 100
    >>> c2, c3 = colours(flux, 0.01 * flux)
    >>> c2.round(3).tolist(), c3.round(3).tolist()
    ([0.1], [0.1])
    """
    with np.errstate(all="ignore"):
        level = flux[:, _LEVEL].mean(axis=1)[:, None]  # (N, 343) -> (N, 1)
        level_error = np.sqrt(np.square(flux_error[:, _LEVEL]).sum(axis=1))[:, None] / (_LEVEL.stop - _LEVEL.start)
        level_variance = np.square(level_error / level)

        def window_mean(window: slice) -> Array:
            """Weighted by (relative error)^-4: np.polyfit's weights, (relative error)^-2, apply to the residual."""
            weight = 1 / np.square(np.square(flux_error[:, window] / flux[:, window]) + level_variance)
            return (weight * (flux[:, window] / level)).sum(axis=1) / weight.sum(axis=1)

        c2, c3 = ((window_mean(blue) - window_mean(red)) / _distance(blue, red) for blue, red in (_C2, _C3))
    return c2, c3


def _distance(blue: slice, red: slice) -> float:
    """Return the distance between the centres of two windows, 1000 Angstrom; negative."""
    return float(WAVELENGTH_NM[blue].mean() - WAVELENGTH_NM[red].mean()) / 100


def _magnitude_factor(g_mag: Array, tables: CorrectionTables, absolute: bool) -> Array:
    """Return the (N, 343) factors of (N,) finite magnitudes."""
    factor = tables.bright.at(np.clip(g_mag, *G_RANGE["bright"]))
    faint = np.flatnonzero(g_mag >= _EXTENDED_FROM)
    # The extended table has only the shape; its rows are multiplied by the level from the bright one.
    level = factor[faint][:, _LEVEL].mean(axis=1)[:, None]
    factor[faint] = tables.extended.at(np.clip(g_mag[faint], *G_RANGE["extended"])) * level
    if absolute:
        bands = tables.bands.at(np.clip(g_mag[faint], *G_RANGE["bands"]))
        factor[faint] *= np.repeat(bands, (_BP_SAMPLES, WAVELENGTH_NM.size - _BP_SAMPLES), axis=1)  # (F, 2) -> (F, 343)
    return factor
