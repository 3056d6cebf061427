"""Processes that tests start, and kill: commands with their own environment, and clusters of several nodes."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psutil

_TWO_NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
nodes = [cluster.add_node(num_cpus=1)]
print(cluster.address, flush=True)
for line in sys.stdin:
    if line == "join\\n":
        nodes.append(cluster.add_node(num_cpus=1))
    else:
        cluster.remove_node(nodes.pop(), allow_graceful=line == "terminate\\n")
    print(flush=True)
"""
_HEAD, _HEAD_ID = "ray.head.default", "f" * 51 + "00000"  # what Ray's autoscaler of processes calls its head


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that shall not join this one's Ray."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | dict(variables)


def kill(process: psutil.Popen) -> None:
    """Kill a process, and then those that it leaves behind."""
    if process.poll() is None:
        family = [process, *process.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=30)


def workers(process: psutil.Popen, task: str) -> list[psutil.Process]:
    """The Ray workers under a process that are at a task or actor of this name."""
    found = []
    for member in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess, IndexError):
            if member.cmdline()[0].startswith(f"ray::{task}"):
                found.append(member)
    return found


def haproxy_under(process: psutil.Process) -> psutil.Process:
    """The HAProxy under a process. While Ray reloads its settings there are two, until the first has answered all."""
    deadline = time.monotonic() + 60
    while True:
        found = [member for member in process.children(recursive=True) if _name(member) == "haproxy"]
        if len(found) == 1:
            return found[0]
        assert time.monotonic() < deadline, f"{len(found)} of them"
        time.sleep(0.1)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


@dataclass
class TwoNodes:
    """A real Ray cluster of two nodes, a CPU each, in their own processes."""

    process: psutil.Popen
    variables: dict[str, str] = field(default_factory=dict)

    def lose_a_node(self) -> None:
        """Kill all processes of the node that is not the head."""
        self._order("kill")

    def terminate_a_node(self) -> None:
        """Let the node that is not the head know, by SIGTERM, that its machine is taken away."""
        self._order("terminate")

    def join_a_node(self) -> None:
        """Start one more node, and wait until it is there."""
        self._order("join")

    def _order(self, what: str) -> None:
        print(what, file=self.process.stdin, flush=True)
        self.process.stdout.readline()


@contextmanager
def two_nodes(settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[TwoNodes]:
    """Start a cluster with some environment variables; ``variables`` let a process join it."""
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_urlsafe(32)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-c", _TWO_NODES]
    with psutil.Popen(
        command, env=environment({**auth, **settings}), text=True, start_new_session=True, **pipes
    ) as process:
        try:
            yield TwoNodes(process, {"RAY_ADDRESS": process.stdout.readline().strip(), **auth})
        finally:
            kill(process)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def growing_cluster(folder: Path, most: int) -> Iterator[dict[str, str]]:
    """Start a head without a CPU, and Ray's own autoscaler, which starts nodes of one CPU as processes.

    Yields
    ------
    dict
        Environment of a process that joins it.
    """
    port, config = free_port(), folder / "autoscaling.json"
    config.write_text(json.dumps(_autoscaling(port, most)))
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_urlsafe(32)}
    autoscaler = {
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": _HEAD_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": _HEAD_ID,
    }
    command = [
        str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", f"--port={port}", "--num-cpus=0",
        "--node-ip-address=127.0.0.1", f"--autoscaling-config={config}", "--include-dashboard=false",
        "--object-store-memory=150000000", "--disable-usage-stats", f"--dashboard-agent-listen-port={free_port()}",
    ]  # fmt: skip
    variables = environment({**auth, **autoscaler})
    with (folder / "head.log").open("w") as log:
        process = psutil.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        yield {"RAY_ADDRESS": f"127.0.0.1:{port}", **auth}
    finally:
        kill(process)


def _autoscaling(port: int, most: int) -> dict[str, object]:
    """What `ray.cluster_utils.AutoscalingCluster` would use, whose template Ray's wheel lacks (2.60)."""
    worker = {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": most}
    places = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "growing",
        "max_workers": most,
        "idle_timeout_minutes": 0.1,
        "upscaling_speed": 10.0,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "launch_multiple": True,
            "head_node_id": _HEAD_ID,
            "gcs_address": f"127.0.0.1:{port}",
        },
        "head_node_type": _HEAD,
        "available_node_types": {_HEAD: worker | {"resources": {"CPU": 0}, "max_workers": 0}, "worker": worker},
        **{f"{place}_commands": [] for place in places},
        **{each: {} for each in ("auth", "docker", "file_mounts")},
        **{each: [] for each in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
        "file_mounts_sync_continuously": False,
    }


@contextmanager
def tracking_server(folder: Path, port: int) -> Iterator[None]:
    """A real MLflow server, with its store and artifacts in a folder."""
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'server.db'}",
        "--serve-artifacts", "--artifacts-destination", str(folder / "server"), "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    with (folder / "server.log").open("a") as log:
        server = psutil.Popen(command, env=environment({}), stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(240):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.25)
        yield
    finally:
        kill(server)
