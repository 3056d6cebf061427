"""Predict a file of spectra on one machine, without a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.columns import CATALOG, sensitivity_schema, to_table
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.sources.reader import CompanionFiles, find_spectra, read
from xpfeh.tables import check_format, write_table
from xpfeh.xp.preprocess import preprocess

Features = dict[str, NDArray]


def predict_file(source: str, bundle: str | Path, out: str | Path, companions: CompanionFiles) -> int:
    """Write the catalog rows of all stars of `source` and return their number.

    Raises
    ------
    UserError
        If the source or the bundle is not one, or `out` is of a format that cannot be written.
    """
    return _write(source, bundle, out, companions, lambda features, model: to_table(estimate(features, model), CATALOG))


def sensitivity_file(source: str, bundle: str | Path, out: str | Path, companions: CompanionFiles) -> int:
    """Write d[Fe/H] / d flux by pixel of all stars of `source` and return their number.

    Raises
    ------
    UserError
        If the source or the bundle is not one, or `out` is of a format that cannot be written.
    """

    def table(features: Features, predictor: Predictor) -> pa.Table:
        slopes = predictor.sensitivity(features)
        columns = {"source_id": features["source_id"], "dfeh_dflux": slopes}
        return to_table(columns, sensitivity_schema(slopes.shape[1]))

    return _write(source, bundle, out, companions, table)


def _write(
    source: str,
    bundle: str | Path,
    out: str | Path,
    companions: CompanionFiles,
    table: Callable[[Features, Predictor], pa.Table],
) -> int:
    check_format(out)
    predictor = Predictor.load(bundle)
    settings = predictor.card.preprocess
    rows = (
        table(preprocess(batch.columns, settings), predictor)
        for file in track(find_spectra(source), description="predict")
        for start, rows in file.ranges()
        for batch in read(file, start, rows, companions)
    )
    return write_table(out, rows)
