"""The one way from raw columns to features: every path of the platform goes through here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.flags import Flag
from xpfeh.settings import PreprocessSettings
from xpfeh.xp import dust, photometry, pixels
from xpfeh.xp.bases import BANDS, release_of
from xpfeh.xp.calibrate import calibrate, pixel_errors
from xpfeh.xp.correct import correct, correction_tables
from xpfeh.xp.deredden import attenuation

LOW_SN = 10.0
FAINT_MAG = 15.0
HIGH_EBV = 0.5


Columns = Mapping[str, NDArray]


def preprocess(raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Turn raw columns into features (paper section 2.1).

    Each star's result depends on that star alone: neither the order nor the size of a batch changes a bit.

    Parameters
    ----------
    raw : mapping of arrays, N stars
        ``source_id`` int64, ``ra``, ``dec`` (deg), ``phot_g_mean_mag``, ``phot_bp_mean_mag``,
        ``phot_rp_mean_mag`` (mag), ``phot_bp_rp_excess_factor``, ``rgeo`` (pc), NaN where unknown; and either the
        coefficients that `xpfeh.xp.calibrate.calibrate` takes, or sampled ``flux`` and ``flux_error`` (N, 343) in
        W m-2 nm-1.
    settings : PreprocessSettings

    Returns
    -------
    dict of arrays, N stars
        The columns of `xpfeh.columns.features_schema`. A star that cannot be predicted keeps its row,
        with NaN pixels and a flag.
    """
    spectrum = dereddened(raw, settings)
    ebv = spectrum["ebv"]
    flux, flux_error = _pixel_spectrum(raw, spectrum, settings)
    g_mag = raw["phot_g_mean_mag"].astype(np.float64)
    bp_rp = raw["phot_bp_mean_mag"].astype(np.float64) - raw["phot_rp_mean_mag"]
    bp_rp0 = bp_rp - (settings.r_bp - settings.r_rp) * ebv
    g0 = g_mag - settings.r_g * ebv
    m_g = photometry.absolute_magnitude(g_mag, settings.r_g * ebv, raw["rgeo"])
    features = {
        "source_id": raw["source_id"],
        "ra": raw["ra"],
        "dec": raw["dec"],
        "l": spectrum["l"],
        "b": spectrum["b"],
        "phot_g_mean_mag": g_mag,
        "bp_rp": bp_rp,
        "bp_rp0": bp_rp0,
        "g0": g0,
        "phot_bp_rp_excess_factor": raw["phot_bp_rp_excess_factor"],
        "ebv": ebv,
        "rgeo": raw["rgeo"],
        "m_g": m_g,
        "flux": flux,
        "flux_error": flux_error,
    }
    return {**features, "flags": _flags(features, settings) | spectrum["spectrum_flags"]}


def sampled(raw: Columns) -> dict[str, NDArray]:
    """Return ``flux``, ``flux_error`` (N, 343; W m-2 nm-1) and ``spectrum_flags`` (N,) uint32 before any correction."""
    if "flux" in raw:
        return {
            "flux": raw["flux"],
            "flux_error": raw["flux_error"],
            "spectrum_flags": _no_flags(len(raw["source_id"])),
        }
    widths = [raw[f"{band}_coefficients"].shape[1] for band in BANDS]
    flux, flux_error = calibrate(raw, release_of(*widths))
    missing, uncorrelated = np.zeros((2, len(flux)), dtype=bool)
    for band in BANDS:
        absent = np.isnan(raw[f"{band}_coefficients"][:, 0])
        missing |= absent
        uncorrelated |= ~absent & np.isnan(raw[f"{band}_coefficient_correlations"][:, 0])
    flags = _set(missing, Flag.MISSING_BAND) | _set(uncorrelated, Flag.NO_CORRELATIONS)
    return {"flux": flux, "flux_error": flux_error, "spectrum_flags": flags}


