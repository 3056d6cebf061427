"""The endpoint: the batch path's preprocess and predictor behind HTTP.

Annotations stay real types here: Ray Serve ships the FastAPI app by value, and FastAPI could not resolve strings.
"""

import asyncio
import logging
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import HTMLResponse
from fastapi_offline import FastAPIOffline
from pydantic_core import to_json
from ray import serve
from ray.util.metrics import Counter
from starlette.exceptions import HTTPException

from xpfeh import __version__
from xpfeh.download.cache import bring
from xpfeh.experiments.registry import local_bundle
from xpfeh.flags import MEANING
from xpfeh.inference.card import ModelCard
from xpfeh.inference.predictor import Predictor
from xpfeh.release.published import Published
from xpfeh.serving import pictures, protocols, uploads
from xpfeh.serving.answers import ARROW, JSON, VOTABLE, Columns, accepted, as_json, catalog_of, written
from xpfeh.serving.asked import MAX_STARS, Asked, PredictRequest, read_arrow, read_json
from xpfeh.serving.cone_search import search
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

FileName = Annotated[str, Query(max_length=200, description="the file's name: its suffix tells the format")]
_ANY_JSON = {"requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object"}}}}}
_FILE = {"requestBody": {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}}
_ONLY_OURS = "; ".join(
    ("default-src 'self'", "script-src 'unsafe-inline'", "style-src 'unsafe-inline'", "img-src 'self' blob: data:")
)
PAGE = Path(__file__).parent / "page.html"
_STARS = Counter("xpfeh_stars", "Stars that were asked for", ("key",))

