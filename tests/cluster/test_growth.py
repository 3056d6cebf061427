"""A cluster that grows on demand: for datasets and searches it starts nodes, and stops them afterwards."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from xpfeh.dataset.verify import verify

from tests.processes import environment, growing_cluster, kill, two_nodes, workers

pytestmark = pytest.mark.slow

MOST, PARTS = 2, 80
_COUNT = """
import ray, time
ray.init(log_to_driver=False, logging_level="ERROR")
while True:
    print("nodes", sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes()), flush=True)
    time.sleep(0.2)
"""
_SLOWLY = """
import sys, time
from xpfeh.cluster.run_plan import run_plan
from xpfeh.commands.ingest import make_work, plan_features
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import library

library._RANGE_STARS = 500

def make_slow_work():
    work = make_work(PreprocessSettings())
    def slowly(shard):
        time.sleep(0.5)
        yield from work(shard)
    return slowly

run_plan(sys.argv[1], plan_features([library.NAME], PreprocessSettings()), make_slow_work)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with growing_cluster(tmp_path_factory.mktemp("growing"), MOST) as variables:
        yield variables


@contextmanager
def nodes(variables: dict[str, str]) -> Iterator[Iterator[int]]:
    """The number of nodes with a CPU, polled continuously."""
    with psutil.Popen(
        [sys.executable, "-c", _COUNT], env=environment(variables), stdout=subprocess.PIPE, text=True
    ) as counter:
        try:
            yield (int(line.split()[1]) for line in counter.stdout if line.startswith("nodes "))
        finally:
            kill(counter)


def start(variables: dict[str, str], folder: Path, *arguments: object) -> psutil.Popen:
    """Start Python with these arguments."""
    with (folder / "log").open("a") as log:
        return psutil.Popen(
            [sys.executable, *map(str, arguments)], env=environment(variables), stdout=log, stderr=log, cwd=folder,
            start_new_session=True,
        )  # fmt: skip


def ended(command: psutil.Popen, folder: Path) -> None:
    try:
        assert command.wait(timeout=240) == 0, (folder / "log").read_text()
    finally:
        kill(command)


@pytest.mark.parametrize("work", ["a plan", "a search"])
def test_it_grows_for_our_work_and_shrinks_after(
    cluster: dict[str, str], work: str, features_dir: Path, labels_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = {
        "a plan": ("-c", _SLOWLY, out),
        "a search": (
            "-m", "xpfeh", "tune", "--features", features_dir, "--labels", labels_file, "--trials", 4, "--steps", 100,
            "--finalists", 1, "--workers", MOST,
        ),
    }[work]  # fmt: skip
    with nodes(cluster) as count:
        while next(count):
            pass
        process = start(cluster, tmp_path, *arguments)
        largest = 0
        for there in count:
            largest = max(largest, there)
            if process.poll() is not None:
                break
        ended(process, tmp_path)
        assert largest == MOST
        idle = time.monotonic()
        while next(count):
            assert time.monotonic() - idle < 60
    if work == "a plan":
        assert (verify(out).problems, verify(out).parts) == ([], PARTS)


def test_a_node_that_joins_is_used_and_a_lost_one_costs_only_its_current_parts(tmp_path: Path) -> None:
    with two_nodes() as pair:
        process = start(pair.variables, tmp_path, "-c", _SLOWLY, tmp_path / "out")
        done = tmp_path / "out" / "_xpfeh" / "done"
        while len(workers(pair.process, "MapWorker")) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        pair.join_a_node()
        while len(workers(pair.process, "MapWorker")) < 3:
            assert process.poll() is None, "the new node is not used"
            time.sleep(0.05)
        while not list(done.glob("*.json")):
            time.sleep(0.05)
        before = len(list(done.iterdir()))
        pair.terminate_a_node()
        assert process.poll() is None
        ended(process, tmp_path)
    account = verify(tmp_path / "out")
    assert (account.problems, account.parts) == ([], PARTS)
    assert before < PARTS - 2, "too late"
    assert not (tmp_path / "out" / "_xpfeh" / "tmp").exists()
