"""The endpoint: the batch path's preprocess and predictor behind HTTP.

Annotations stay real types here: Ray Serve ships the FastAPI app by value, and FastAPI could not resolve strings.
"""

import asyncio
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import Path as PathItem
from fastapi import Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from fastapi_offline import FastAPIOffline
from numpy.typing import NDArray
from pydantic_core import to_json
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException

from xpfeh._version import __version__
from xpfeh.errors import UserError
from xpfeh.experiments.models import pinned_model
from xpfeh.flags import MEANING, not_good
from xpfeh.inference.card import ModelCard
from xpfeh.inference.predictor import Predictor
from xpfeh.serving import protocols, uploads
from xpfeh.serving.answers import ARROW, CSV, FILES, FITS, JSON, PARQUET, VOTABLE, accepted, answer, answered
from xpfeh.serving.config import EndpointArgs
from xpfeh.serving.guard import Guard
from xpfeh.serving.jobs.desk import Desk
from xpfeh.serving.jobs.intake import MAX_STARS as MAX_JOB_STARS
from xpfeh.serving.jobs.routes import router
from xpfeh.serving.keys import Key, Scope
from xpfeh.serving.meters import Meters
from xpfeh.serving.models import replicas_bundle
from xpfeh.serving.openapi import ANSWER, CONE, PNG, REFUSALS, ROW, SPECTRUM, gives, takes
from xpfeh.serving.pictures import media_type_of, picture
from xpfeh.serving.ports import listen_at_node_address
from xpfeh.serving.problems import answer_problems, read_body
from xpfeh.serving.requested import MAX_STARS, RequestedStars, from_ids, read_arrow, read_json
from xpfeh.serving.shadow import SHADOW, ShadowTraffic
from xpfeh.sources.reader import SpectraFile

if TYPE_CHECKING:
    from xpfeh.catalog.published import Published

MAX_BODY_BYTES = 80_000_000
"""Holds 1,000 stars as coefficients with correlations, in JSON."""
_BODY_SECONDS = 20.0  # less than the proxy's request_timeout_s, whose refusal has another form

FileName = Annotated[str, Query(max_length=200, description="the file's name: its suffix gives the format")]
PartName = Annotated[str, PathItem(pattern=r"^[a-z_]+\.(css|js)$")]
SourceId = Annotated[int, PathItem(ge=0, lt=2**63)]
FileStar = Annotated[int, Query(ge=0, lt=2**63, description="which star of the file")]
_ONLY_OURS = "default-src 'self'; img-src 'self' data:"
PAGE = Path(__file__).parent / "page"

api = FastAPIOffline(
    title="xpfeh",
    version=__version__,
    summary="[Fe/H] of giant stars, with calibrated uncertainties, from Gaia XP spectra",
    responses=REFUSALS,
)
answer_problems(api)
api.include_router(router)


