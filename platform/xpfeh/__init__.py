"""[Fe/H] of giant stars with calibrated uncertainties, from Gaia XP spectra: "XP to [Fe/H]".

>>> import xpfeh
>>> stars = xpfeh.predict("apogee-library")  # doctest: +SKIP
>>> stars["source_id", "FEH", "FEH_lo68", "FEH_hi68"]  # doctest: +SKIP

All functions accept stars in the same forms:

- an identifier, an integer or its digits, or a list, array, column or series of them: the spectra come from Gaia's
  archive and are cached (`xpfeh cache`);
- the name of a file, folder, glob or URI of Gaia XP spectra, or a list of them;
- a table of astropy, pandas, polars or Arrow, or a mapping of arrays; or one row of a table.

A table has ``source_id``; Gaia's columns of coefficients (lists, or ``bp_coeff_0`` ...), or ``flux`` and
``flux_error`` of 343 samples (336 to 1020 nm, W m-2 nm-1); and, if known, ``ra``, ``dec``, ``phot_g_mean_mag`` and the
other columns of gaia_source that flags depend on, ``rgeo``, and ``ebv``, which replaces the dust map's E(B-V).

Photometry and distances can also be given separately, as ``photometry=`` and ``distances=``: a file, a table in memory,
or a list of them, matched by ``source_id``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xpfeh._version import __version__
from xpfeh.environment import set_defaults
from xpfeh.errors import ArchiveError, EndpointError, InputError, ModelError, UserError
from xpfeh.forks import watch_forks

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from astropy.table import Table
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from xpfeh.client import Client
    from xpfeh.model import Model

__all__ = [
    "ArchiveError", "Client", "EndpointError", "InputError", "Model", "ModelError", "UserError", "__version__",
    "calibrate", "load_model", "plot", "predict", "preprocess", "samples", "sensitivity",
]  # fmt: skip

set_defaults()
watch_forks()


def __getattr__(name: str) -> Any:
    """Load `Client`, `Model` and the module `flags` only when needed, so that `import xpfeh` stays quick."""
    modules = {"Client": "xpfeh.client", "Model": "xpfeh.model", "flags": "xpfeh.flags"}
    if name not in modules:
        raise AttributeError(f"module 'xpfeh' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(modules[name])
    return module if name == "flags" else getattr(module, name)


def predict(
    stars: Any,
    model: str | Path | Model = "pretrained",
    photometry: Any = None,
    distances: Any = None,
    dust_map: Literal["sfd-nside64", "sfd"] | None = None,
) -> Table:
    """Return [Fe/H] with its errors for each star: the rows of a catalog.

    Parameters
    ----------
    stars
        In any form, see `xpfeh`.
    model : str, Path or Model
        A bundle's folder, ``models:/xpfeh@champion`` of an MLflow store, what `load_model` returns, or
        ``pretrained``, the one in the package.
    photometry, distances : str, Path, table, or list of them, optional
        gaia_source, and Bailer-Jones distances, of these stars; columns of `stars` take precedence.
    dust_map : {"sfd-nside64", "sfd"}, optional
        Source of E(B-V) for stars without their own ``ebv``; default: the map that the model was trained with. ``sfd``
        is the full map, after ``xpfeh fetch sfd``. Models that deredden the spectrum accept only their own map.

    Returns
    -------
    astropy.table.Table
        A row for each star, in their order, with units and descriptions; `xpfeh.columns.CATALOG` has the columns.
        Unknown values are NaN. ``meta`` has ``model``, ``cite``, and ``settings`` and ``versions`` as JSON;
        ``meta["rejected"]`` has a line for each invalid row: rows given = rows returned + rows rejected.

    Raises
    ------
    InputError
        If there are no stars, they do not fit the model, or the tables of photometry or distances match none of them.
        If they match fewer than half, that is a warning.
    ModelError
        If there is no such model, or it does not accept this dust map.
    ArchiveError
        If spectra cannot be retrieved from Gaia's archive.

    Examples
    --------
    >>> import xpfeh
    >>> from xpfeh.sources.library import library_path, read_spectra
    >>> spectra = read_spectra(library_path("apogee-library"), 0, 3)  # three real stars, as arrays
    >>> predicted = xpfeh.predict(spectra)
    >>> predicted["FEH"].description, predicted["TEFF"].unit, len(predicted)
    ('[Fe/H] [dex]', Unit("K"), 3)
    """
    return load_model(model).predict(stars, photometry, distances, dust_map)


def sensitivity(
    stars: Any, model: str | Path | Model = "pretrained", photometry: Any = None, distances: Any = None
) -> Table:
    """Return which wavelengths each star's [Fe/H] depends on: d[Fe/H] / d flux, with flux 1 around 550 nm.

    Parameters
    ----------
    stars, model, photometry, distances
        As for `predict`.

    Returns
    -------
    astropy.table.Table
        ``source_id``, and ``dfeh_dflux``, dex, (N, pixels) for the model's pixels, whose mean wavelengths (nm) are
        ``meta["wave_nm"]``; the rest of ``meta`` as for `predict`.

    Raises
    ------
    InputError, ModelError, ArchiveError
        As for `predict`.

    Examples
    --------
    >>> import numpy as np, xpfeh
    >>> spectra = {"source_id": [4295806720], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}
    >>> slopes = xpfeh.sensitivity(spectra)
    >>> slopes["dfeh_dflux"].shape, slopes.meta["wave_nm"][:2]
    ((1, 343), [336.0, 338.0])
    """
    return load_model(model).sensitivity(stars, photometry, distances)


def plot(
    stars: Any,
    source_id: int | str | None = None,
    model: str | Path | Model = "pretrained",
    photometry: Any = None,
    distances: Any = None,
) -> Figure:
    """Return a figure of one star: its spectrum, the wavelengths that its [Fe/H] depends on, [Fe/H] and its flags.

    Parameters
    ----------
    stars, model, photometry, distances
        As for `predict`.
    source_id : int or str, optional
        Which star, if there are several.

    Raises
    ------
    InputError
        If there is no such star, or several and `source_id` is not given; otherwise as for `predict`.

    Examples
    --------
    >>> xpfeh.plot("XP_CONTINUOUS_RAW.csv").savefig("star.png")  # doctest: +SKIP
    """
    return load_model(model).plot(stars, source_id, photometry, distances)


def load_model(model: str | Path | Model = "pretrained") -> Model:
    """Load a model once, to use it often: ``model.predict(stars)`` is ``predict(stars, model=model)``.

    Parameters
    ----------
    model
        As for `predict`.

    Raises
    ------
    ModelError
        If there is no such model.

    Examples
    --------
    >>> load_model().card.recipe.name
    'best'
    """
    from xpfeh.model import Model

    return model if isinstance(model, Model) else Model(model)


def preprocess(
    stars: Any,
    photometry: Any = None,
    distances: Any = None,
    *,
    release: Literal["dr3", "dr4"] = "dr3",
    bases: str | Path = "gaiaxpy",
    normalise_nm: tuple[float, float] = (540.0, 560.0),
    correction: Literal["uncorrected", "huang2024", "huang2024-absolute"] = "uncorrected",
    dust_map: Literal["sfd-nside64", "sfd"] = "sfd-nside64",
    r_bp: float = 2.749,
    r_g: float = 2.128,
    r_rp: float = 1.589,
    sun_height_pc: float = 0.0,
) -> Table:
    """Return the features of each star: flux and error as observed, 1 around 550 nm, photometry, E(B-V), flags.

    Parameters
    ----------
    stars, photometry, distances
        As for `predict`.
    release, bases, normalise_nm, correction, dust_map, r_bp, r_g, r_rp, sun_height_pc
        The settings, see `xpfeh.settings.PreprocessSettings`.

    Returns
    -------
    astropy.table.Table
        `xpfeh.columns.FEATURES`; ``meta["wave_nm"]`` has the wavelengths of the samples, nm, the rest of ``meta`` as
        for `predict`.

    Raises
    ------
    InputError
        As for `predict`.
    UserError
        If the value of a setting is invalid.

    Examples
    --------
    >>> import numpy as np, xpfeh
    >>> spectra = {"source_id": [4295806720], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}
    >>> xpfeh.preprocess(spectra, sun_height_pc=20.8)["flux"].shape
    (1, 343)
    """
    from xpfeh.commands.in_memory import table_of
    from xpfeh.commands.spectra import Stage, spectra_rows
    from xpfeh.settings import PreprocessSettings

    settings = PreprocessSettings.of({
        "release": release, "bases": str(bases), "normalise_nm": normalise_nm, "correction": correction,
        "dust_map": dust_map, "r_bp": r_bp, "r_g": r_g, "r_rp": r_rp, "sun_height_pc": sun_height_pc,
    })  # fmt: skip
    return table_of(stars, settings.release, photometry, distances, spectra_rows(Stage.FEATURES, settings))


def calibrate(stars: Any, sampling: ArrayLike | None = None) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Return absolute flux and error: as `gaiaxpy.calibrate` does, ten times as fast.

    Spectra without correlations, which GaiaXPy refuses, get errors from typical ones.

    Parameters
    ----------
    stars
        Spectra as coefficients, in any form, see `xpfeh`.
    sampling : array-like, optional
        Wavelengths, nm; GaiaXPy's 343 from 336 to 1020 nm by default.

    Returns
    -------
    spectra : pandas.DataFrame
        ``source_id``, ``flux`` and ``flux_error`` (arrays, W m-2 nm-1); ``attrs["rejected"]`` as ``meta["rejected"]``
        of `predict`.
    sampling : ndarray
        The wavelengths, nm.

    Raises
    ------
    InputError
        If they are not coefficients; otherwise as for `predict`.

    Examples
    --------
    >>> spectra, sampling = xpfeh.calibrate("XpContinuousMeanSpectrum_000000-003111.csv.gz")  # doctest: +SKIP
    """
    from xpfeh.commands.in_memory import calibrate_stars

    return calibrate_stars(stars, sampling)


