"""Drift: does a dataset of features resemble the stars that a model was judged on?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt

from xpfeh.columns import rows_of, to_arrays
from xpfeh.dataset.dataset import Dataset
from xpfeh.evaluate.drift import Drift, drift, drift_figure, not_evaluated
from xpfeh.files import whole_folder
from xpfeh.inference.estimate import estimate
from xpfeh.inference.inputs import network_inputs
from xpfeh.inference.predictor import Predictor
from xpfeh.inference.seen import Seen, describe, is_compared
from xpfeh.provenance import code_version

STARS = 20_000
"""Enough to measure a share of 1 % to a tenth of itself; half a second of predicting."""
_SPECTRA = {"removed": "dereddened", "hint": "as observed, redder behind more dust"}
REPORT, PICTURE = "drift.json", "drift.png"


class FoundDrift(NamedTuple):
    """Number of stars read, summary of those compared, their differences, and the share with an unknown cut."""

    stars_read: int
    given: Seen
    drift: Drift
    not_evaluated: dict[str, float]


def find_drift(features: str | Path, bundle: str | Path, out: str | Path) -> FoundDrift:
    """Compare about 20,000 stars from all over a dataset with those that a model was judged on.

    Writes ``drift.json`` and ``drift.png`` into the folder `out`.

    Raises
    ------
    UserError
        If the features are not whole or do not fit the model, none of their stars passes the cuts, or `out` holds
        other files.
    """
    dataset, predictor = Dataset.finished(features, "features"), Predictor(bundle)
    predictor.check_features(dataset.plan.settings, str(features))
    stars = to_arrays(dataset.some(STARS))
    answers = estimate(stars, predictor)
    recipe = predictor.card.recipe
    taken = network_inputs(stars, recipe, predictor.card.preprocess)  # what the training stars' summary describes, too
    stars |= {"flux": taken["flux"], "flags": answers["flags"], "domain_score": answers["domain_score"]}
    given, chosen = describe(stars), is_compared(stars)
    unknown = not_evaluated(rows_of(stars, chosen))
    found = drift(predictor.card.seen, given)
    report = {
        "features": str(features),
        "plan": dataset.plan.fingerprint(),
        "model": predictor.version,
        "made_by": code_version(),
        "stars_read": len(chosen),
        "trained": predictor.card.seen.model_dump(),
        "given": given.model_dump(),
        "not_evaluated": unknown,
        "outside": found.outside,
        "shift": found.shift.tolist(),
        "differences": found.differences,
    }
    plt.switch_backend("agg")
    title = f"{features} and {predictor.version}; spectra {_SPECTRA[recipe.dust]}"
    figure = drift_figure(predictor.card.seen, given, title)
    with whole_folder(out, mark=REPORT) as folder:
        (folder / REPORT).write_text(json.dumps(report, indent=1))
        figure.savefig(folder / PICTURE)
    plt.close(figure)
    return FoundDrift(len(chosen), given, found, unknown)
