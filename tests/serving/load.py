"""Clients that send requests to an endpoint continuously, and the outcomes."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests


@dataclass
class Load:
    """Requests by outcome, with the time of each answer and how long it took (s)."""

    ended: list[tuple[float, float, str]] = field(default_factory=list)

    def outcomes(self) -> Counter[str]:
        return Counter(outcome for *_, outcome in self.ended)

    def latencies(self, outcome: str) -> list[float]:
        return sorted(seconds for _, seconds, each in self.ended if each == outcome)

    def failures(self) -> list[tuple[float, float, str]]:
        """Outcomes that are neither right nor a refusal with 429."""
        return [each for each in self.ended if each[-1] not in ("right", "429")]


@contextmanager
def load(
    url: str, body: bytes, judge: Callable[[requests.Response], str], clients: int, timeout_s: float = 60.0
) -> Iterator[Load]:
    """Let clients send requests during the context, one after another; if refused, after `Retry-After`.

    An outcome is the verdict of `judge` on an answer, a status other than 200, or the kind of error.
    """
    seen, stop = Load(), threading.Event()

    def ask() -> None:
        session = requests.Session()
        while not stop.is_set():
            start, pause = time.monotonic(), 0.1
            try:
                reply = session.post(url, body, headers={"Content-Type": "application/json"}, timeout=timeout_s)
                outcome = judge(reply) if reply.status_code == 200 else str(reply.status_code)
                pause = float(reply.headers.get("Retry-After", 0 if reply.ok else pause))
                if outcome == "429" and pause < 1:
                    outcome = "429 without Retry-After"
            except requests.RequestException as error:
                session, outcome = requests.Session(), type(error).__name__
            end = time.monotonic()
            seen.ended.append((end, end - start, outcome))
            stop.wait(pause)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def equal_to(expected: bytes) -> Callable[[requests.Response], str]:
    """Judge answers by their bytes: ``right`` or ``wrong``."""
    return lambda reply: "right" if reply.content == expected else "wrong"


def body_of(stars: list[dict[str, object]]) -> bytes:
    """A request in JSON."""
    return json.dumps({"stars": stars}).encode()
