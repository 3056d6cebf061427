"""The endpoint: the batch path's preprocess and predictor behind HTTP.

Annotations stay real types here: Ray Serve ships the FastAPI app by value, and FastAPI could not resolve strings.
"""

import asyncio
from typing import Any

from fastapi import FastAPI, Request, Response
from ray import serve
from ray.util.metrics import Counter
from starlette.exceptions import HTTPException

from xpfeh import __version__
from xpfeh.download.cache import bring
from xpfeh.experiments.registry import local_bundle
from xpfeh.flags import MEANING
from xpfeh.inference.card import ModelCard
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.answers import ARROW, JSON, Columns, accepted, as_json, catalog_of, written
from xpfeh.serving.asked import MAX_STARS, Asked, PredictRequest, read_arrow, read_json
from xpfeh.serving.keys import Key, Keys, Scope, Spending
from xpfeh.serving.problems import Refusal, answer_problems, read_body, too_many

MAX_BODY_BYTES = 80_000_000
"""1,000 stars as coefficients with correlations, in JSON."""
_BODY_SECONDS = 30.0
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": text}
    for status, text in (
        (401, "a key is needed"),
        (403, "the key may not do this"),
        (408, "the body did not come in time"),
        (413, "the body is too large"),
        (415, "the body is of a kind that is not taken"),
        (422, "the request is not as described"),
        (429, "a limit is reached, or too many requests wait; Retry-After says when to ask again"),
    )
}
_BODIES = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": PredictRequest.model_json_schema(ref_template="#/components/schemas/{model}")},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

_STARS = Counter("xpfeh_stars", "Stars that were asked for", ("key",))

api = FastAPI(
    title="xpfeh",
    version=__version__,
    summary="[Fe/H] of giant stars, with errors that are true, from Gaia XP spectra",
)
answer_problems(api)


@serve.ingress(api)
class _Endpoint:
    """Answers for stars with one pinned model.

    ``user_config`` is an `xpfeh.serving.deploy.UserConfig`.
    """

    def __init__(self) -> None:
        self._predictor: Predictor | None = None
        self._archive = False
        self._keys: Keys | None = None
        self._spending = Spending()

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Load the model that the deployment's ``user_config`` names."""
        self._predictor = Predictor(local_bundle(config["model"]))
        self._archive = bool(config.get("archive", False))
        self._keys = Keys(config["keys"]) if config.get("keys") else None

    @api.post("/v1/predict", responses=_REFUSALS, openapi_extra=_BODIES)
    async def predict(self, request: Request) -> Response:
        """Return each star's catalog row, in the order asked; a star that cannot be answered has its own error.

        Stars come as JSON or as an Arrow stream (`Content-Type`): as coefficients by Gaia's own names, as 343 samples,
        or by `source_id` alone where the endpoint asks Gaia's archive. Answers are JSON, an Arrow stream, CSV or a
        VOTable (`Accept`).
        """
        key = self._admitted(request, Scope.PREDICT)
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        readers = {JSON: read_json, ARROW: read_arrow}
        if kind not in readers:
            raise HTTPException(415, f"a body of {', '.join(readers)} is taken")
        wanted = accepted(request.headers.get("accept", JSON))
        body = await read_body(request, MAX_BODY_BYTES, _BODY_SECONDS)
        predictor = self._ready()
        release = predictor.card.preprocess.release
        from_archive = (lambda ids: bring(ids, release)) if self._archive else None
        asked: Asked = await asyncio.to_thread(readers[kind], body, release, from_archive)
        if key and (seconds := self._spending.spend(key, len(asked.source_ids))):
            raise too_many(f"{key.stars_per_day:,} stars a day", seconds)
        _STARS.inc(len(asked.source_ids), {"key": key.name if key else "none"})
        catalogs = await self._gathered([raw for raw, _ in asked.spectra])
        if wanted == JSON:
            return Response(await asyncio.to_thread(as_json, asked, catalogs, predictor), media_type=JSON)
        return Response(await asyncio.to_thread(written, wanted, asked, catalogs), media_type=wanted)

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.0)
    async def _gathered(self, requests: list[list[Columns]]) -> list[list[Columns]]:
        """Predict what waits, together; nothing waits for more."""
        raws = [raw for request in requests for raw in request]
        found = iter(await asyncio.to_thread(catalog_of, raws, self._ready()) if raws else [])
        return [[next(found) for _ in request] for request in requests]

    @api.get("/v1/model")
    def model(self) -> ModelCard:
        """Return the card of the model that answers."""
        return self._ready().card

    @api.get("/v1/flags")
    def flags(self) -> dict[str, str]:
        """Return what each bit of `flags` means."""
        return {str(int(bit)): f"{bit.name}: {meaning}" for bit, meaning in MEANING.items()}

    @api.get("/v1/health")
    def health(self) -> dict[str, Any]:
        """Say that the model is loaded, and what a request may have."""
        limits = {"max_stars": MAX_STARS, "max_body_bytes": MAX_BODY_BYTES, "archive": self._archive}
        return {"status": "ok", "model_version": self._ready().version, **limits}

    def _admitted(self, request: Request, scope: Scope) -> Key | None:
        """Return the key of a request, or None where none is needed.

        Raises
        ------
        HTTPException
            401 without a key that holds, 403 for what it may not do, 429 if it asks too often.
        """
        if self._keys is None:
            return None
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        key = self._keys.find(token.strip()) if kind.lower() == "bearer" else None
        if key is None:
            raise HTTPException(401, "a key is needed: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})
        if scope not in key.scopes:
            raise HTTPException(403, f"the key of {key.name} may not {scope}")
        if seconds := self._spending.ask(key):
            raise too_many(f"{key.requests_per_minute:,} requests a minute", seconds)
        return key

    def _ready(self) -> Predictor:
        assert self._predictor is not None, "Ray Serve calls reconfigure before any request"
        return self._predictor


Endpoint = serve.deployment(_Endpoint, name="Endpoint")
app = Endpoint.bind()
