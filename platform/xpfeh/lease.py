"""A lock with a heartbeat: a small file in the folder names its holder, who renews it, for all machines to see."""

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
"""A holder that has not renewed for this long, six times in a row, is dead; no bucket or shared folder is that slow."""
_SETTLE_S = 0.5  # of two that start at once, the later one to write keeps the lock


class Holder(BaseModel):
    """The process that holds the lock."""

    host: str
    pid: int
    token: str


@contextmanager
def only_one(place: str | Path, patience_s: float = 0.0) -> Iterator[None]:
    """Keep other processes, on other machines too, from working in the folder `place`.

    The file ``in_use.json`` there names the process. If that is killed, its own machine notices at once, and others
    after a minute. If this process was frozen for longer and another one has taken over, this one is interrupted as by
    Ctrl-C, or terminated where that is ignored.

    Parameters
    ----------
    place : str or Path
        Folder or URI.
    patience_s : float
        How long to wait for a process of another machine, which may be dead.

    Raises
    ------
    UserError
        If another process is working there.
    """
    fs, folder = filesystem(place)
    path = f"{folder}/in_use.json"
    mine = Holder(host=socket.gethostname(), pid=os.getpid(), token=uuid.uuid4().hex)
    deadline = time.monotonic() + patience_s
    while (theirs := _holder(fs, path)) and _at_work(fs, path, theirs):
        if theirs.host == mine.host or time.monotonic() > deadline:
            raise _refusal(place, theirs)
        time.sleep(_SETTLE_S)
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
        with suppress(OSError):  # a bucket that is unavailable for a moment
            if (theirs := _holder(fs, path)) and theirs != mine:
                _interrupt()
                return
            _write(fs, path, mine)


def _interrupt() -> None:
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):  # as for a shell's background processes
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
    probe = f"{path}.{uuid.uuid4().hex}"  # the time by that filesystem's clock: machines' clocks differ
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
        f"{place}: another process is at work here, {holder.pid} on {holder.host}; wait for it, or stop it"
    )