@serve.ingress(api)
class _Endpoint:
    """Answers for stars with one pinned model.

    Modules that only some endpoints or requests need are imported there: they would be half of a replica's memory.

    Parameters
    ----------
    args : EndpointArgs
    shadow : DeploymentHandle, optional
        Of the challenger that gets shadow traffic.
    """

    def __init__(self, args: EndpointArgs, shadow: DeploymentHandle | None = None) -> None:
        listen_at_node_address()
        self._args = args
        bundle = replicas_bundle(args.model)
        self._predictor = Predictor(bundle)
        self.guard = Guard(args.keys)
        self.desk = Desk(args, bundle, self._predictor)
        self._meters = Meters(self._predictor.version)
        self._shadow = ShadowTraffic(shadow, args.shadow.share) if shadow and args.shadow else None
        self._archive = None
        if args.archive:
            from xpfeh.serving.archive import Archive

            self._archive = Archive(self._predictor.card.preprocess.release)
        self._release = None
        if args.release:
            from xpfeh.catalog.published import Published

            self._release = Published(args.release)

    def args(self) -> dict[str, Any]:
        """Return the arguments: for `xpfeh.serving.deploy`, not over HTTP."""
        return self._args.model_dump()

    def check_health(self) -> None:
        """Report the live model; Ray Serve calls this every `health_check_period_s`."""
        self._meters.alive()

    @api.post("/v1/predict", responses=gives(JSON, ARROW, CSV, VOTABLE, json=ANSWER), openapi_extra=takes(JSON, ARROW))
    async def predict(self, request: Request) -> Response:
        """Return each star's catalog row, in the request's order; a star that cannot be answered has its own error.

        Stars are sent as JSON or as an Arrow stream (`Content-Type`): as coefficients by Gaia's own names, as 343
        samples, or by `source_id` alone if the endpoint queries Gaia's archive. Answers are JSON, an Arrow stream, CSV
        or a VOTable (`Accept`).
        """
        key = self.guard.admit(request, Scope.PREDICT)
        wanted = accepted(request.headers.get("accept", JSON))
        requested = await self._read(request)
        self.guard.spend(key, len(requested.source_ids))
        return Response(await self._answered((requested, wanted)), media_type=wanted)

    @api.post(
        "/v1/predict/file",
        responses=gives(JSON, ARROW, CSV, VOTABLE, FITS, PARQUET, json=ANSWER),
        openapi_extra=takes("application/octet-stream"),
    )
    async def predict_file(self, request: Request, name: FileName) -> Response:
        """Return the catalog row of each star of a file of XP spectra, in the file's order.

        The body is the file, `name` its name; the suffix gives the format, any that `xpfeh ingest` reads. The answer is
        JSON, an Arrow stream, CSV, a VOTable, FITS or Parquet (`Accept`).
        """
        key = self.guard.admit(request, Scope.PREDICT)
        kind = accepted(request.headers.get("accept", JSON), FILES)
        with tempfile.TemporaryDirectory() as folder:
            path = await uploads.store(request, name, Path(folder))
            spend = partial(self.guard.spend, key)
            requested, catalogs = await asyncio.to_thread(uploads.predict, path, name, self._predictor, spend)
        self._meters.answered(catalogs, len(requested.reasons))
        made = await asyncio.to_thread(answer, kind, requested, catalogs, self._predictor)
        return Response(made, media_type=kind)

    @api.post(
        "/v1/picture",
        responses=gives(JSON, PNG, json=SPECTRUM),
        openapi_extra=takes(JSON, ARROW),
        response_class=Response,
    )
    async def picture(self, request: Request) -> Response:
        """Return one star's picture (PNG): spectrum, what its [Fe/H] depends on, intervals, flags in words.

        As JSON (`Accept`): the numbers of the spectrum, and what its [Fe/H] depends on.
        """
        key = self.guard.admit(request, Scope.PREDICT)
        return await self._picture(request, key, await self._read(request))

    @api.post(
        "/v1/picture/file",
        responses=gives(JSON, PNG, json=SPECTRUM),
        openapi_extra=takes("application/octet-stream"),
        response_class=Response,
    )
    async def picture_of_file(self, request: Request, name: FileName, source_id: FileStar) -> Response:
        """Return the picture of one star of a file; see `picture` and `predict/file`."""
        key = self.guard.admit(request, Scope.PREDICT)
        with tempfile.TemporaryDirectory() as folder:
            path = await uploads.store(request, name, Path(folder))
            requested = await asyncio.to_thread(uploads.one_star, path, name, source_id)
        return await self._picture(request, key, requested)

    @api.get("/v1/stars/{source_id}/spectrum.png", responses=gives(PNG), response_class=Response)
    async def picture_of_id(self, request: Request, source_id: SourceId) -> Response:
        """Return the picture (PNG) of a star whose spectrum Gaia's archive has; see `picture`."""
        key = self.guard.admit(request, Scope.PREDICT)
        if self._archive is None:
            raise HTTPException(404, "this endpoint does not query Gaia's archive")
        requested = await asyncio.to_thread(from_ids, [source_id], self._release_of_model, self._bring)
        return await self._picture(request, key, requested)

    @api.get("/v1/stars/{source_id}", responses=gives(JSON, json=ROW))
    async def star(self, request: Request, source_id: SourceId) -> Response:
        """Return a star's row in the published release that this endpoint serves."""
        self.guard.admit(request, Scope.READ)
        row = await asyncio.to_thread(self._published().star, source_id)
        if row is None:
            raise HTTPException(404, "the release does not have this star")
        return Response(to_json(row.to_pylist()[0], inf_nan_mode="null"), media_type=JSON)

    @api.get("/v1/cone", responses=gives(VOTABLE), openapi_extra=CONE, response_class=Response)
    async def cone(self, request: Request) -> Response:
        """VO Simple Cone Search: `RA`, `DEC`, `SR` (deg), `VERB`, `MAXREC`; a VOTable, for errors too."""
        from xpfeh.serving.cone_search import search

        self.guard.admit(request, Scope.READ)
        found = await asyncio.to_thread(search, self._published(), dict(request.query_params))
        return Response(found, media_type=VOTABLE)

    @api.get("/ping", include_in_schema=False)
    @api.get("/v2/health/live", include_in_schema=False)
    @api.get("/v2/health/ready", include_in_schema=False)
    @api.get("/v2/models/{name}/ready", include_in_schema=False)
    @api.get("/v2/models/{name}/versions/{version}/ready", include_in_schema=False)
    def ping(self) -> Response:
        """Answer health checks of MLflow's and the Open Inference Protocol's clients: the model is loaded."""
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
        return protocols.metadata(self._predictor.version)

    @api.post("/invocations", responses=gives(JSON), openapi_extra=takes(JSON))
    async def invocations(self, request: Request) -> Response:
        """Answer as MLflow's scoring server does, from features: `flux`, `flux_error`, `ebv`."""
        key = self.guard.admit(request, Scope.PREDICT)
        features = protocols.invocation(await read_body(request, MAX_BODY_BYTES, _BODY_SECONDS))
        self.guard.spend(key, len(features["ebv"]))
        predicted = await asyncio.to_thread(self._predictor.predict, features)
        return Response(protocols.predictions(predicted), media_type=JSON)

    @api.post("/v2/models/xpfeh/infer", responses=gives(JSON), openapi_extra=takes(JSON))
    async def infer(self, request: Request) -> Response:
        """Answer as the Open Inference Protocol (V2) requires, from features: `flux`, `flux_error`, `ebv`."""
        key = self.guard.admit(request, Scope.PREDICT)
        features, name = protocols.inference(await read_body(request, MAX_BODY_BYTES, _BODY_SECONDS))
        self.guard.spend(key, len(features["ebv"]))
        predicted = await asyncio.to_thread(self._predictor.predict, features)
        return Response(protocols.inference_answer(predicted, self._predictor.version, name), media_type=JSON)

    @api.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page(self) -> HTMLResponse:
        """Return the page for people."""
        return HTMLResponse((PAGE / "page.html").read_text(), headers={"Content-Security-Policy": _ONLY_OURS})

    @api.get("/page/{name}", response_class=FileResponse, include_in_schema=False)
    def part_of_page(self, name: PartName) -> FileResponse:
        """Return a script or the style of the page."""
        if not (PAGE / name).is_file():
            raise HTTPException(404, "the page has no such part")
        return FileResponse(PAGE / name, headers={"Cache-Control": "no-cache"})  # a new version shows at once

    # Two at a time: while one is computed the other is read and written.
    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.0, max_concurrent_batches=2)
    async def _answered(self, requests: list[tuple[RequestedStars, str]]) -> list[bytes]:
        """Predict the waiting requests together, and write each answer; no request waits for more to come."""
        predicted, answers = await asyncio.to_thread(answered, requests, self._predictor)
        self._meters.answered(predicted, sum(len(requested.reasons) for requested, _ in requests))
        if self._shadow:
            self._shadow.send([raw for requested, _ in requests for raw, _ in requested.spectra], predicted)
        return answers

    @api.get("/v1/model")
    def model(self) -> ModelCard:
        """Return the card of the model that answers."""
        return self._predictor.card

    @api.get("/v1/flags")
    def flags(self) -> dict[str, str]:
        """Return what each bit of `flags` means."""
        return {str(int(bit)): f"{bit.name}: {meaning}" for bit, meaning in MEANING.items()}

    @api.get("/v1/shadow", responses=gives(JSON))
    async def shadow(self, request: Request) -> dict[str, Any]:
        """Return how far the challenger differs on shadow traffic: its [Fe/H] minus the champion's, dex."""
        self.guard.admit(request, Scope.ADMIN)
        if self._shadow is None:
            raise HTTPException(404, "no challenger gets shadow traffic")
        return await self._shadow.summary()

    @api.get("/v1/health")
    def health(self) -> dict[str, Any]:
        """Return the loaded model, the limits of a request, and the flags that a good star does not have."""
        limits = {"max_stars": MAX_STARS, "max_body_bytes": MAX_BODY_BYTES, "archive": self._args.archive}
        limits |= {"max_job_stars": MAX_JOB_STARS, "max_file_bytes": uploads.MAX_FILE_BYTES}
        model = {"model_version": self._predictor.version, "release": self._release_of_model}
        reasons = [flag.name for flag in not_good(self._predictor.card.recipe.stars == "all")]
        return {"status": "ok", **model, **limits, "not_good": reasons}

    async def _read(self, request: Request) -> RequestedStars:
        """Read the stars of a JSON or Arrow body."""
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        readers = {JSON: read_json, ARROW: read_arrow}
        if kind not in readers:
            raise HTTPException(415, f"Content-Type must be {' or '.join(readers)}")
        body = await read_body(request, MAX_BODY_BYTES, _BODY_SECONDS)
        return await asyncio.to_thread(readers[kind], body, self._release_of_model, self._bring)

    @property
    def _release_of_model(self) -> str:
        return self._predictor.card.preprocess.release

    def _bring(self, ids: NDArray[np.int64]) -> SpectraFile:
        if self._archive is None:
            raise UserError("no spectrum was sent, and this endpoint does not query Gaia's archive")
        return self._archive.bring(ids)

    async def _picture(self, request: Request, key: Key | None, requested: RequestedStars) -> Response:
        self.guard.spend(key, len(requested.source_ids))
        kind = media_type_of(request.headers.get("accept", PNG))
        return Response(await asyncio.to_thread(picture, requested, self._predictor, kind), media_type=kind)

    def _published(self) -> "Published":
        if self._release is None:
            raise HTTPException(404, "this endpoint has no published release")
        return self._release


ENDPOINT = serve.deployment(_Endpoint, name="Endpoint")


def application(args: EndpointArgs, options: dict[str, Any]) -> Application:
    """Return what Ray Serve runs: the endpoint, and the challenger that gets shadow traffic, if any.

    Parameters
    ----------
    args : EndpointArgs
    options : dict
        Of the deployment, as Ray Serve's ``options`` takes them.
    """
    shadow = args.shadow and SHADOW.bind(args.shadow.model)
    return ENDPOINT.options(**options).bind(args, shadow)


def app(args: EndpointArgs) -> Application:
    """Return the application of a Ray Serve YAML file, its aliases resolved once for all future replicas."""
    shadow = args.shadow and args.shadow.model_copy(update={"model": pinned_model(args.shadow.model)})
    pinned = args.model_copy(update={"model": pinned_model(args.model), "shadow": shadow})
    return application(pinned, {})
