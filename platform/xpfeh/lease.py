"""Who is at work at a place: a small file there says so and is renewed, which other machines see, too."""

from __future__ import annotations

import _thread
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from xpfeh.errors import UserError
from xpfeh.files import exists, filesystem, read_bytes, write_whole

if TYPE_CHECKING:
    import pyarrow.fs as pafs

RENEW_S = 10.0
LOST_S = 60.0
"""Whoever has not renewed for so long is gone; longer than a bucket or a shared folder is slow."""
_SETTLE_S = 0.5  # two that begin at once: the later one to write stays


class Holder(BaseModel):
    """Who is at work."""

    host: str
    pid: int
    token: str


@contextmanager
def only_one(place: str | Path) -> Iterator[None]:
    """Keep other processes, on other machines too, from the same work in the folder `place`.

    The file ``in_use.json`` there names the process. One that was killed is known at once on its own machine, and
    after a minute on others. If another process takes over all the same, because this one was frozen for longer, this
    one is interrupted as by Ctrl-C, or ended where that is ignored.

    Raises
    ------
    UserError
        If another process is at work there.
    """
    fs, folder = filesystem(place)
    path = f"{folder}/in_use.json"
    mine = Holder(host=socket.gethostname(), pid=os.getpid(), token=uuid.uuid4().hex)
    if (theirs := _holder(fs, path)) and _at_work(fs, path, theirs):
        raise _refusal(place, theirs)
    _write(fs, path, mine)
    time.sleep(_SETTLE_S)
    if (theirs := _holder(fs, path)) and theirs != mine:
        raise _refusal(place, theirs)
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(fs, path, mine, ended), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        ended.set()
        renewal.join()
        with suppress(OSError):
            if _holder(fs, path) == mine:
                fs.delete_file(path)


def _renew(fs: pafs.FileSystem, path: str, mine: Holder, ended: threading.Event) -> None:
    while not ended.wait(RENEW_S):
        with suppress(OSError):  # a bucket that is away for a moment
            if (theirs := _holder(fs, path)) and theirs != mine:
                _interrupt()
                return
            _write(fs, path, mine)


def _interrupt() -> None:
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):  # as for what a shell runs in the background
        os.kill(os.getpid(), signal.SIGTERM)
    _thread.interrupt_main()


def _at_work(fs: pafs.FileSystem, path: str, holder: Holder) -> bool:
    if holder.host == socket.gethostname():
        try:
            os.kill(holder.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # another user's
            pass
    probe = f"{path}.{uuid.uuid4().hex}"  # what time it is there: clocks of machines differ
    write_whole(fs, probe, b"")
    now, renewed = (fs.get_file_info(each).mtime for each in (probe, path))
    fs.delete_file(probe)
    return renewed is not None and (now - renewed).total_seconds() < LOST_S


def _holder(fs: pafs.FileSystem, path: str) -> Holder | None:
    try:
        return Holder.model_validate_json(read_bytes(fs, path)) if exists(fs, path) else None
    except (FileNotFoundError, ValidationError):
        return None


def _write(fs: pafs.FileSystem, path: str, holder: Holder) -> None:
    write_whole(fs, path, holder.model_dump_json().encode())


def _refusal(place: str | Path, holder: Holder) -> UserError:
    return UserError(
        f"{place}: another process is at work here, {holder.pid} on {holder.host}; wait until it ends, or end it"
    )
