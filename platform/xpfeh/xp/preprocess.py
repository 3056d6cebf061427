"""From raw columns to features: all commands, jobs and the endpoint use this code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import InputError
from xpfeh.flags import Flag, bits
from xpfeh.releases import releases_of
from xpfeh.settings import PreprocessSettings
from xpfeh.typing import Array, Columns
from xpfeh.xp import dust, parallax, photometry
from xpfeh.xp.bases import BANDS
from xpfeh.xp.calibrate import calibrate
from xpfeh.xp.correct import CORRECTED, correct
from xpfeh.xp.correction_tables import correction_tables
from xpfeh.xp.deredden import attenuation
from xpfeh.xp.galactic import galactic
from xpfeh.xp.pixels import normalisation
from xpfeh.xp.synthetic_photometry import MAGNITUDES, synthetic_magnitudes
from xpfeh.xp.usual_noise import usual_relative_error

# The limits that `xpfeh.flags.MEANING` names.
LOW_SN = 10.0  # our choice
FAINT_MAG = 15.0  # the faintest training stars (paper section 4.2)
HIGH_EBV = 0.5  # the limit of the paper's sample of 20 million stars (section 4.3)
ODD_SN = 0.4  # below it are 3.7 % of the labelled giants, and nearly half of their residuals beyond 0.5 dex (issue 13)
RELEASED_MAG = 17.65  # the limit of Gaia's release; for its few fainter spectra no usual noise is known

FLUX_BITS, ERROR_BITS = 12, 8
"""Bits of mantissa that features keep: the zeros after them halve a features file.

Flux is rounded by up to 2^-13, 0.012 %, and errors by 0.2 %. The smallest error of any sample of the library is 0.11 %,
the smallest median of a star 0.26 %. In a linear regression for [Fe/H] rounding shifts bright stars by 0.0007 dex,
their noise by 0.036.
"""


def preprocess(raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Turn raw columns into features (paper section 2.1).

    Each star's result depends on that star alone: neither the order nor the size of a batch changes a bit.

    Parameters
    ----------
    raw : mapping of arrays, N stars
        ``source_id`` int64, ``ra``, ``dec`` (deg), ``phot_g_mean_mag``, ``phot_bp_mean_mag``,
        ``phot_rp_mean_mag`` (mag), ``phot_bp_rp_excess_factor``, ``rgeo`` (pc), NaN where unknown (a magnitude is then
        synthesised from the spectrum); optionally ``ebv`` (mag, on the scale of SFD98), which replaces the map's;
        optionally ``parallax`` (mas) and ``parallax_over_error`` as returned by
        `xpfeh.xp.parallax.corrected_parallax`; and either the coefficients for `xpfeh.xp.calibrate.calibrate`, or
        sampled ``flux`` and ``flux_error`` (N, 343) in W m-2 nm-1.
    settings : PreprocessSettings

    Returns
    -------
    dict of arrays, N stars
        The columns of `xpfeh.columns.FEATURES`. A star that cannot be predicted keeps its row, with a spectrum of NaN
        and a flag.

    Raises
    ------
    UserError
        If the spectra are of another release than the settings', or if a map, a table or GaiaXPy's bases are missing.

    Examples
    --------
    >>> star = {"source_id": np.array([4295806720]), "ra": np.array([44.996]), "dec": np.array([0.006])}
    >>> star |= {f"phot_{band}_mean_mag": np.array([mag]) for band, mag in (("g", 10.0), ("bp", 10.6), ("rp", 9.4))}
    >>> star |= {"phot_bp_rp_excess_factor": np.array([1.2]), "rgeo": np.array([np.nan])}
    >>> star |= {"flux": np.full((1, 343), 1e-16), "flux_error": np.full((1, 343), 1e-18)}
    >>> features = preprocess(star, PreprocessSettings())
    >>> features["flux"].shape, features["bp_rp0"].round(2).tolist(), int(features["flags"][0])
    ((1, 343), [1.09], 0)
    """
    spectrum = correct_spectra(raw, settings)
    ebv = spectrum["ebv"]
    flux, flux_error = _normalise(spectrum, settings)
    g_mag, bp_mag, rp_mag = (spectrum[name] for name in MAGNITUDES)
    bp_rp = bp_mag - rp_mag
    distance_pc = _distance_pc(raw)
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
        "m_g": photometry.absolute_magnitude(g_mag, settings.r_g * ebv, distance_pc),
        "flux": flux,
        "flux_error": flux_error,
    }
    flags = _flags(features, distance_pc, settings) | spectrum["spectrum_flags"]
    return {**features, "flags": flags}


def _distance_pc(raw: Columns) -> Array:
    """Return (N,) distances: ``rgeo`` where it is known, else by the parallax if that is good."""
    known = (raw["rgeo"] > 0) & np.isfinite(raw["rgeo"])
    measured = [raw[name] for name in parallax.PARALLAX if name in raw]
    return np.where(known, raw["rgeo"], parallax.distance_pc(*measured) if measured else np.nan)


