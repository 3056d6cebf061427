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
from xpfeh.xp.correct import CORRECTED, correct
from xpfeh.xp.correction_tables import correction_tables
from xpfeh.xp.deredden import attenuation

# The limits that `xpfeh.flags.MEANING` names.
LOW_SN = 10.0  # our choice
FAINT_MAG = 15.0  # the training stars end there (paper section 4.2)
HIGH_EBV = 0.5  # the paper's sample of 20 million ends there (section 4.3)

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

    Raises
    ------
    UserError
        If the spectra are of another release than the settings', or sampled while ``pixel_error`` is "exact"; or if a
        map, a table or GaiaXPy's bases are missing.

    Examples
    --------
    >>> star = {"source_id": np.array([4295806720]), "ra": np.array([44.996]), "dec": np.array([0.006])}
    >>> star |= {f"phot_{band}_mean_mag": np.array([mag]) for band, mag in (("g", 10.0), ("bp", 10.6), ("rp", 9.4))}
    >>> star |= {"phot_bp_rp_excess_factor": np.array([1.2]), "rgeo": np.array([np.nan])}
    >>> star |= {"flux": np.full((1, 343), 1e-16), "flux_error": np.full((1, 343), 1e-18)}
    >>> features = preprocess(star, PreprocessSettings())
    >>> features["flux"].shape, features["bp_rp0"].round(2).tolist(), Flag(features["flags"][0]).name
    ((1, 60), [1.08], 'CUT_NOT_EVALUATED')
    """
    spectrum = dereddened(raw, settings)
    ebv = spectrum["ebv"]
    flux, flux_error = _pixel_spectrum(raw, spectrum, settings)
    g_mag = raw["phot_g_mean_mag"].astype(np.float64)
    bp_rp = raw["phot_bp_mean_mag"].astype(np.float64) - raw["phot_rp_mean_mag"]
    features = {
        "source_id": raw["source_id"],
        "ra": raw["ra"],
        "dec": raw["dec"],
        "l": spectrum["l"],
        "b": spectrum["b"],
        "phot_g_mean_mag": g_mag,
        "bp_rp": bp_rp,
        "bp_rp0": bp_rp - (settings.r_bp - settings.r_rp) * ebv,
        "g0": g_mag - settings.r_g * ebv,
        "phot_bp_rp_excess_factor": raw["phot_bp_rp_excess_factor"],
        "ebv": ebv,
        "rgeo": raw["rgeo"],
        "m_g": photometry.absolute_magnitude(g_mag, settings.r_g * ebv, raw["rgeo"]),
        "flux": flux,
        "flux_error": flux_error,
    }
    return {**features, "flags": _flags(features, settings) | spectrum["spectrum_flags"]}


# --- the stages of a spectrum: each begins where the one before ends -------------------------------------------------


def sampled(raw: Columns) -> dict[str, NDArray]:
    """Return ``flux``, ``flux_error`` (N, 343; W m-2 nm-1) and ``spectrum_flags`` (N,) uint32 before any correction.

    Parameters
    ----------
    raw
        As for `preprocess`; the spectra are enough.

    Raises
    ------
    UserError
        If the numbers of coefficients are of no known release, or GaiaXPy has no bases of it.

    Examples
    --------
    Spectra that are sampled already are returned as they are:

    >>> star = {"source_id": np.array([1]), "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}
    >>> {name: values.shape for name, values in sampled(star).items()}
    {'flux': (1, 343), 'flux_error': (1, 343), 'spectrum_flags': (1,)}
    """
    if "flux" in raw:
        no_flags = np.zeros(len(raw["source_id"]), dtype=np.uint32)
        return {"flux": raw["flux"], "flux_error": raw["flux_error"], "spectrum_flags": no_flags}
    flux, flux_error = calibrate(raw, _release_of(raw))
    missing, uncorrelated = np.zeros((2, len(flux)), dtype=bool)
    for band in BANDS:
        absent = np.isnan(raw[f"{band}_coefficients"][:, 0])
        missing |= absent
        uncorrelated |= ~absent & np.isnan(raw[f"{band}_coefficient_correlations"][:, 0])
    flags = _bits({Flag.MISSING_BAND: missing, Flag.NO_CORRELATIONS: uncorrelated})
    return {"flux": flux, "flux_error": flux_error, "spectrum_flags": flags}


def corrected(raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Return `sampled` with the systematics corrected as set, and ``l``, ``b`` (deg) and ``ebv`` (mag) of the stars.

    Parameters
    ----------
    raw
        As for `preprocess`.
    settings : PreprocessSettings

    Raises
    ------
    UserError
        As `preprocess`.

    Examples
    --------
    >>> star = {"source_id": np.array([1]), "ra": np.array([192.86]), "dec": np.array([27.13])}  # the Galactic pole
    >>> star |= {"flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}
    >>> spectrum = corrected(star, PreprocessSettings())
    >>> spectrum["b"].round(1).tolist(), spectrum["ebv"].round(3).tolist()
    ([90.0], [0.011])
    """
    _check_release(raw, settings)
    spectrum = sampled(raw)
    galactic = SkyCoord(raw["ra"] * u.deg, raw["dec"] * u.deg).galactic
    ebv = dust.ebv(galactic.l.deg, galactic.b.deg, settings.dust_map)
    position = {"l": galactic.l.deg, "b": galactic.b.deg, "ebv": ebv}
    if settings.correction == "uncorrected":
        return {**spectrum, **position}
    bp_rp = raw["phot_bp_mean_mag"] - raw["phot_rp_mean_mag"]
    absolute = settings.correction == "huang2024-absolute"
    flux, flux_error, caution = correct(
        spectrum["flux"], spectrum["flux_error"], raw["phot_g_mean_mag"], bp_rp, ebv, correction_tables(), absolute
    )
    flags = spectrum["spectrum_flags"] | _bits({Flag.CORRECTION_RANGE: caution != CORRECTED})
    return {"flux": flux, "flux_error": flux_error, "spectrum_flags": flags, **position}


def dereddened(raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Return `corrected` with the dust taken off.

    Parameters
    ----------
    raw, settings
        As for `preprocess`.

    Raises
    ------
    UserError
        As `preprocess`.

    Examples
    --------
    >>> star = {"source_id": np.array([1]), "ra": np.array([192.86]), "dec": np.array([27.13])}
    >>> star |= {"flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}
    >>> dereddened(star, PreprocessSettings())["flux"][0, [0, 107, 342]].round(3).tolist()  # at 336, 550 and 1020 nm
    [1.052, 1.03, 1.01]
    """
    spectrum = corrected(raw, settings)
    dimming = attenuation(spectrum["ebv"])
    return {**spectrum, "flux": spectrum["flux"] / dimming, "flux_error": spectrum["flux_error"] / dimming}


def _release_of(raw: Columns) -> str:
    return release_of(*(raw[f"{band}_coefficients"].shape[1] for band in BANDS))


def _check_release(raw: Columns, settings: PreprocessSettings) -> None:
    if "flux" in raw:  # a release is known by its numbers of coefficients; sampled spectra have none
        return
    found = _release_of(raw)
    if found != settings.release:
        raise UserError(
            f"these spectra are of {found.upper()}, the settings say {settings.release.upper()}; use --set "
            f"release={found}, and a model trained on spectra of that release"
        )


# --- pixels -----------------------------------------------------------------------------------------------------------


def _pixel_spectrum(
    raw: Columns, spectrum: Columns, settings: PreprocessSettings
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Resample and normalise, (N, 343) -> (N, pixels); a star that cannot be normalised becomes NaN."""
    flux, flux_error = spectrum["flux"], spectrum["flux_error"]
    scale = pixels.normalisation(flux, settings.normalise_nm)
    usable = np.isfinite(flux).all(axis=1) & np.isfinite(flux_error).all(axis=1) & (flux_error > 0).all(axis=1)
    scale = np.where(usable & (scale > 0), scale, np.nan)[:, None]
    if settings.pixel_error == "rms":
        error = pixels.error_pixels(flux_error, settings.n_pixels)
    else:
        error = _exact_pixel_errors(raw, spectrum["ebv"], settings)
    return (pixels.flux_pixels(flux, settings.n_pixels) / scale).astype(np.float32), (error / scale).astype(np.float32)


def _exact_pixel_errors(raw: Columns, ebv: NDArray[np.float64], settings: PreprocessSettings) -> NDArray[np.float64]:
    """Return errors of the pixels' means; the dust of a pixel is that of the mean over its samples."""
    if "bp_coefficients" not in raw:
        raise UserError(
            "pixel_error=exact needs coefficients and their correlations; these spectra are sampled already"
        )
    cuts = pixels.edges(settings.n_pixels)
    dimming = np.add.reduceat(attenuation(ebv), cuts[:-1], axis=1) / np.diff(cuts)  # (N, 343) -> (N, pixels)
    return pixel_errors(raw, settings.release, cuts) / dimming


# --- flags ------------------------------------------------------------------------------------------------------------


def _flags(star: Columns, settings: PreprocessSettings) -> NDArray[np.uint32]:
    """Return the flags that features decide; those of the spectrum's own making are in ``spectrum_flags``."""
    bp_rp0, m_g, excess, ebv = star["bp_rp0"], star["m_g"], star["phot_bp_rp_excess_factor"], star["ebv"]
    z_pc = photometry.height_pc(star["rgeo"], star["b"], settings.sun_height_pc)
    known_dust, known_colour = np.isfinite(ebv), np.isfinite(bp_rp0)
    known_excess, known_distance = np.isfinite(excess), np.isfinite(m_g)
    with np.errstate(invalid="ignore"):
        signal_to_noise = np.median(star["flux"] / star["flux_error"], axis=1)
    # A comparison with NaN is false. The cuts are negated, so each asks first whether what it cuts by is known.
    # Without E(B-V) a spectrum is NaN too, and NO_DUST alone says why.
    return _bits({
        Flag.BAD_SPECTRUM: known_dust & np.isnan(star["flux"]).any(axis=1),
        Flag.NO_DUST: ~known_dust,
        Flag.COLOUR_RANGE: known_colour & ~photometry.passes_colour(bp_rp0),
        Flag.NOT_GIANT: known_colour & known_distance & ~photometry.passes_giant(m_g, bp_rp0),
        Flag.NEAR_PLANE: known_distance & ~photometry.passes_height(z_pc),
        Flag.BAD_PHOTOMETRY: known_colour & known_excess & ~photometry.passes_excess_factor(excess, bp_rp0),
        Flag.CUT_NOT_EVALUATED: ~(known_colour & known_excess & known_distance),
        Flag.HIGH_EXTINCTION: ebv >= HIGH_EBV,
        Flag.FAINT: star["phot_g_mean_mag"] > FAINT_MAG,
        Flag.LOW_SN: signal_to_noise < LOW_SN,
        Flag.NO_PHOTOMETRY: ~np.isfinite(star["phot_g_mean_mag"]),
    })  # fmt: skip


def _bits(conditions: Mapping[Flag, NDArray[np.bool_]]) -> NDArray[np.uint32]:
    """Return (N,) flags: each bit is set where its condition (N,) holds."""
    return np.bitwise_or.reduce([np.where(holds, np.uint32(bit), np.uint32(0)) for bit, holds in conditions.items()])
