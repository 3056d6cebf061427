"""More requests than there is room for, slow senders, and false lengths."""

import json
import socket
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from xpfeh.serving.config import Config

from tests.serving.load import body_of, equal_to, load
from tests.serving.test_endpoint import star_json


@pytest.mark.slow  # a minute
def test_twice_the_load_is_refused_in_part_and_nothing_is_wrong(
    address: str, config: Config, spectra: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    body = body_of([star_json(spectra, i) for i in range(10)])
    url = f"{address}/v1/predict"
    expected = requests.post(url, body, headers={"Content-Type": "application/json"}, timeout=60).content
    places = config.options["max_ongoing_requests"] + config.options["max_queued_requests"]
    with load(url, body, equal_to(expected), clients=2 * places) as seen:
        time.sleep(60)
    stopped = time.monotonic()
    assert requests.post(url, body, headers={"Content-Type": "application/json"}, timeout=60).content == expected
    recovery = time.monotonic() - stopped
    taken = seen.latencies("right")
    with capsys.disabled():
        p50, p95, p99 = (taken[int(len(taken) * part)] for part in (0.5, 0.95, 0.99))
        print(f"\n{dict(seen.outcomes())}; p50 {p50:.2f}, p95 {p95:.2f}, p99 {p99:.2f} s; back after {recovery:.2f} s")
    assert set(seen.outcomes()) == {"right", "429"}
    assert seen.outcomes()["429"] > 100
    assert taken[int(0.99 * len(taken))] < 10
    assert recovery < 5


def connected(address: str) -> socket.socket:
    host, port = urlsplit(address).netloc.split(":")
    return socket.create_connection((host, int(port)), timeout=60)


HEAD = "POST /v1/predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"


def answer_to(address: str, head: str, body: bytes = b"") -> str:
    """Send raw bytes, hang up, and return the reply."""
    with connected(address) as there:
        there.sendall(head.encode() + b"\r\n" + body)
        there.shutdown(socket.SHUT_WR)
        received = b""
        while piece := there.recv(65536):
            received += piece
    return received.decode()


def test_false_lengths_and_hangups_harm_nobody(address: str, spectra: dict[str, np.ndarray]) -> None:
    body = body_of([star_json(spectra, 0)])
    for head, sent in (
        (HEAD + f"Content-Length: {len(body) + 100}\r\n", body),
        (HEAD + f"Content-Length: {10**15}\r\n", body),
        (HEAD + "Content-Length: -1\r\n", body),
        (HEAD + "Content-Length: many\r\n", body),
        (HEAD + "Transfer-Encoding: chunked\r\n", b"fffffff\r\n{}"),
        (HEAD + "Transfer-Encoding: chunked\r\n", b"zz\r\n{}"),
        (HEAD + f"Content-Length: {len(body) - 100}\r\n", body),
        (HEAD, b"\0" * 1000),
    ):
        received = answer_to(address, head, sent)
        assert " 200 OK" not in received
        assert "Traceback" not in received
    assert requests.post(f"{address}/v1/predict", body, timeout=60).status_code == 200


def test_deep_json_and_non_numbers_are_refused(address: str) -> None:
    for body, message in (
        (b'{"stars":' + b"[" * 200_000, "not JSON"),
        (b'{"stars": [{"source_id": 1, "ra": NaN}]}', "write NaN as null"),
        (b'{"stars": [{"source_id": 1, "ra": Infinity}]}', "write NaN as null"),
        ("{'stars': 'ü'}".encode("latin-1"), "not JSON"),
        (json.dumps({"stars": [{"source_id": 1, "ra": "\0"}]}).encode(), ""),
        (b'{"stars": [{"source_id": 1e400}]}', ""),
        (b'{"stars": [{"source_id": 9223372036854775808}]}', ""),
    ):
        reply = requests.post(f"{address}/v1/predict", body, headers={"Content-Type": "application/json"}, timeout=60)
        assert reply.status_code in (200, 422)
        assert message in reply.text
        if reply.status_code == 200:
            assert reply.json()["stars"][0]["error"]


@pytest.mark.slow  # a third of a minute
def test_senders_of_a_byte_a_second_are_cut_off_and_hold_up_nobody(
    address: str, spectra: dict[str, np.ndarray]
) -> None:
    senders = [connected(address) for _ in range(6)]
    for sender in senders:
        sender.sendall((HEAD + "Content-Length: 1000\r\n\r\n").encode())
    body, begun, slowest = body_of([star_json(spectra, 0)]), time.monotonic(), 0.0
    while time.monotonic() - begun < 18:
        for sender in senders:
            sender.sendall(b" ")
        start = time.monotonic()
        assert requests.post(f"{address}/v1/predict", body, timeout=60).status_code == 200
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(1)
    assert slowest < 2
    for sender in senders:
        assert b" 408 " in sender.recv(65536)
        sender.close()