def corrected(raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Return `sampled` with the systematics corrected as set, and ``l``, ``b`` (deg) and ``ebv`` (mag) of the stars."""
    _check_release(raw, settings)
    spectrum = sampled(raw)
    position = SkyCoord(raw["ra"] * u.deg, raw["dec"] * u.deg).galactic
    ebv = dust.ebv(position.l.deg, position.b.deg, settings.dust_map)
    place = {"l": position.l.deg, "b": position.b.deg, "ebv": ebv}
    if settings.correction == "uncorrected":
        return {**spectrum, **place}
    bp_rp = raw["phot_bp_mean_mag"] - raw["phot_rp_mean_mag"]
    absolute = settings.correction == "huang2024-absolute"
    flux, flux_error, caution = correct(
        spectrum["flux"], spectrum["flux_error"], raw["phot_g_mean_mag"], bp_rp, ebv, correction_tables(), absolute
    )
    flags = spectrum["spectrum_flags"] | _set(caution > 0, Flag.CORRECTION_RANGE)
    return {"flux": flux, "flux_error": flux_error, "spectrum_flags": flags, **place}


def dereddened(raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Return `corrected` with the dust taken off."""
    spectrum = corrected(raw, settings)
    dimming = attenuation(spectrum["ebv"])
    return {**spectrum, **{name: spectrum[name] / dimming for name in ("flux", "flux_error")}}


def _pixel_spectrum(
    raw: Columns, spectrum: Columns, settings: PreprocessSettings
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Resample and normalise; a star that cannot be normalised becomes NaN."""
    flux, flux_error = spectrum["flux"], spectrum["flux_error"]
    scale = pixels.normalisation(flux, settings.normalise_nm)
    usable = np.isfinite(flux).all(axis=1) & np.isfinite(flux_error).all(axis=1) & (flux_error > 0).all(axis=1)
    scale = np.where(usable & (scale > 0), scale, np.nan)[:, None]
    if settings.pixel_error == "rms":
        error = pixels.error_pixels(flux_error, settings.n_pixels)
    else:
        error = _exact_pixel_errors(raw, spectrum["ebv"], settings)
    return (pixels.flux_pixels(flux, settings.n_pixels) / scale).astype(np.float32), (error / scale).astype(np.float32)


def _check_release(raw: Columns, settings: PreprocessSettings) -> None:
    if "flux" in raw:
        return
    found = release_of(*(raw[f"{band}_coefficients"].shape[1] for band in BANDS))
    if found != settings.release:
        raise UserError(
            f"these spectra are of {found.upper()}, the settings say {settings.release.upper()}; use --set "
            f"release={found}, and a model trained on spectra of that release"
        )


def _exact_pixel_errors(raw: Columns, ebv: NDArray[np.float64], settings: PreprocessSettings) -> NDArray[np.float64]:
    """Errors of the pixels' means; the dust of a pixel is that of the mean over its samples."""
    if "bp_coefficients" not in raw:
        raise UserError(
            "pixel_error=exact needs coefficients and their correlations; these spectra are sampled already"
        )
    cuts = pixels.edges(settings.n_pixels)
    dimming = np.add.reduceat(attenuation(ebv), cuts[:-1], axis=1) / np.diff(cuts)
    return pixel_errors(raw, settings.release, cuts) / dimming


def _flags(star: Mapping[str, NDArray], settings: PreprocessSettings) -> NDArray[np.uint32]:
    bp_rp0, m_g, excess = star["bp_rp0"], star["m_g"], star["phot_bp_rp_excess_factor"]
    z_pc = photometry.height_pc(star["rgeo"], star["b"], settings.sun_height_pc)
    known_colour, known_excess, known_distance = np.isfinite(bp_rp0), np.isfinite(excess), np.isfinite(m_g)
    with np.errstate(invalid="ignore"):
        signal_to_noise = np.median(star["flux"] / star["flux_error"], axis=1)
    conditions = {
        Flag.BAD_SPECTRUM: np.isnan(star["flux"]).any(axis=1) & np.isfinite(star["ebv"]),
        Flag.NO_DUST: ~np.isfinite(star["ebv"]),
        Flag.COLOUR_RANGE: known_colour & ~photometry.passes_colour(bp_rp0),
        Flag.NOT_GIANT: known_colour & known_distance & ~photometry.passes_giant(m_g, bp_rp0),
        Flag.NEAR_PLANE: known_distance & ~photometry.passes_height(z_pc),
        Flag.BAD_PHOTOMETRY: known_colour & known_excess & ~photometry.passes_excess_factor(excess, bp_rp0),
        Flag.CUT_NOT_EVALUATED: ~(known_colour & known_excess & known_distance),
        Flag.HIGH_EXTINCTION: star["ebv"] >= HIGH_EBV,
        Flag.FAINT: star["phot_g_mean_mag"] > FAINT_MAG,
        Flag.LOW_SN: signal_to_noise < LOW_SN,
        Flag.NO_PHOTOMETRY: ~np.isfinite(star["phot_g_mean_mag"]),
    }
    flags = _no_flags(len(bp_rp0))
    for bit, condition in conditions.items():
        flags |= _set(condition, bit)
    return flags


def _no_flags(n_stars: int) -> NDArray[np.uint32]:
    return np.zeros(n_stars, dtype=np.uint32)


def _set(condition: NDArray[np.bool_], bit: Flag) -> NDArray[np.uint32]:
    return np.where(condition, np.uint32(bit), np.uint32(0))
