"""Processes that tests start, and kill: commands with an environment of their own, and a cluster of two nodes."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType

import psutil

_TWO_NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
node = cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(node, allow_graceful=False)
sys.stdin.readline()
cluster.shutdown()
"""


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


@dataclass
class TwoNodes:
    """A real Ray cluster of two nodes, a CPU each, in processes of their own."""

    process: psutil.Popen
    variables: dict[str, str] = field(default_factory=dict)

    def lose_a_node(self) -> None:
        """Kill all processes of the node that is not the head."""
        print(file=self.process.stdin, flush=True)


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
