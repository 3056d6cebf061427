"""Predict a file of spectra on one machine, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from astropy.table import Table
from rich.progress import track

from xpfeh.errors import UserError
from xpfeh.model.estimate import estimate
from xpfeh.model.predictor import Predictor
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import reader
from xpfeh.sources.schema import CATALOG, to_table
from xpfeh.xp.preprocess import preprocess

_FITS_UNITS = {"deg", "mag", "pc"}
"""Units of the catalog that the FITS standard knows; it has no dex."""
_FORMATS = (".parquet", ".fits", ".csv")


def predict_file(source: str, bundle: str | Path, out: str | Path, beside: reader.Beside) -> int:
    """Write the catalog rows of all stars of `source` and return their number.

    Raises
    ------
    UserError
        If the source or the bundle is not one, or `out` is of a format that cannot be written.
    """
    out = Path(out)
    if out.suffix not in _FORMATS:
        raise UserError(f"{out}: cannot write this kind of file; choose {', '.join(_FORMATS)}")
    predictor = Predictor.load(bundle)
    settings = PreprocessSettings.of(predictor.card["preprocess"])
    tables = [
        to_table(estimate(preprocess(batch.columns, settings), predictor), CATALOG)
        for piece in track(reader.pieces(source), description="predict")
        for batch in reader.read(piece, beside)
    ]
    table = pa.concat_tables(tables)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp{out.suffix}")
    try:
        _write(table, temporary)
        temporary.rename(out)
    finally:
        temporary.unlink(missing_ok=True)
    return table.num_rows


def _write(table: pa.Table, path: Path) -> None:
    match path.suffix:
        case ".parquet":
            pq.write_table(table, path, compression="zstd")
        case ".csv":
            pa_csv.write_csv(table, path)
        case ".fits":
            columns = Table.from_pandas(table.to_pandas())
            for field in CATALOG:
                unit = field.metadata[b"unit"].decode()
                columns[field.name].description = field.metadata[b"description"].decode()
                if unit in _FITS_UNITS:
                    columns[field.name].unit = unit
            columns.write(path, format="fits", overwrite=True)
