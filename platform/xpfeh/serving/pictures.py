"""One star's picture, as `xpfeh.plot` draws it, or its numbers, for a page that draws the picture itself."""

from __future__ import annotations

import io
import threading

from pydantic_core import to_json

from xpfeh.errors import UserError
from xpfeh.inference.estimate import estimate
from xpfeh.inference.inputs import network_inputs
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.answers import JSON
from xpfeh.serving.openapi import PNG
from xpfeh.serving.requested import RequestedStars
from xpfeh.typing import Columns
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.preprocess import preprocess

_ONE_AT_A_TIME = threading.Lock()  # pyplot keeps its figures in one list


def media_type_of(accept: str) -> str:
    """Return the media type of a picture by an ``Accept`` header: an image, unless it names JSON first."""
    return JSON if accept.lower().startswith(JSON) else PNG


def picture(requested: RequestedStars, predictor: Predictor, kind: str = PNG) -> bytes:
    """Return the picture of the one star of a request, or its numbers (`xpfeh.serving.openapi.SPECTRUM`).

    Raises
    ------
    UserError
        If it cannot be answered, or the request has several stars.
    """
    if len(requested.source_ids) != 1 or requested.reasons:
        raise UserError(requested.reasons.get(0) or "a picture shows one star; send only one")
    features = preprocess(requested.spectra[0][0], predictor.card.preprocess)
    return _numbers(features, predictor) if kind == JSON else _image(features, predictor)


def _numbers(features: Columns, predictor: Predictor) -> bytes:
    from xpfeh.evaluate.figures import by_resolved_range  # with Matplotlib, which no other request needs

    card = predictor.card
    flux = network_inputs(features, card.recipe, card.preprocess)["flux"]
    centres, change = by_resolved_range(flux, predictor.sensitivity(features))
    numbers = {
        "source_id": int(features["source_id"][0]),
        "wavelength_nm": WAVELENGTH_NM.tolist(),
        "labels": (card.edges.low, card.edges.high),
        **{name: features[name][0].tolist() for name in ("flux", "flux_error")},
        "range_nm": centres.tolist(),
        "feh_change": change[0].tolist(),
    }
    return to_json(numbers, inf_nan_mode="null")


def _image(features: Columns, predictor: Predictor) -> bytes:
    import matplotlib.pyplot as plt

    from xpfeh.star_figure import star_figure

    slopes = predictor.sensitivity(features)
    with _ONE_AT_A_TIME:
        plt.switch_backend("agg")
        figure = star_figure(features, estimate(features, predictor), slopes, predictor.card)
        sink = io.BytesIO()
        figure.savefig(sink, format="png", dpi=110)
        plt.close(figure)
    return sink.getvalue()
