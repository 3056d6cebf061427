"""What an endpoint of a local Ray needs on its machine: a free port, and a folder for HAProxy."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import time
from pathlib import Path

from xpfeh.environment import haproxy_folder
from xpfeh.errors import UserError

_START_S = 60.0  # HAProxy takes a second or two, on a busy machine
_NODE = re.compile("[0-9a-f]{56}")  # Ray's name for a node: nothing else in the folder is ours to remove


def check_port(host: str, port: int) -> None:
    """Raise a `UserError` if the endpoint cannot listen there."""
    try:
        ((family, *_, address), *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a socket just closed lingers otherwise
            probe.bind(address)
    except OSError as error:
        raise UserError(
            f"{host}:{port}: {error.strerror}; stop what listens there, or choose another port as http_options.port "
            "of --config"
        ) from None


def prepare() -> None:
    """Choose Ray Serve's fallback port, and make HAProxy's folder; remove what killed ones left there.

    Raises
    ------
    UserError
        If the folder is another user's, or a link.
    """
    # By default Ray 2.60 opens 8500 for each cluster, so a second endpoint on the machine would get no port.
    os.environ.setdefault("RAY_SERVE_FALLBACK_PROXY_HTTP_PORT", str(_free_port()))
    folder = Path(haproxy_folder())
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()  # in the temporary folder anyone can make one, or a link to a folder of ours
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise UserError(
            f"{folder}: belongs to another user, or is a link; remove it, or set RAY_SERVE_ENABLE_HA_PROXY=0"
        )
    for node in folder.iterdir():
        # One that is just starting does not answer yet.
        if _NODE.fullmatch(node.name) and time.time() - node.lstat().st_mtime > _START_S and not _answers(node):
            shutil.rmtree(node, ignore_errors=True)


def clean_up(node: str) -> None:
    """Remove what a stopped HAProxy left behind; after one that was killed, `prepare` does it."""
    shutil.rmtree(Path(haproxy_folder(), node), ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(node: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(node / "admin.sock"))
        except OSError:
            return False
    return True
