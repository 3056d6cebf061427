"""Predict a file of spectra on one machine, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.model.estimate import estimate
from xpfeh.model.predictor import Predictor
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import reader
from xpfeh.sources.schema import CATALOG, sensitivity_schema, to_table
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
    rows = (to_table(estimate(f, predictor), CATALOG) for f in _features(source, predictor, beside, "predict"))
    return write_table(out, rows)


def sensitivity_file(source: str, bundle: str | Path, out: str | Path, beside: reader.Beside) -> int:
    """Write d[Fe/H] / d flux by pixel of all stars of `source` and return their number.

    Raises
    ------
    UserError
        If the source or the bundle is not one, or `out` is of a format that cannot be written.
    """
    check_format(out)
    predictor = Predictor.load(bundle)

    def tables() -> Iterator[pa.Table]:
        for features in _features(source, predictor, beside, "sensitivity"):
            slopes = predictor.sensitivity(features)
            columns = {"source_id": features["source_id"], "dfeh_dflux": slopes}
            yield to_table(columns, sensitivity_schema(slopes.shape[1]))

    return write_table(out, tables())


def _features(
    source: str, predictor: Predictor, beside: reader.Beside, told: str
) -> Iterator[dict[str, NDArray[np.generic]]]:
    settings = PreprocessSettings.of(predictor.card["preprocess"])
    for piece in track(reader.pieces(source), description=told):
        for batch in reader.read(piece, beside):
            yield preprocess(batch.columns, settings)
