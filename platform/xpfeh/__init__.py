"""[Fe/H] of giant stars, with errors that are true, from Gaia XP spectra: "XP to [Fe/H]".

>>> import xpfeh
>>> stars = xpfeh.predict("apogee-library")  # doctest: +SKIP
>>> stars["source_id", "FEH", "FEH_lo68", "FEH_hi68"]  # doctest: +SKIP

``stars`` is the name of a file, folder, glob or URI of Gaia XP spectra; or identifiers, integers in a list or array,
whose spectra come from Gaia's archive and are kept (`xpfeh cache`); or a table of astropy, pandas, polars or Arrow, or
a mapping of arrays. A table has ``source_id``; Gaia's columns of coefficients, or ``flux`` and ``flux_error`` of 343
samples (336 to 1020 nm, W m-2 nm-1); and, if known, ``ra``, ``dec``, ``phot_g_mean_mag`` and the other columns of
gaia_source that flags are told by, ``rgeo``, and ``ebv``, which takes the place of the dust map's E(B-V).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpfeh.environment import set_defaults

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from xpfeh.client import Client
    from xpfeh.inference.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["Client", "calibrate", "load_model", "plot", "predict", "preprocess"]

set_defaults()


def __getattr__(name: str) -> Any:
    """Load `Client` and the module `flags` when they are asked for: `import xpfeh` stays quick."""
    if name == "Client":
        from xpfeh.client import Client

        return Client
    if name == "flags":
        from importlib import import_module

        return import_module("xpfeh.flags")
    raise AttributeError(f"module 'xpfeh' has no attribute {name!r}")


def predict(
    stars: Any,
    model: str | Path | Predictor = "pretrained",
    photometry: Sequence[str] = (),
    distances: Sequence[str] = (),
    dust_map: str | None = None,
) -> Table:
    """Return [Fe/H] with its errors for each star: the rows of a catalog.

    Parameters
    ----------
    stars
        Spectra, see `xpfeh`.
    model : str, Path or Predictor
        A bundle's folder, ``models:/xpfeh@champion`` of an MLflow store, what `load_model` gives, or ``pretrained``:
        the one in the package.
    photometry, distances : sequence of str
        Files of gaia_source, and of Bailer-Jones distances, for spectra in files.
    dust_map : {"sfd-nside64", "sfd"}, optional
        Where E(B-V) comes from, of stars without an ``ebv`` of their own: by default the map that the model was trained
        with; ``sfd`` is the full map, after ``xpfeh fetch sfd``. Models that deredden the spectrum take no other.

    Returns
    -------
    astropy.table.Table
        A row for each star, in their order, with units and descriptions; `xpfeh.columns.CATALOG` has the columns.
        What is not known is NaN. ``meta`` names the model and the dust map, and ``meta["rejected"]`` has the rows that
        are not sound (source, row, source_id, reason): rows given = rows returned + rows rejected.

    Raises
    ------
    xpfeh.errors.UserError
        If the spectra or the model are none, or do not fit one another, the dust map is not there or not for this
        model, or the files of photometry or distances have a row for none of the stars. If for fewer than half, that is
        a warning.

    Examples
    --------
    >>> import xpfeh
    >>> from xpfeh.sources.library import library_path, read_spectra
    >>> spectra = read_spectra(library_path("apogee-library"), 0, 3)  # of three real stars, as arrays
    >>> answer = xpfeh.predict(spectra)
    >>> answer["FEH"].unit, len(answer)
    (Unit("dex"), 3)
    """
    from xpfeh.commands.in_memory import predicted

    return predicted(stars, load_model(model), photometry, distances, dust_map)


def preprocess(
    stars: Any, settings: Sequence[str] = (), photometry: Sequence[str] = (), distances: Sequence[str] = ()
) -> Table:
    """Return the features of each star: flux and error as observed, 1 around 550 nm, photometry, E(B-V), flags.

    Parameters
    ----------
    stars
        Spectra, see `xpfeh`.
    settings : sequence of str
        Changes of `xpfeh.settings.PreprocessSettings`, as in ``["dust_map=sfd"]``.
    photometry, distances
        As for `predict`.

    Returns
    -------
    astropy.table.Table
        `xpfeh.columns.FEATURES`; ``meta`` as of `predict`.

    Raises
    ------
    xpfeh.errors.UserError
        If the spectra are none, or a setting is not known.

    Examples
    --------
    >>> import numpy as np, xpfeh
    >>> spectra = {"source_id": [4295806720], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}
    >>> xpfeh.preprocess(spectra)["flux"].shape
    (1, 343)
    """
    from xpfeh.commands.in_memory import featured

    return featured(stars, settings, photometry, distances)


def calibrate(stars: Any, sampling: ArrayLike | None = None) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Return absolute flux and error: what `gaiaxpy.calibrate` gives, ten times as fast.

    Spectra without correlations, which GaiaXPy refuses, get errors by typical ones.

    Parameters
    ----------
    stars
        Spectra as coefficients, see `xpfeh`.
    sampling : array-like, optional
        Wavelengths, nm; GaiaXPy's 343 from 336 to 1020 nm by default.

    Returns
    -------
    spectra : pandas.DataFrame
        ``source_id``, ``flux`` and ``flux_error`` (arrays, W m-2 nm-1); ``attrs["rejected"]`` as in `predict`.
    sampling : ndarray
        The wavelengths, nm.

    Raises
    ------
    xpfeh.errors.UserError
        If they are no coefficients.

    Examples
    --------
    >>> spectra, sampling = xpfeh.calibrate("XpContinuousMeanSpectrum_000000-003111.csv.gz")  # doctest: +SKIP
    """
    from xpfeh.commands.in_memory import calibrated

    return calibrated(stars, sampling)


def load_model(model: str | Path | Predictor = "pretrained") -> Predictor:
    """Return a model, to be loaded once and used often.

    Parameters
    ----------
    model
        As for `predict`.

    Raises
    ------
    xpfeh.errors.UserError
        If there is no such model.

    Examples
    --------
    >>> load_model().card.recipe.name
    'best'
    """
    from xpfeh.commands.models import bundle_of
    from xpfeh.inference.predictor import Predictor

    return model if isinstance(model, Predictor) else Predictor(bundle_of(model))


def plot(stars: Any, source_id: int | None = None, model: str | Path | Predictor = "pretrained") -> Figure:
    """Return a picture of one star: its spectrum, the wavelengths that its [Fe/H] rests on, [Fe/H] and its flags.

    Parameters
    ----------
    stars
        Spectra, see `xpfeh`.
    source_id : int, optional
        Which star, if there are several.
    model
        As for `predict`.

    Raises
    ------
    xpfeh.errors.UserError
        If there is no such star, or several and none is named.
    """
    from xpfeh.commands.plot import plotted

    return plotted(stars, source_id, load_model(model))