def samples(stars: Any, n: int, seed: int | None = None) -> NDArray[np.float32]:
    """Draw [Fe/H] of each star from its calibrated intervals, to propagate its error.

    The quantiles are known at 2.5, 16, 84 and 97.5 %, the ends of the intervals, and ``FEH`` is taken as the median.
    Between them the quantile function is interpolated over the quantiles of a normal distribution, and beyond the 95 %
    interval it continues as between 84 and 97.5 % (or 16 and 2.5 %). So 68 % of the draws are in the 68 % interval,
    95 % in the 95 % interval, and the two sides differ as the intervals do.

    Parameters
    ----------
    stars : table
        With ``FEH``, ``FEH_lo68``, ``FEH_hi68``, ``FEH_lo95`` and ``FEH_hi95``, as `predict` returns it.
    n : int
        Draws for each star.
    seed : int, optional
        The same seed gives the same draws.

    Returns
    -------
    (N, n) ndarray of float32
        dex; NaN for a star without [Fe/H], or with an open interval (`FEH_EDGE`), whose distribution is not known.

    Raises
    ------
    InputError
        If a column is missing.

    Examples
    --------
    >>> star = {"FEH": [-1.0], "FEH_lo68": [-1.2], "FEH_hi68": [-0.9], "FEH_lo95": [-1.5], "FEH_hi95": [-0.8]}
    >>> drawn = samples(star, 10_000, seed=1)
    >>> drawn.shape, round(float(((drawn > -1.2) & (drawn < -0.9)).mean()), 1)
    ((1, 10000), 0.7)
    """
    from xpfeh.commands.in_memory import draw_samples

    return draw_samples(stars, n, seed)
