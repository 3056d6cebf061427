"""What HAProxy needs on a machine before Ray Serve starts it for a local endpoint."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

from xpfeh.environment import haproxy_folder
from xpfeh.errors import UserError

_START_S = 60.0  # HAProxy takes a second or two, on a busy machine


def prepare(host: str, port: int) -> None:
    """Check that the endpoint's port is free, choose Ray Serve's fallback port, and make HAProxy's folder.

    Raises
    ------
    UserError
        If the port is in use, or the folder is another user's.
    """
    _check_port(host, port)
    # By default Ray 2.60 opens 8500 for each cluster, so a second endpoint on the machine would get no port.
    os.environ.setdefault("RAY_SERVE_FALLBACK_PROXY_HTTP_PORT", str(_free_port()))
    folder = Path(haproxy_folder())
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder}: belongs to another user; remove it, or set RAY_SERVE_ENABLE_HA_PROXY=0")
    for node in folder.iterdir():
        # One that is just starting does not answer yet.
        if time.time() - node.stat().st_mtime > _START_S and not _answers(node / "admin.sock"):
            shutil.rmtree(node, ignore_errors=True)


def clean_up(node: str) -> None:
    """Remove what a stopped HAProxy left behind; after one that was killed, `prepare` does it."""
    shutil.rmtree(Path(haproxy_folder(), node), ignore_errors=True)


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a socket that was just closed lingers otherwise
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"{host}:{port}: {error.strerror}; stop what listens there, or choose another port as "
                "http_options.port of --config"
            ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
