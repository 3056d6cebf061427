"""Judge bundles on the held-out stars, with the same predictor that makes catalogs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xpfeh.errors import UserError
from xpfeh.evaluate.report import write_report
from xpfeh.labels.samples import Sample
from xpfeh.model.predictor import Predictor


def validate(bundles: Mapping[str, str | Path], sample: Sample, out: str | Path, truth: str = "true") -> dict[str, Any]:
    """Write a report on the test stars of `sample` at `out` and return its metrics.

    Parameters
    ----------
    bundles : mapping
        Folders of model bundles by the name that the report gives them; the first is shown in the pictures.

    Raises
    ------
    UserError
        If a bundle is none or does not fit the features, or no star is held out.
    """
    held_out = sample.part("test").columns
    if not len(held_out["feh"]):
        raise UserError("no labelled star falls in the held-out sky cells; give more labels")
    models, cards = {}, {}
    for name, folder in bundles.items():
        predictor = Predictor.load(folder)
        predictor.check_features(sample.origin["preprocess"], "the sample's features")
        predicted = predictor.predict(held_out["flux"], held_out["flux_error"])
        models[name] = {**held_out, "FEH": predicted["feh"], "FEH_err": predicted["feh_err"]}
        cards[name] = predictor.card
    return write_report(out, models, cards, truth)
