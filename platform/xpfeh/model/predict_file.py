"""Predict a file of spectra on one machine, without a cluster."""

from __future__ import annotations

from pathlib import Path

from rich.progress import track

from xpfeh.model.estimate import estimate
from xpfeh.model.predictor import Predictor
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import reader
from xpfeh.sources.schema import CATALOG, to_table
from xpfeh.tablefile import check_format, write_table
from xpfeh.xp.preprocess import preprocess


def predict_file(source: str, bundle: str | Path, out: str | Path, beside: reader.Beside) -> int:
    """Write the catalog rows of all stars of `source` and return their number.

    Raises
    ------
    UserError
        If the source or the bundle is not one, or `out` is of a format that cannot be written.
    """
    check_format(out)
    predictor = Predictor.load(bundle)
    settings = PreprocessSettings.of(predictor.card["preprocess"])
    rows = (
        to_table(estimate(preprocess(batch.columns, settings), predictor), CATALOG)
        for piece in track(reader.pieces(source), description="predict")
        for batch in reader.read(piece, beside)
    )
    return write_table(out, rows)