api = FastAPIOffline(
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
        self._release: Published | None = None
        self._spending = Spending()

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Load the model that the deployment's ``user_config`` names."""
        self._predictor = Predictor(local_bundle(config["model"]))
        self._archive = bool(config.get("archive", False))
        self._keys = Keys(config["keys"]) if config.get("keys") else None
        self._release = Published(config["release"]) if config.get("release") else None

    @api.post("/v1/predict", responses=_REFUSALS, openapi_extra=_BODIES)
    async def predict(self, request: Request) -> Response:
        """Return each star's catalog row, in the order asked; a star that cannot be answered has its own error.

        Stars come as JSON or as an Arrow stream (`Content-Type`): as coefficients by Gaia's own names, as 343 samples,
        or by `source_id` alone where the endpoint asks Gaia's archive. Answers are JSON, an Arrow stream, CSV or a
        VOTable (`Accept`).
        """
        key = self._admitted(request, Scope.PREDICT)
        wanted = accepted(request.headers.get("accept", JSON))
        asked, predictor = await self._read(request), self._ready()
        self._spend(key, len(asked.source_ids))
        catalogs = await self._gathered([raw for raw, _ in asked.spectra])
        if wanted == JSON:
            return Response(await asyncio.to_thread(as_json, asked, catalogs, predictor), media_type=JSON)
        return Response(await asyncio.to_thread(written, wanted, asked, catalogs), media_type=wanted)

    @api.post("/v1/predict/file", responses=_REFUSALS, openapi_extra=_FILE)
    async def predict_file(self, request: Request, name: FileName) -> Response:
        """Return the catalog row of each star of a file of XP spectra, in the file's order.

        The body is the file, `name` its name: its suffix tells the format, any that `xpfeh ingest` reads. The answer is
        JSON, an Arrow stream, CSV, a VOTable, FITS or Parquet (`Accept`).
        """
        key = self._admitted(request, Scope.PREDICT)
        kind = accepted(request.headers.get("accept", JSON), uploads.KINDS)
        predictor = self._ready()
        with tempfile.TemporaryDirectory() as folder:
            path = await uploads.stored(request, name, Path(folder))
            asked, catalogs = await asyncio.to_thread(uploads.predicted, path, name, predictor)
        self._spend(key, len(asked.source_ids))
        return Response(await asyncio.to_thread(uploads.answer, kind, asked, catalogs, predictor), media_type=kind)

    @api.post("/v1/picture", responses=_REFUSALS, openapi_extra=_BODIES, response_class=Response)
    async def picture(self, request: Request) -> Response:
        """Return one star's picture (PNG): spectrum, what its [Fe/H] rests on, intervals, flags in words."""
        key = self._admitted(request, Scope.PREDICT)
        asked = await self._read(request)
        self._spend(key, len(asked.source_ids))
        return Response(await asyncio.to_thread(pictures.picture, asked, self._ready()), media_type="image/png")

    @api.post("/v1/picture/file", responses=_REFUSALS, openapi_extra=_FILE, response_class=Response)
    async def picture_of_file(self, request: Request, name: FileName, source_id: int) -> Response:
        """Return the picture of a star of a file, see `predict/file`."""
        key = self._admitted(request, Scope.PREDICT)
        with tempfile.TemporaryDirectory() as folder:
            path = await uploads.stored(request, name, Path(folder))
            asked = await asyncio.to_thread(uploads.one_star, path, name, source_id)
        self._spend(key, len(asked.source_ids))
        return Response(await asyncio.to_thread(pictures.picture, asked, self._ready()), media_type="image/png")

    @api.get("/v1/stars/{source_id}", responses=_REFUSALS)
    async def star(self, request: Request, source_id: int) -> Response:
        """Return the row of a star of the published release that this endpoint has."""
        self._admitted(request, Scope.READ)
        if not 0 <= source_id < 2**63:
            raise HTTPException(422, "source_id must be a 64-bit integer")
        row = await asyncio.to_thread(self._published().star, source_id)
        if row is None:
            raise HTTPException(404, "the release does not have this star")
        return Response(to_json(row.to_pylist()[0], inf_nan_mode="null"), media_type=JSON)

    @api.get("/v1/cone", response_class=Response)
    async def cone(self, request: Request) -> Response:
        """VO Simple Cone Search: `RA`, `DEC`, `SR` (deg), `VERB`, `MAXREC`; a VOTable, of mistakes too."""
        self._admitted(request, Scope.READ)
        found = await asyncio.to_thread(search, self._published(), dict(request.query_params))
        return Response(found, media_type=VOTABLE)

    @api.get("/ping", include_in_schema=False)
    @api.get("/v2/health/live", include_in_schema=False)
    @api.get("/v2/health/ready", include_in_schema=False)
    @api.get("/v2/models/{name}/ready", include_in_schema=False)
    @api.get("/v2/models/{name}/versions/{version}/ready", include_in_schema=False)
    def ping(self) -> Response:
        """Say to clients of MLflow and of the Open Inference Protocol that the model is loaded."""
        self._ready()
        return Response("\n", media_type=JSON)

    @api.get("/version", include_in_schema=False)
    def mlflow_version(self) -> Response:
        """Return the version of MLflow whose protocol `/invocations` speaks."""
        return Response(version("mlflow"), media_type="text/plain")

    @api.get("/v2", include_in_schema=False)
    def server(self) -> dict[str, Any]:
        """Return the Open Inference Protocol's description of the server."""
        return {"name": "xpfeh", "version": __version__, "extensions": []}

    @api.get("/v2/models/xpfeh", include_in_schema=False)
    def model_metadata(self) -> dict[str, Any]:
        """Return the Open Inference Protocol's description of the model."""
        return protocols.metadata(self._ready().version)

    @api.post("/invocations", responses=_REFUSALS, openapi_extra=_ANY_JSON)
    async def invocations(self, request: Request) -> Response:
        """Answer as MLflow's scoring server does, from features: `flux`, `flux_error`, `ebv`."""
        key = self._admitted(request, Scope.PREDICT)
        features = protocols.invocation(await read_body(request, MAX_BODY_BYTES, _BODY_SECONDS))
        self._spend(key, len(features["ebv"]))
        predicted = await asyncio.to_thread(self._ready().predict, features)
        return Response(protocols.predictions(predicted), media_type=JSON)

    @api.post("/v2/models/xpfeh/infer", responses=_REFUSALS, openapi_extra=_ANY_JSON)
    async def infer(self, request: Request) -> Response:
        """Answer as the Open Inference Protocol (V2) says, from features: `flux`, `flux_error`, `ebv`."""
        key = self._admitted(request, Scope.PREDICT)
        features, name = protocols.inference(await read_body(request, MAX_BODY_BYTES, _BODY_SECONDS))
        self._spend(key, len(features["ebv"]))
        predicted = await asyncio.to_thread(self._ready().predict, features)
        return Response(protocols.inferred(predicted, self._ready().version, name), media_type=JSON)

    @api.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page(self) -> HTMLResponse:
        """Return the page for people."""
        return HTMLResponse(PAGE.read_text(), headers={"Content-Security-Policy": _ONLY_OURS})

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

    async def _read(self, request: Request) -> Asked:
        """Return what a JSON or Arrow body asks."""
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        readers = {JSON: read_json, ARROW: read_arrow}
        if kind not in readers:
            raise HTTPException(415, f"a body of {', '.join(readers)} is taken")
        body = await read_body(request, MAX_BODY_BYTES, _BODY_SECONDS)
        release = self._ready().card.preprocess.release
        from_archive = (lambda ids: bring(ids, release)) if self._archive else None
        return await asyncio.to_thread(readers[kind], body, release, from_archive)

    def _spend(self, key: Key | None, stars: int) -> None:
        if key and (seconds := self._spending.spend(key, stars)):
            raise too_many(f"{key.stars_per_day:,} stars a day", seconds)
        name = key.name if key else "none"
        _STARS.inc(stars, {"key": name})
        logging.getLogger("ray.serve").info("key %s asked for %d stars", name, stars)

    def _published(self) -> Published:
        if self._release is None:
            raise HTTPException(404, "this endpoint has no published release")
        return self._release

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
