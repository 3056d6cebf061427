"""The endpoint: the batch path's preprocess and predictor behind HTTP.

Annotations stay real types here: Ray Serve ships the FastAPI app by value, and FastAPI could not resolve strings.
"""

from typing import Any

from fastapi import FastAPI
from ray import serve

from xpfeh import __version__
from xpfeh.experiments.registry import local_bundle
from xpfeh.flags import MEANING
from xpfeh.inference.card import ModelCard
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.requests import PredictRequest, to_rows, to_spectra
from xpfeh.xp.preprocess import preprocess

api = FastAPI(title="xpfeh", version=__version__, summary="[Fe/H] of giant stars from Gaia XP spectra")


@serve.ingress(api)
class _Endpoint:
    """Answers for stars with one pinned model, given as ``user_config: {model: ...}``."""

    def __init__(self) -> None:
        self._predictor: Predictor | None = None

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Load the model that the deployment's ``user_config`` names."""
        self._predictor = Predictor(local_bundle(config["model"]))

    @api.post("/v1/predict")
    def predict(self, request: PredictRequest) -> dict[str, Any]:
        """Return each star's catalog row, in the order asked."""
        predictor = self._ready()
        features = preprocess(to_spectra(request.stars), predictor.card.preprocess)
        return {"stars": to_rows(estimate(features, predictor))}

    @api.get("/v1/model")
    def model(self) -> ModelCard:
        """Return the card of the model that answers."""
        return self._ready().card

    @api.get("/v1/flags")
    def flags(self) -> dict[str, str]:
        """Return what each bit of ``flags`` means."""
        return {str(int(bit)): f"{bit.name}: {meaning}" for bit, meaning in MEANING.items()}

    @api.get("/healthz")
    def healthy(self) -> dict[str, str]:
        """Say that the model is loaded."""
        return {"status": "ok", "model_version": self._ready().version}

    def _ready(self) -> Predictor:
        assert self._predictor is not None, "Ray Serve calls reconfigure before any request"
        return self._predictor


Endpoint = serve.deployment(_Endpoint, name="Endpoint")
app = Endpoint.bind()
