"""How long parts take, and which take far too long."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

SLOW = 10
"""A part that takes so many times the median is worth a line."""
_KNOWN = 5  # parts before a median says something
_LEAST_S = 10.0  # what takes less does not hold up anybody


class Pace:
    """The times of the finished parts, against which the others are held."""

    def __init__(self, shards: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._left = dict.fromkeys(shards)
        self._seconds: list[float] = []
        self._clock = clock
        self._latest = clock()
        self._said = False

    def finished(self, shard: str, seconds: float) -> str:
        """Note a finished part; return a line if it took far too long, else nothing."""
        limit = self._limit()
        self._left.pop(shard, None)
        self._seconds.append(seconds)
        self._latest, self._said = self._clock(), False
        if limit and seconds > limit:
            return f"{shard} took {seconds:.0f} s, the median is {statistics.median(self._seconds):.1f} s"
        return ""

    def waiting(self) -> str:
        """Return a line, once, if no part has been finished for far too long, else nothing."""
        limit, since = self._limit(), self._clock() - self._latest
        if self._said or not limit or not self._left or since <= limit:
            return ""
        self._said = True
        names = list(self._left)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"no part finished for {since:.0f} s; not done yet: {', '.join(names[:3])}{more}"

    def _limit(self) -> float:
        if len(self._seconds) < _KNOWN:
            return 0.0
        return max(SLOW * statistics.median(self._seconds), _LEAST_S)

    @contextmanager
    def watched(self, tell: Callable[[str], None], every_s: float = 1.0) -> Iterator[None]:
        """Tell what `waiting` says while the context lasts."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(every_s):
                if line := self.waiting():
                    tell(line)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
