"""Answers as tables in memory: what the functions of `xpfeh` do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from xpfeh.columns import CATALOG, FEATURES, to_table
from xpfeh.commands.one_table import read_all
from xpfeh.download.cache import bring
from xpfeh.errors import UserError
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.coefficients import Reject
from xpfeh.sources.reader import NO_COMPANIONS, CompanionFiles
from xpfeh.sources.releases import releases_of
from xpfeh.tables import to_astropy
from xpfeh.xp.bases import BANDS
from xpfeh.xp.calibrate import calibrate
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.preprocess import preprocess

Rejected = list[tuple[str, Reject]]


def predicted(
    stars: Any, predictor: Predictor, photometry: Sequence[str], distances: Sequence[str], dust_map: str | None
) -> Table:
    """Return catalog rows; see `xpfeh.predict`."""
    settings = predictor.preprocess_by(dust_map)

    def rows(raw: Mapping[str, NDArray]) -> pa.Table:
        return to_table(estimate(preprocess(raw, settings), predictor), CATALOG)

    source = _source(stars, settings.release)
    found = _table(source, CompanionFiles.find(photometry, distances), rows, settings)
    found.meta["model"] = predictor.version
    return found


def featured(stars: Any, settings: Sequence[str], photometry: Sequence[str], distances: Sequence[str]) -> Table:
    """Return features; see `xpfeh.preprocess`."""
    wanted = PreprocessSettings().with_overrides([*settings])
    companions = CompanionFiles.find(photometry, distances)
    source = _source(stars, wanted.release)
    return _table(source, companions, lambda raw: to_table(preprocess(raw, wanted), FEATURES), wanted)


def calibrated(stars: Any, sampling: ArrayLike | None) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Return spectra and wavelengths; see `xpfeh.calibrate`."""
    wavelength_nm = None if sampling is None else np.asarray(sampling, dtype=np.float64)
    rejected: Rejected = []
    parts = []
    for raw in read_all(stars, NO_COMPANIONS, rejected):
        if "flux" in raw:
            raise UserError("these spectra are sampled, not coefficients: there is nothing to calibrate")
        release, *_ = releases_of(*(raw[f"{band}_coefficients"].shape[1] for band in BANDS))
        flux, flux_error = calibrate(raw, release, wavelength_nm)
        parts.append(pd.DataFrame({"source_id": raw["source_id"], "flux": [*flux], "flux_error": [*flux_error]}))
    spectra = pd.concat(parts, ignore_index=True)
    spectra.attrs["rejected"] = _listed(rejected)
    return spectra, WAVELENGTH_NM.copy() if wavelength_nm is None else wavelength_nm


def _source(stars: Any, release: str) -> Any:
    """Return stars of the archive if it is identifiers that are given, and what is given otherwise."""
    if isinstance(stars, list | tuple | np.ndarray):
        ids = np.asarray(stars)
        if ids.ndim == 1 and ids.size and np.issubdtype(ids.dtype, np.integer):
            return bring(ids.astype(np.int64), release)
    return stars


def _table(
    stars: Any,
    companions: CompanionFiles,
    to_rows: Callable[[Mapping[str, NDArray]], pa.Table],
    used: PreprocessSettings,
) -> Table:
    rejected: Rejected = []
    told: list[str] = []
    table = pa.concat_tables(map(to_rows, read_all(stars, companions, rejected, warn=told.append)))
    for line in told:
        warnings.warn(line, stacklevel=4)
    found = to_astropy(table)
    found.meta = {"preprocess": used.model_dump(mode="json"), "made_by": code_version(), "rejected": _listed(rejected)}
    return found


def _listed(rejected: Rejected) -> list[tuple[str, int, int | None, str]]:
    """Return the rejected rows, and say that there are some."""
    if rejected:
        _, first = rejected[0]
        warnings.warn(
            f"{len(rejected)} rows were rejected, row {first.row} is the first ({first.reason}); "
            'meta["rejected"] lists them',
            stacklevel=5,
        )
    return [(source, *reject) for source, reject in rejected]