# --- the stages of a spectrum: each starts from the result of the previous one ----------------------------------------


def sample_spectra(raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Return ``flux``, ``flux_error`` (N, 343; W m-2 nm-1) and ``spectrum_flags`` (N,) uint32 before any correction.

    Parameters
    ----------
    raw
        As for `preprocess`; the spectra are enough.

    Raises
    ------
    UserError
        If the numbers of coefficients belong to no known release, or GaiaXPy has no bases for it.

    Examples
    --------
    Spectra that are already sampled are returned unchanged:

    >>> star = {"source_id": np.array([1]), "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}
    >>> {name: values.shape for name, values in sample_spectra(star, PreprocessSettings()).items()}
    {'flux': (1, 343), 'flux_error': (1, 343), 'spectrum_flags': (1,)}
    """
    if "flux" in raw:
        no_flags = np.zeros(len(raw["source_id"]), dtype=np.uint32)
        return {"flux": raw["flux"], "flux_error": raw["flux_error"], "spectrum_flags": no_flags}
    _check_release(raw, settings)
    flux, flux_error = calibrate(raw, settings.release, bases=settings.bases)
    missing, uncorrelated = np.zeros((2, len(flux)), dtype=bool)
    for band in BANDS:
        absent = np.isnan(raw[f"{band}_coefficients"][:, 0])
        missing |= absent
        uncorrelated |= ~absent & ~np.isfinite(raw[f"{band}_coefficient_correlations"]).all(axis=1)
    flags = bits({Flag.MISSING_BAND: missing, Flag.NO_CORRELATIONS: uncorrelated})
    return {"flux": flux, "flux_error": flux_error, "spectrum_flags": flags}


def correct_spectra(raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Return `sample_spectra` with the systematics corrected as set, and the star's position, dust and magnitudes.

    These are ``l``, ``b`` (deg), ``ebv`` (mag), and the three magnitudes, from the sampled spectrum where Gaia's are
    unknown.

    Parameters
    ----------
    raw
        As for `preprocess`; magnitudes whose column is missing are unknown.
    settings : PreprocessSettings

    Raises
    ------
    UserError
        As for `preprocess`.

    Examples
    --------
    >>> star = {"source_id": np.array([1]), "ra": np.array([192.86]), "dec": np.array([27.13])}  # the Galactic pole
    >>> star |= {"flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}
    >>> spectrum = correct_spectra(star, PreprocessSettings())
    >>> spectrum["b"].round(1).tolist(), spectrum["ebv"].round(3).tolist()
    ([90.0], [0.011])
    """
    spectrum = _with_magnitudes(sample_spectra(raw, settings), raw, settings)
    l_deg, b_deg = galactic(raw["ra"], raw["dec"])
    ebv, own = dust.reddening(raw.get("ebv"), l_deg, b_deg, settings.dust_map)
    spectrum |= {"l": l_deg, "b": b_deg, "ebv": ebv}
    spectrum["spectrum_flags"] = spectrum["spectrum_flags"] | bits({Flag.OWN_EBV: own})
    if settings.correction == "uncorrected":
        return spectrum
    g_mag, bp_mag, rp_mag = (spectrum[name] for name in MAGNITUDES)
    absolute = settings.correction == "huang2024-absolute"
    flux, flux_error, caution = correct(
        spectrum["flux"], spectrum["flux_error"], g_mag, bp_mag - rp_mag, ebv, correction_tables(), absolute
    )
    flags = spectrum["spectrum_flags"] | bits({Flag.CORRECTION_RANGE: caution != CORRECTED})
    return {**spectrum, "flux": flux, "flux_error": flux_error, "spectrum_flags": flags}


def deredden_spectra(raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Return `correct_spectra` with the effect of dust removed.

    Parameters
    ----------
    raw, settings
        As for `preprocess`.

    Raises
    ------
    UserError
        As for `preprocess`.

    Examples
    --------
    >>> star = {"source_id": np.array([1]), "ra": np.array([192.86]), "dec": np.array([27.13])}
    >>> star |= {"flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}
    >>> deredden_spectra(star, PreprocessSettings())["flux"][0, [0, 107, 342]].round(3).tolist()
    [1.052, 1.03, 1.01]
    """
    spectrum = correct_spectra(raw, settings)
    dimming = attenuation(spectrum["ebv"])
    return {**spectrum, "flux": spectrum["flux"] / dimming, "flux_error": spectrum["flux_error"] / dimming}


def _check_release(raw: Columns, settings: PreprocessSettings) -> None:
    found = releases_of(*(raw[f"{band}_coefficients"].shape[1] for band in BANDS))
    if settings.release not in found:
        raise InputError(
            f"these spectra are of {found[0].upper()}, the settings are for {settings.release.upper()}; set release="
            f"{found[0]}, and use a model trained on spectra of that release"
        )


def _with_magnitudes(spectrum: Columns, raw: Columns, settings: PreprocessSettings) -> dict[str, NDArray]:
    """Return a sampled spectrum with G, BP and RP: Gaia's, or where one of them is unknown, synthesised.

    Gaia's magnitudes are kept next to synthesised ones: both are on the same scale to 0.02 mag. An unusable spectrum
    has no synthesised magnitude.
    """
    unknown = np.full(len(spectrum["flux"]), np.nan)
    magnitudes = np.stack([raw.get(name, unknown).astype(np.float64) for name in MAGNITUDES])  # (3, N)
    missing = ~np.isfinite(magnitudes)
    incomplete = np.logical_or.reduce(missing)  # (3, N) -> (N,)
    if incomplete.any():  # most batches have no such star, and need no passbands
        flux, flux_error = spectrum["flux"][incomplete], spectrum["flux_error"][incomplete]
        usable = np.isfinite(_level(flux, flux_error, settings))
        synthesised = np.where(usable, synthetic_magnitudes(flux).T, np.nan)  # (M, 3) -> (3, M)
        magnitudes[missing] = synthesised[missing[:, incomplete]]
    flags = spectrum["spectrum_flags"] | bits({Flag.NO_PHOTOMETRY: incomplete})
    return {**spectrum, **dict(zip(MAGNITUDES, magnitudes, strict=True)), "spectrum_flags": flags}


def _normalise(spectrum: Columns, settings: PreprocessSettings) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (N, 343) flux and error divided by the flux around 550 nm; NaN if that is missing or one is broken."""
    flux, flux_error = spectrum["flux"], spectrum["flux_error"]
    level = _level(flux, flux_error, settings)[:, None]
    return _round(flux / level, FLUX_BITS), _round(flux_error / level, ERROR_BITS)


def _level(flux: NDArray, flux_error: NDArray, settings: PreprocessSettings) -> Array:
    """Return the (N,) flux around 550 nm, NaN where it is not positive or the spectrum is broken."""
    level = normalisation(flux, settings.normalise_nm)
    usable = np.isfinite(flux).all(axis=1) & np.isfinite(flux_error).all(axis=1) & (flux_error > 0).all(axis=1)
    return np.where(usable & (level > 0), level, np.nan)


def _round(values: Array, bits: int) -> NDArray[np.float32]:
    """Return values as float32, with mantissas rounded to `bits` bits."""
    rounded = values.astype(np.float32)
    rounded[np.isnan(values)] = np.nan  # the one NaN whose bits the sum below cannot turn into a number
    dropped = 23 - bits  # float32 has 23
    pattern = rounded.view(np.uint32)
    pattern += np.uint32(1 << (dropped - 1))
    pattern &= ~np.uint32((1 << dropped) - 1)
    return rounded


# --- flags ------------------------------------------------------------------------------------------------------------


def _flags(star: Columns, distance_pc: Array, settings: PreprocessSettings) -> NDArray[np.uint32]:
    """Return the flags that depend on features; those set while the spectrum was made are in ``spectrum_flags``.

    For a star without a distance a prediction decides whether it is a giant (`xpfeh.inference.estimate`).
    """
    bp_rp0, m_g, excess, ebv = star["bp_rp0"], star["m_g"], star["phot_bp_rp_excess_factor"], star["ebv"]
    z_pc = photometry.height_pc(distance_pc, star["b"], settings.sun_height_pc)
    known_colour, known_excess, known_distance = (np.isfinite(values) for values in (bp_rp0, excess, m_g))
    with np.errstate(invalid="ignore"):
        signal_to_noise = np.median(star["flux"] / star["flux_error"], axis=1)
    g_mag = star["phot_g_mean_mag"]
    usual = np.where(g_mag < RELEASED_MAG, 1 / usual_relative_error(g_mag), np.nan)
    # A comparison with NaN is false. The cuts are negated, so each first checks that its quantities are known.
    # An excess factor from synthesised magnitudes would not reveal blends: it stays unknown, and NO_PHOTOMETRY is set.
    return bits({
        Flag.BAD_SPECTRUM: np.isnan(star["flux"]).any(axis=1),
        Flag.NO_DUST: ~np.isfinite(ebv),
        Flag.COLOUR_RANGE: known_colour & ~photometry.passes_colour(bp_rp0),
        Flag.NOT_GIANT: known_colour & known_distance & ~photometry.passes_giant(m_g, bp_rp0),
        Flag.NEAR_PLANE: known_distance & np.isfinite(z_pc) & ~photometry.passes_height(z_pc),
        Flag.BAD_PHOTOMETRY: known_colour & known_excess & ~photometry.passes_excess_factor(excess, bp_rp0),
        Flag.CUT_NOT_EVALUATED: ~known_colour,
        Flag.HIGH_EXTINCTION: ebv >= HIGH_EBV,
        Flag.FAINT: g_mag > FAINT_MAG,
        Flag.LOW_SN: signal_to_noise < LOW_SN,
        Flag.ODD_SN: signal_to_noise < ODD_SN * usual,
        Flag.PARALLAX_DISTANCE: known_distance & (distance_pc != star["rgeo"]),
    })  # fmt: skip
