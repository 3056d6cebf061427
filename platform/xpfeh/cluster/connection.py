"""The Ray cluster that a command runs on: the one at ``RAY_ADDRESS``, or a private one on this machine."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.services import get_ray_address_from_environment
from ray.data import DataContext
from ray.exceptions import OutOfMemoryError, RayTaskError, WorkerCrashedError

from xpfeh.errors import UserError
from xpfeh.files import first_line
from xpfeh.quiet import silent_stderr

_LOG_LEVELS = {
    "ray.data": logging.WARNING,
    "ray.serve": logging.WARNING,
    "ray.tune": logging.WARNING,
    "ray.data._internal.progress": logging.ERROR,  # warns that ours replace its progress bars
    "ray._private.authentication": logging.ERROR,  # warns that a private cluster is protected by a token
}


def join() -> None:
    """Join the cluster at ``RAY_ADDRESS``, or the one that runs on this machine.

    Raises
    ------
    UserError
        If there is no cluster.
    """
    _quiet()
    if ray.is_initialized():
        return
    try:
        wanted = os.environ.get("RAY_ADDRESS", "auto")
        host, _, port = str(get_ray_address_from_environment(wanted, None)).rpartition(":")
        # Ray itself would retry a stopped cluster, whose address it remembers, for a quarter of an hour.
        socket.create_connection((host, int(port)), timeout=5).close()
        _listen_on_loopback(host.startswith("127."))
        _init(address=wanted)
    except (OSError, ValueError) as error:  # ConnectionError is an OSError
        raise UserError(f"no Ray cluster to join ({first_line(error)}); set RAY_ADDRESS to one") from None


def is_own() -> bool:
    """Return whether commands start a private Ray, since ``RAY_ADDRESS`` names no cluster."""
    return (os.environ.get("RAY_ADDRESS") or "local") == "local"


def connect() -> None:
    """Join the cluster at ``RAY_ADDRESS`` (set inside a submitted job), or start a local one, on loopback only.

    Raises
    ------
    UserError
        If that cluster does not answer.
    """
    if not is_own():
        join()
    elif not ray.is_initialized():
        _quiet()
        _listen_on_loopback(True)
        _init(address="local", include_dashboard=False)
    DataContext.get_current().enable_progress_bars = False


def _init(**options: Any) -> None:
    """Start or join Ray, without its C++ core's messages on the user's terminal.

    The core logs as errors what Ray Data does with each actor of a pool (ray-project/ray#53727, #57733), and a user
    learns of real errors by exceptions; so only fatal ones are shown. While it starts, the core announces this setting
    on stderr.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with silent_stderr():
        ray.init(log_to_driver=False, logging_level=logging.WARNING, **options)


def _listen_on_loopback(only: bool) -> None:
    """Choose between loopback and all interfaces: Ray 2.60 offers this only on macOS and Windows, by this constant."""
    ray_constants.ENABLE_RAY_CLUSTER = not only


def _quiet() -> None:
    for name, level in _LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)


@contextmanager
def own_interrupts() -> Iterator[None]:
    """Take Ctrl-C back from Ray Tune once it has finished; its handler also keeps an actor alive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def result_of(task: ray.ObjectRef) -> Any:
    """Return the result of a Ray task, or raise its own `UserError`: Ray would turn its one line into a stack trace.

    Raises
    ------
    UserError
        The task's own, also from reading its arguments; or if its worker has died repeatedly.
    """
    try:
        return ray.get(task)
    except RayTaskError as error:
        for cause in (error.cause, getattr(error.cause, "client_exc", None)):
            if isinstance(cause, UserError):
                raise cause from None
        raise
    except (WorkerCrashedError, OutOfMemoryError) as error:
        raise UserError(
            f"a worker has died repeatedly ({first_line(error)}); if its memory is too small, use fewer workers"
        ) from None


@dataclass(frozen=True)
class Share:
    """The resources of a small task: shares of a CPU core and of a GPU, so that several fit on one."""

    cpus: float = 1.0
    gpus: float = 0.0

    def fit_now(self) -> int:
        """Return how many such tasks fit on the cluster's current nodes; at least one.

        Raises
        ------
        UserError
            If none fits on this machine, and there is no cluster that could grow.
        """
        total = ray.cluster_resources()
        wanted = {kind: each for kind, each in (("CPU", self.cpus), ("GPU", self.gpus)) if each}
        for kind, each in wanted.items():
            if is_own() and each > total.get(kind, 0):
                raise UserError(f"a worker needs {each:g} {kind}s; this machine has {total.get(kind, 0):g}")
        return max(1, int(min(total.get(kind, 0) / each for kind, each in wanted.items())))


ONE_CORE = Share()
