"""One star in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from xpfeh.commands.one_table import read_all
from xpfeh.errors import UserError
from xpfeh.evaluate.star_figure import star_figure
from xpfeh.files import check_output_file, whole_file
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.sources.coefficients import Reject
from xpfeh.sources.reader import NO_COMPANIONS
from xpfeh.xp.preprocess import preprocess

FORMATS = (".png", ".pdf", ".svg")


def plotted(stars: Any, source_id: int | None, predictor: Predictor) -> Figure:
    """Return the picture of one star; see `xpfeh.plot`."""
    found, rejected = None, list[tuple[str, Reject]]()
    for raw in read_all(stars, NO_COMPANIONS, rejected):
        chosen = np.ones(len(raw["source_id"]), dtype=bool) if source_id is None else raw["source_id"] == source_id
        if (found is not None and chosen.any()) or chosen.sum() > 1:
            raise UserError("there are several stars; name one by its source_id")
        if chosen.any():
            found = {name: values[chosen] for name, values in raw.items()}
    if found is None:
        why = [each.reason for _, each in rejected if source_id in (None, each.source_id)]
        raise UserError(f"there is no such star, source_id {source_id}{f': rejected, {why[0]}' if why else ''}")
    features = preprocess(found, predictor.card.preprocess)
    answer = estimate(features, predictor)
    return star_figure(features, answer, predictor.sensitivity(features), predictor.card)


def plot_star(source: str, source_id: int | None, bundle: str | Path, out: str | Path) -> None:
    """Write the picture of a star of `source`; see `xpfeh.plot`.

    Raises
    ------
    UserError
        If there is no such star, or several and none is named, or `out` cannot be written.
    """
    suffix = check_output_file(out).suffix
    if suffix not in FORMATS:
        raise UserError(f"{out}: not a kind of picture that can be written; choose {', '.join(FORMATS)}")
    plt.switch_backend("agg")
    figure = plotted(source, source_id, Predictor(bundle))
    with whole_file(out) as temporary:
        figure.savefig(temporary, format=suffix[1:])
    plt.close(figure)
