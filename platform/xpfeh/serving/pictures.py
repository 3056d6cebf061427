"""One star's picture, as `xpfeh.plot` draws it."""

from __future__ import annotations

import io
import threading

import matplotlib.pyplot as plt

from xpfeh.errors import UserError
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.asked import Asked
from xpfeh.star_figure import star_figure
from xpfeh.xp.preprocess import preprocess

_ONE_AT_A_TIME = threading.Lock()  # pyplot keeps its figures in one list


def picture(asked: Asked, predictor: Predictor) -> bytes:
    """Return the PNG of the one star that is asked for.

    Raises
    ------
    UserError
        If it cannot be answered, or there are several.
    """
    if len(asked.source_ids) != 1 or asked.reasons:
        raise UserError(asked.reasons.get(0) or "a picture is of one star")
    features = preprocess(asked.spectra[0][0], predictor.card.preprocess)
    slopes = predictor.sensitivity(features)
    with _ONE_AT_A_TIME:
        plt.switch_backend("agg")
        figure = star_figure(features, estimate(features, predictor), slopes, predictor.card)
        sink = io.BytesIO()
        figure.savefig(sink, format="png", dpi=110)
        plt.close(figure)
    return sink.getvalue()
