"""Tables in memory: what the functions of `xpfeh` share with the commands that write files."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from astropy import units as u
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from xpfeh.commands.one_table import ToTable, read_all
from xpfeh.commands.star_source import source_of
from xpfeh.errors import InputError, Notice
from xpfeh.inference.intervals import quantile
from xpfeh.releases import releases_of
from xpfeh.sources.coefficients import Reject
from xpfeh.sources.reader import NO_COMPANIONS, CompanionFiles
from xpfeh.tables.astropy_table import to_astropy
from xpfeh.xp.bases import BANDS
from xpfeh.xp.calibrate import calibrate
from xpfeh.xp.grid import WAVELENGTH_NM

if TYPE_CHECKING:
    import pandas as pd

Rejected = list[tuple[str, Reject]]
_MODEL_NM = (330.0, 1050.0)  # gaiaxpy/core/satellite.py
_ENDS = ("FEH_lo95", "FEH_lo68", "FEH", "FEH_hi68", "FEH_hi95")


def table_of(stars: Any, release: str, photometry: Any, distances: Any, to_rows: ToTable) -> Table:
    """Return a row for each star, made by `to_rows`; ``meta["rejected"]`` has the others."""
    rejected: Rejected = []
    warned: list[str] = []
    companions = CompanionFiles.find(photometry, distances)
    raws = read_all(source_of(stars, release), companions, rejected, warn=warned.append)
    found = to_astropy(pa.concat_tables(map(to_rows, raws)))
    for line in warned:
        _warn(line)
    found.meta["rejected"] = rejected_lines(rejected)
    return found


def calibrate_stars(stars: Any, sampling: ArrayLike | None) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Return spectra and wavelengths; see `xpfeh.calibrate`."""
    import pandas as pd

    wavelength_nm = None if sampling is None else _wavelengths(sampling)
    rejected: Rejected = []
    parts = []
    for raw in read_all(source_of(stars), NO_COMPANIONS, rejected):
        if "flux" in raw:
            raise InputError("these spectra are already sampled: only coefficients can be calibrated")
        release, *_ = releases_of(*(raw[f"{band}_coefficients"].shape[1] for band in BANDS))
        flux, flux_error = calibrate(raw, release, wavelength_nm)
        parts.append(pd.DataFrame({"source_id": raw["source_id"], "flux": [*flux], "flux_error": [*flux_error]}))
    spectra = pd.concat(parts, ignore_index=True)
    spectra.attrs["rejected"] = rejected_lines(rejected, 'attrs["rejected"]')
    return spectra, WAVELENGTH_NM.copy() if wavelength_nm is None else wavelength_nm


def _wavelengths(sampling: ArrayLike) -> NDArray[np.float64]:
    """Return the user's wavelengths, nm, which may have a unit; GaiaXPy's instrument model ends at `_MODEL_NM`."""
    low, high = _MODEL_NM
    try:
        in_nm = sampling.to(u.nm).value if isinstance(sampling, u.Quantity) else sampling
        wavelength_nm = np.atleast_1d(np.asarray(in_nm, dtype=np.float64))
    except (u.UnitConversionError, TypeError, ValueError):
        raise InputError("sampling: must be wavelengths, in nm") from None
    # GaiaXPy extrapolates without a word.
    inside = wavelength_nm.ndim == 1 and wavelength_nm.size and ((wavelength_nm >= low) & (wavelength_nm <= high)).all()
    if not inside or (np.diff(wavelength_nm) <= 0).any():
        raise InputError(f"sampling: must be increasing wavelengths from {low:g} to {high:g} nm")
    return wavelength_nm


def draw_samples(stars: Any, n: int, seed: int | None) -> NDArray[np.float32]:
    """Return (N, n) draws of [Fe/H]; see `xpfeh.samples`."""
    if not (isinstance(n, int | np.integer) and n >= 1):
        raise InputError(f"samples: n is {n}; draw at least one, a whole number")
    if not (seed is None or (isinstance(seed, int | np.integer) and seed >= 0)):
        raise InputError(f"samples: seed is {seed}; give a whole number, 0 or more")
    try:
        ends = np.stack([np.ma.filled(np.ma.asarray(stars[name], dtype=np.float32), np.nan) for name in _ENDS], axis=1)
    except (KeyError, IndexError, TypeError):
        raise InputError(f"give a table with the columns {', '.join(_ENDS)}, as xpfeh.predict returns it") from None
    return quantile(ends, np.random.default_rng(seed).standard_normal((len(ends), n), dtype=np.float32))


def rejected_lines(rejected: Sequence[tuple[str, Reject]], listed: str = 'meta["rejected"]') -> list[str]:
    """Return a line for each rejected row, fit for the header of any file, and warn if there are any.

    FITS headers hold only ASCII: other characters of a file's name are escaped.

    Examples
    --------
    >>> with warnings.catch_warnings(action="ignore"):
    ...     rejected_lines([("stars.csv", Reject(3, 17, "repeated source_id")), ("é.csv", Reject(0, None, "no band"))])
    ['stars.csv: row 3, source_id 17: repeated source_id', '\\\\xe9.csv: row 0: no band']
    """
    lines = []
    for source, (row, source_id, reason) in rejected:
        star = "" if source_id is None else f", source_id {source_id}"
        lines.append(f"{source}: row {row}{star}: {reason}".encode("ascii", "backslashreplace").decode())
    if lines:
        rows = "1 row was" if len(lines) == 1 else f"{len(lines)} rows were"
        _warn(f"{rows} rejected ({lines[0]}); {listed} lists them")
    return lines


def _warn(line: str) -> None:
    """Warn at the line of the user's own code that called the package, however deep the call is."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals["__name__"].partition(".")[0] == "xpfeh":
        frame, level = frame.f_back, level + 1
    warnings.warn(line, Notice, stacklevel=level)
