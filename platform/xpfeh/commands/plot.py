"""Plot one star."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from xpfeh.columns import rows_of
from xpfeh.commands.one_table import read_all
from xpfeh.commands.star_source import source_of
from xpfeh.errors import InputError, UserError
from xpfeh.files import check_output_file, whole_file
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.sources.coefficients import Reject
from xpfeh.sources.reader import CompanionFiles
from xpfeh.star_figure import star_figure
from xpfeh.typing import Columns
from xpfeh.xp.preprocess import preprocess

FORMATS = (".png", ".pdf", ".svg")
_NAMED = 5  # identifiers in a message: enough to copy one from


def star_picture(
    stars: Any, source_id: int | str | None, predictor: Predictor, photometry: Any = None, distances: Any = None
) -> Figure:
    """Return the picture of one star; see `xpfeh.plot`."""
    settings = predictor.card.preprocess
    companions = CompanionFiles.find(photometry, distances)
    star = _one_star(source_of(stars, settings.release), companions, _identifier(source_id))
    features = preprocess(star, settings)
    return star_figure(features, estimate(features, predictor), predictor.sensitivity(features), predictor.card)


def _identifier(source_id: int | str | None) -> int | None:
    if source_id is None:
        return None
    if not (digits := str(source_id).strip()).isdecimal():  # a float has lost digits
        raise InputError(f"source_id {source_id!r} is not an identifier; give an integer, or its digits")
    return int(digits)


def _one_star(source: Any, companions: CompanionFiles, source_id: int | None) -> Columns:
    found: list[Columns] = []
    ids: list[int] = []
    rejected: list[tuple[str, Reject]] = []
    for raw in read_all(source, companions, rejected, warn=lambda _: None):
        ids.extend(islice(raw["source_id"].tolist(), _NAMED + 1 - len(ids)))
        chosen = np.ones(len(raw["source_id"]), dtype=bool) if source_id is None else raw["source_id"] == source_id
        if chosen.any():
            found.append(rows_of(raw, chosen))
    listed = ", ".join(map(str, ids[:_NAMED])) + (", ..." if len(ids) > _NAMED else "")
    if sum(len(raw["source_id"]) for raw in found) > 1:
        raise InputError(f"there are several stars; choose one by its source_id: {listed}")
    if not found:
        why = [each.reason for _, each in rejected if source_id in (None, each.source_id)]
        reason = f"rejected, {why[0]}" if why else f"the source has {listed or 'none'}"
        named = "" if source_id is None else f", source_id {source_id}"
        raise InputError(f"no such star{named}: {reason}")
    return found[0]


def plot_star(
    source: str,
    source_id: int | None,
    bundle: str | Path,
    out: str | Path,
    photometry: list[str] | None = None,
    distances: list[str] | None = None,
) -> None:
    """Write the picture of a star of `source`; see `xpfeh.plot`.

    Raises
    ------
    UserError
        If there is no such star, or several and none is chosen, or `out` cannot be written.
    """
    suffix = check_output_file(out).suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"{out}: this picture format cannot be written; choose {', '.join(FORMATS)}")
    plt.switch_backend("agg")
    figure = star_picture(source, source_id, Predictor(bundle), photometry, distances)
    with whole_file(out) as temporary:
        figure.savefig(temporary, format=suffix[1:])
    plt.close(figure)
