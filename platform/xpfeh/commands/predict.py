"""Predict a file of spectra on one machine, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from numpy.typing import NDArray

from xpfeh.columns import CATALOG, sensitivity_schema, to_table
from xpfeh.commands.one_table import Written, write_file
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.sources.reader import CompanionFiles
from xpfeh.tables import check_format
from xpfeh.xp.preprocess import preprocess


def predict_file(source: str, bundle: str | Path, out: str | Path, companions: CompanionFiles) -> Written:
    """Write the catalog rows of all stars of `source`.

    Raises
    ------
    UserError
        If the source or the bundle is not one, or `out` is of a format that cannot be written.
    """
    check_format(out)
    predictor = Predictor(bundle)

    def rows(raw: Mapping[str, NDArray]) -> pa.Table:
        return to_table(estimate(preprocess(raw, predictor.card.preprocess), predictor), CATALOG)

    return write_file(source, out, companions, "predict", rows)


def sensitivity_file(source: str, bundle: str | Path, out: str | Path, companions: CompanionFiles) -> Written:
    """Write d[Fe/H] / d flux by pixel of all stars of `source`.

    Raises
    ------
    UserError
        If the source or the bundle is not one, or `out` is of a format that cannot be written.
    """
    check_format(out)
    predictor = Predictor(bundle)

    def rows(raw: Mapping[str, NDArray]) -> pa.Table:
        features = preprocess(raw, predictor.card.preprocess)
        slopes = predictor.sensitivity(features)
        columns = {"source_id": features["source_id"], "dfeh_dflux": slopes}
        return to_table(columns, sensitivity_schema(slopes.shape[1]))

    return write_file(source, out, companions, "sensitivity", rows)
