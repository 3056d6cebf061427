"""Forked processes lack the threads of polars: a call that waits for one would hang.

``multiprocessing`` forks by default on Linux before Python 3.14, and so do PyTorch's loaders.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from xpfeh.errors import UserError

_THREADS = Path("/proc/self/task")  # Linux; where it is missing, a loaded polars counts as one with threads
_lost_threads = _child_loses_them = False


def watch_forks() -> None:
    """Detect forks of this process from now on."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(before=_look, after_in_child=_inherit)


def check_not_forked() -> None:
    """Refuse to work in a process that would hang.

    Raises
    ------
    UserError
        If this process was forked from one in which polars had started its threads.
    """
    if _lost_threads:
        raise UserError(
            "this process was forked after xpfeh had been used, and would hang: start workers with "
            "multiprocessing.get_context('spawn'), or use xpfeh in the workers alone"
        )


def _look() -> None:
    """Note just before a fork whether the child will lack threads: the parent has some, or is such a child itself."""
    global _child_loses_them
    _child_loses_them = _lost_threads or ("polars" in sys.modules and _polars_has_threads())


def _inherit() -> None:
    global _lost_threads
    _lost_threads = _child_loses_them


def _polars_has_threads() -> bool:
    if not _THREADS.exists():
        return True
    for thread in _THREADS.iterdir():
        with suppress(OSError):  # the thread has just finished
            if re.match(r"polars-\d", (thread / "comm").read_text()):  # one of its pool, which the first call starts
                return True
    return False
