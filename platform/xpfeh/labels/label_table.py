"""Labels: any table with ``source_id`` and ``feh``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.column_names import Spellings
from xpfeh.errors import UserError
from xpfeh.files import local_path, sha256_of
from xpfeh.tables.checks import check_range, columns_of
from xpfeh.tables.reading import read_stars, read_table

FEH_RANGE = (-6.0, 1.5)
"""Possible [Fe/H] of a star, dex; outside are errors and placeholders such as -9999. The lowest ever measured is
-6.2 +- 0.2 (Nordlander et al. 2019, MNRAS 488, L109), and of PASTEL's 17,922 rows nine are above 1.5 (version 1.2)."""
_OTHERS = ("logg", "teff", "alpha_m")


@dataclass(frozen=True)
class Labels:
    """Labels of N stars: true metallicities, and others.

    Attributes
    ----------
    source_id : (N,) int64, unique
    feh, feh_err : (N,) float64, dex; NaN where not given
    logg, teff, alpha_m : (N,) float64; dex, K, dex; NaN where not given. Each star has one of them, or ``feh``.
    reference : (N,) str; who measured it, empty where not given
    fingerprint : str
        SHA-256 of the file.
    """

    source_id: NDArray[np.int64]
    feh: NDArray[np.float64]
    feh_err: NDArray[np.float64]
    logg: NDArray[np.float64]
    teff: NDArray[np.float64]
    alpha_m: NDArray[np.float64]
    reference: NDArray[np.str_]
    fingerprint: str


def read_labels(path: str | Path) -> Labels:
    """Read a table of labels: ``source_id``, ``feh`` and optionally the other columns of `Labels`.

    Stars without [Fe/H] train models in T_eff and log g: hot stars, for which no survey has a [Fe/H].

    Parameters
    ----------
    path : str or Path
        A local file in a format of `xpfeh.tables.reading.read_table`.

    Raises
    ------
    UserError
        If the file is missing or unreadable, lacks ``source_id`` or ``feh``, holds a ``source_id`` that is not
        an integer or appears twice, text instead of a number, a [Fe/H] outside `FEH_RANGE`, a star without any label,
        or is a catalog made by xpfeh.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "labels.csv")
    ...     _ = path.write_text("source_id,feh\\n4295806720,-1.5\\n")
    ...     labels = read_labels(path)
    >>> labels.source_id, labels.feh, labels.logg
    (array([4295806720]), array([-1.5]), array([nan]))
    """
    path = local_path(path)
    frame = read_stars(path, ["feh"], ["feh_err", *_OTHERS])
    nothing = frame.select(pl.all_horizontal(pl.col("feh", *_OTHERS).is_null())).to_series()
    if nothing.any():
        raise UserError(f"{path}: row {nothing.arg_max()} has neither feh nor {', '.join(_OTHERS)}; leave the row out")
    check_range(frame["feh"].drop_nulls(), *FEH_RANGE, path)
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    texts = read_table(path, Spellings(["reference", "model_version"]))  # read_stars reads only numbers
    if columns_of(texts, path, [], ["model_version"]):
        raise UserError(f"{path}: its [Fe/H] was predicted by a model (model_version); labels have to be measured")
    name = columns_of(texts, path, [], ["reference"]).get("reference")
    given = texts[name].cast(pl.String).fill_null("").to_list() if name else ""
    columns["reference"] = np.broadcast_to(np.array(given, dtype=np.str_), frame.height)
    return Labels(**columns, fingerprint=sha256_of(path))
