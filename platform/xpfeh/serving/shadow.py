"""Shadow traffic: a challenger answers a share of the requests unseen, and its differences are reported."""

import asyncio
import logging
import random
from typing import Any

import numpy as np
from ray import serve
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException

from xpfeh.inference.predictor import Predictor
from xpfeh.serving.answers import catalog_of
from xpfeh.serving.models import replicas_bundle
from xpfeh.typing import Columns

_LOG = logging.getLogger("ray.serve")


class Shadow:
    """Predicts the endpoint's stars with another model, and keeps statistics of the differences."""

    def __init__(self, model: str) -> None:
        self._predictor = Predictor(replicas_bundle(model))
        self._differences = Differences()

    def compare(self, raws: list[Columns], answered: list[Columns]) -> None:
        """Predict some stars and compare."""
        for theirs, ours in zip(answered, catalog_of(raws, self._predictor), strict=True):
            self._differences.add(theirs, ours)
        _LOG.info("shadow %s: %s", self._predictor.version, self._differences.summary())

    def summary(self) -> dict[str, Any]:
        """Return the challenger's version, and its differences so far."""
        return {"model_version": self._predictor.version, **self._differences.summary()}


# It must not slow requests down: it holds no core, and drops what it has no time for.
SHADOW = serve.deployment(
    Shadow,
    name="Shadow",
    num_replicas=1,
    max_ongoing_requests=1,
    max_queued_requests=16,
    max_surge_percent=100,
    ray_actor_options={"num_cpus": 0},
)


class Differences:
    """Running statistics of [Fe/H] by one model minus that by another."""

    def __init__(self) -> None:
        self._stars = self._both = self._one = self._other_flags = 0
        self._sum = self._squares = self._largest = 0.0
        self._largest_of: int | None = None

    def add(self, theirs: Columns, ours: Columns) -> None:
        """Count the same stars by both models."""
        difference = ours["FEH"].astype(np.float64) - theirs["FEH"]
        known = np.isfinite(difference)
        self._stars += len(difference)
        self._both += int(known.sum())
        self._one += int((np.isfinite(ours["FEH"]) != np.isfinite(theirs["FEH"])).sum())
        self._other_flags += int((ours["flags"] != theirs["flags"]).sum())
        self._sum += float(difference[known].sum())
        self._squares += float((difference[known] ** 2).sum())
        size = np.where(known, np.abs(difference), -1.0)
        if size.max(initial=-1.0) > self._largest:
            self._largest = float(size.max())
            self._largest_of = int(ours["source_id"][size.argmax()])

    def summary(self) -> dict[str, Any]:
        """Return mean, standard deviation and largest difference (dex), and numbers of stars."""
        mean = self._sum / self._both if self._both else None
        spread = None if mean is None else max(0.0, self._squares / self._both - mean**2) ** 0.5
        return {
            "stars": self._stars,
            "mean": mean,
            "std": spread,
            "largest": self._largest,
            "largest_source_id": self._largest_of,
            "answered_by_one": self._one,
            "other_flags": self._other_flags,
        }


class ShadowTraffic:
    """The endpoint's side: sends a share of the answered stars to the `Shadow`, without waiting."""

    def __init__(self, handle: DeploymentHandle, share: float) -> None:
        self._handle, self._share = handle, share
        self._left_out = 0
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, raws: list[Columns], answered: list[Columns]) -> None:
        """Send stars, with the probability `share`."""
        if raws and random.random() < self._share:
            task = asyncio.create_task(self._send(raws, answered))
            self._sending.add(task)  # the event loop itself keeps only weak references
            task.add_done_callback(self._sending.discard)

    async def summary(self) -> dict[str, Any]:
        """Return the challenger's summary, and how many stars this replica could not send it.

        Raises
        ------
        HTTPException
            429 if it is too busy to answer.
        """
        try:
            found = await self._handle.summary.remote()
        except BackPressureError:
            raise HTTPException(429, "the challenger is busy; retry in 1 s", {"Retry-After": "1"}) from None
        return {"share": self._share, "left_out_by_this_replica": self._left_out, **found}

    async def _send(self, raws: list[Columns], answered: list[Columns]) -> None:
        try:
            await self._handle.compare.remote(raws, answered)
        except BackPressureError:
            self._left_out += sum(len(raw["source_id"]) for raw in raws)
        except Exception as error:  # of any kind: the request itself must not fail
            self._left_out += sum(len(raw["source_id"]) for raw in raws)
            _LOG.warning("the shadow failed: %s", error)
