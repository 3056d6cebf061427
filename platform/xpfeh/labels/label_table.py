"""Labels: any table with ``source_id`` and ``feh``, in Parquet, CSV or FITS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from astropy.table import Table
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.files import sha256_of

_OPTIONAL = ("feh_err", "logg")


@dataclass(frozen=True)
class Labels:
    """True metallicities of N stars.

    Attributes
    ----------
    source_id : (N,) int64, unique
    feh, feh_err : (N,) float64, dex; ``feh_err`` NaN where not given
    logg : (N,) float64, dex; NaN where not given
    fingerprint : str
        SHA-256 of the file.
    """

    source_id: NDArray[np.int64]
    feh: NDArray[np.float64]
    feh_err: NDArray[np.float64]
    logg: NDArray[np.float64]
    fingerprint: str


def read_labels(path: str | Path) -> Labels:
    """Read a table of labels.

    Raises
    ------
    UserError
        If the file is missing or unreadable, lacks ``source_id`` or ``feh``, holds a ``source_id`` that is not
        an integer or stands there twice, or a [Fe/H] that is missing or outside -6 to 1.5.
    """
    path = Path(path)
    frame = _read_frame(path)
    if missing := [name for name in ("source_id", "feh") if name not in frame.columns]:
        raise UserError(f"{path}: no column {' and '.join(missing)}; a table of labels needs source_id and feh")
    if not frame["source_id"].dtype.is_integer():
        kind = frame["source_id"].dtype
        raise UserError(f"{path}: source_id is {kind}, which loses digits; write it as a 64-bit integer")
    if not frame.height:
        raise UserError(f"{path}: the table of labels is empty")
    if repeated := frame.height - frame["source_id"].n_unique():
        raise UserError(f"{path}: {repeated} rows repeat a source_id; keep one row a star")
    columns = {
        name: frame[name].cast(pl.Float64).to_numpy() if name in frame.columns else np.full(frame.height, np.nan)
        for name in ("feh", *_OPTIONAL)
    }
    wrong = ~((columns["feh"] >= -6) & (columns["feh"] <= 1.5))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{path}: {wrong.sum()} feh missing or outside [-6, 1.5], the first in row {row}: {columns['feh'][row]}"
        )
    return Labels(source_id=frame["source_id"].cast(pl.Int64).to_numpy(), fingerprint=sha256_of(path), **columns)


def _read_frame(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise UserError(f"{path}: no such file of labels")
    try:
        match path.suffix.lower():
            case ".parquet":
                return pl.read_parquet(path)
            case ".csv":
                return pl.read_csv(path, infer_schema_length=None, null_values=["", "null", "nan", "NaN"])
            case ".fits" | ".fit":
                table = Table.read(path, format="fits")
                return pl.DataFrame(
                    {
                        name: np.asarray(table[name]).astype(table[name].dtype.newbyteorder("="))
                        for name in table.colnames
                        if table[name].ndim == 1
                    }
                )
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read as a table ({str(error).splitlines()[0]})") from None
    raise UserError(f"{path}: labels are read from .parquet, .csv or .fits")
