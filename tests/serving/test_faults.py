"""Replicas, proxy and a node die or freeze under load: no answer is wrong, and the endpoint comes back."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from xpfeh.environment import haproxy
from xpfeh.files import package_file

from tests.processes import TwoNodes, environment, haproxy_under, kill, two_nodes, workers
from tests.serving.load import body_of, equal_to, load
from tests.serving.test_endpoint import star_json

PORT, CLIENTS = 8124, 4
PROXY_CHECKS = {"RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2", "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "2"}
REPLICA, MANAGER = "ServeReplica:xpfeh:Endpoint", "HAProxyManager"


@dataclass
class Running:
    """An endpoint of two replicas, one on each node of a cluster."""

    url: str
    nodes: TwoNodes

    def one_of(self, task: str) -> psutil.Process:
        return workers(self.nodes.process, task)[0]

    def haproxy(self) -> psutil.Process:
        return haproxy_under(self.nodes.process)


@pytest.fixture
def running(bundle: Path, tmp_path: Path) -> Iterator[Running]:
    text = package_file("xpfeh", "serving/local.yaml").read_text()
    for old, new in (
        ("port: 8000", f"port: {PORT}"),
        ("http_options:", "proxy_location: HeadOnly\nhttp_options:"),
        ("archive: true", "archive: false"),
        (
            "num_replicas: 1",
            "num_replicas: 2\n        max_replicas_per_node: 1\n        "
            "health_check_period_s: 1\n        health_check_timeout_s: 3",
        ),
    ):
        assert old in text
        text = text.replace(old, new)
    config = tmp_path / "serve.yaml"
    config.write_text(text)
    with two_nodes(haproxy() | PROXY_CHECKS) as nodes:
        command = [sys.executable, "-m", "xpfeh", "serve", "--config", str(config), "--model", str(bundle)]
        with psutil.Popen(command, env=environment(nodes.variables), stdout=subprocess.PIPE, text=True) as process:
            try:
                assert "serving at" in process.stdout.readline()
                yield Running(f"http://127.0.0.1:{PORT}/v1/predict", nodes)
            finally:
                kill(process)


def freeze(process: psutil.Process) -> None:
    process.send_signal(signal.SIGSTOP)


@pytest.mark.slow  # half a minute each
@pytest.mark.parametrize(
    ("fault", "most_failures", "back_s"),
    [
        # Clients in flight fail, no more.
        pytest.param(lambda running: running.one_of(REPLICA).kill(), CLIENTS, 5.0, id="replica killed"),
        pytest.param(lambda running: running.nodes.lose_a_node(), CLIENTS, 10.0, id="node killed"),
        # Three health checks fail, 12 s; a request sent just before that waits for its client's 10 s.
        pytest.param(lambda running: freeze(running.one_of(REPLICA)), 3 * CLIENTS, 25.0, id="replica frozen"),
        # The only HAProxy: clients are refused until its manager has started another.
        pytest.param(lambda running: running.haproxy().kill(), None, 20.0, id="HAProxy killed"),
        pytest.param(lambda running: freeze(running.haproxy()), None, 30.0, id="HAProxy frozen"),
        pytest.param(lambda running: running.one_of(MANAGER).kill(), None, 20.0, id="manager killed"),
        # It forwards no requests.
        pytest.param(lambda running: freeze(running.one_of(MANAGER)), 0, 0.0, id="manager frozen"),
    ],
)
def test_the_endpoint_comes_back_and_no_answer_is_wrong(
    running: Running,
    spectra: dict[str, np.ndarray],
    fault: Callable[[Running], None],
    most_failures: int | None,
    back_s: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = body_of([star_json(spectra, i) for i in range(3)])
    expected = requests.post(running.url, body, headers={"Content-Type": "application/json"}, timeout=60).content
    with load(running.url, body, equal_to(expected), clients=CLIENTS, timeout_s=10.0) as seen:
        time.sleep(3)
        moment = time.monotonic()
        fault(running)
        while time.monotonic() - max([moment + 5, *(at for at, *_ in seen.failures())]) < 5:
            time.sleep(1)
    failures = [(at - moment, outcome) for at, _, outcome in seen.failures() if at > moment]
    back = max((after for after, _ in failures), default=0.0)
    with capsys.disabled():
        print(
            f"\n{len(failures)} failed, back after {back:.1f} s; {dict(seen.outcomes())}, "
            f"the slowest right one took {seen.latencies('right')[-1]:.1f} s"
        )
    assert seen.outcomes()["wrong"] == 0
    assert seen.outcomes()["right"] > 100
    assert most_failures is None or len(failures) <= most_failures
    assert back <= back_s
