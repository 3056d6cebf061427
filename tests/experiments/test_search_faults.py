"""A search under real faults: a killed driver, worker and node, and an outage of the tracking server."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mlflow.entities import Run
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.finalists import ENSEMBLE

from tests.processes import environment, free_port, kill, tracking_server, two_nodes, workers

pytestmark = pytest.mark.slow

NAME = "faulty"
STEPS = 1000
TRIAL = "ImplicitFunc.train"
LOAD = """
import sys
from xpfeh.experiments.registry import candidate_of
from xpfeh.inference.predictor import Predictor
for run in sys.argv[1:]:
    Predictor(candidate_of(run).folder)
"""


class Driver:
    """``xpfeh tune`` in a separate process and session."""

    def __init__(self, features: Path, labels: Path, folder: Path) -> None:
        self.folder = folder
        self._command = [
            sys.executable, "-m", "xpfeh", "tune", "--features", str(features), "--labels", str(labels),
            "--steps", str(STEPS), "--finalists", "1", "--members", "10", "--storage", str(folder / "searches"),
        ]  # fmt: skip
        self.process: psutil.Popen | None = None

    def start(self, *arguments: str, **variables: str) -> None:
        with (self.folder / "log").open("a") as log:
            self.process = psutil.Popen(
                [*self._command, *arguments], env=environment(variables), stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip

    def wait_until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 240
        while not happened():
            assert self.process.poll() is None, f"ended too early: {self.output()}"
            assert time.monotonic() < deadline, f"not within four minutes: {self.output()}"
            time.sleep(0.1)

    def finish(self) -> None:
        assert self.process.wait(timeout=240) == 0, self.output()

    def kill(self) -> None:
        if self.process is not None:
            kill(self.process)

    def output(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def driver(features_dir: Path, labels_file: Path, tmp_path: Path, mlflow_store: str) -> Iterator[Driver]:
    mlflow_runs.experiment_id()  # makes the store's tables, before two processes would
    one = Driver(features_dir, labels_file, tmp_path)
    yield one
    one.kill()


def _runs() -> list[Run]:
    """The search's own run, its trials' and its finalists'."""
    found = mlflow_runs.client().search_runs([mlflow_runs.experiment_id()])
    return [run for run in found if _tag(run).partition("/")[0] == NAME]


def _tag(run: Run) -> str:
    return run.data.tags[mlflow_runs.TRIAL_TAG]


def _ended_trials(*statuses: str) -> dict[str, tuple[str, int]]:
    """Run and end time of every trial with such a final status."""
    trials = [run for run in _runs() if _tag(run).count("/") == 1]
    chosen = statuses or ("FINISHED", "KILLED")
    return {_tag(run): (run.info.run_id, run.info.end_time) for run in trials if run.info.status in chosen}


def _interruptions(driver: Driver) -> int:
    return sum(path.read_text().count("Failure #") for path in driver.folder.glob("searches/*/*/error.txt"))


def _assert_whole(driver: Driver, trials: int) -> None:
    """Every trial is recorded once and finished; each that was not stopped early has its numbers and its bundle."""
    runs = _runs()
    tags = [_tag(run) for run in runs]
    assert len(set(tags)) == len(tags) == 1 + trials + 1
    assert sum(tag.count("/") == 1 for tag in tags) == trials
    assert sum(tag.endswith(ENSEMBLE) for tag in tags) == 1
    trained = [run for run in runs if _tag(run) != NAME]
    assert {run.info.status for run in trained} <= {"FINISHED", "KILLED"}
    assert all(run.data.metrics["validation_mae"] > 0 for run in trained)
    finished = [run for run in trained if run.info.status == "FINISHED"]
    assert all(run.data.metrics["mae"] > 0 and run.data.params["steps"] == str(STEPS) for run in finished)
    best = driver.output().rpartition("xpfeh promote ")[2].split()[0]
    bundles = [best, *(run.info.run_id for run in finished)]
    subprocess.run([sys.executable, "-c", LOAD, *bundles], check=True, timeout=120)


def test_a_driver_that_is_interrupted_and_then_killed(driver: Driver) -> None:
    driver.start("--name", NAME, "--trials", "3")
    driver.wait_until(lambda: sum("validation_mae" in run.data.metrics for run in _runs()))
    driver.process.send_signal(signal.SIGINT)
    assert driver.process.wait(timeout=60) == 2
    assert f"continue with --resume {NAME}" in driver.output().splitlines()[-1]
    driver.start("--resume", NAME, "--trials", "3")
    driver.wait_until(lambda: _ended_trials("FINISHED"))
    time.sleep(0.5)  # Ray Tune copies its state to the storage
    driver.kill()
    before = _ended_trials("FINISHED")
    (search,) = [run for run in _runs() if _tag(run) == NAME]
    mlflow_runs.run_of(f"{NAME}/lost", "of a trial that Ray Tune had not saved", search.info.run_id)
    driver.start("--resume", NAME, "--trials", "3")
    driver.finish()
    assert before.items() <= _ended_trials("FINISHED").items()
    _assert_whole(driver, trials=3)


def test_a_lost_node_and_then_a_killed_worker(driver: Driver) -> None:
    with two_nodes() as cluster:
        driver.start("--name", NAME, "--trials", "3", **cluster.variables)
        driver.wait_until(lambda: len(workers(cluster.process, TRIAL)) == 2)
        cluster.lose_a_node()
        driver.wait_until(lambda: _interruptions(driver) == 1)
        driver.wait_until(lambda: workers(cluster.process, TRIAL))
        workers(cluster.process, TRIAL)[0].kill()
        driver.wait_until(lambda: _interruptions(driver) == 2)
        driver.finish()
    _assert_whole(driver, trials=3)


def test_an_outage_of_the_tracking_server(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with tracking_server(driver.folder, port):
        mlflow_runs.experiment_id()
        driver.start("--name", NAME, "--trials", "3")
        driver.wait_until(_ended_trials)
    driver.wait_until(lambda: "3/3 trials" in driver.output())  # the search continues
    with tracking_server(driver.folder, port):
        driver.finish()
        _assert_whole(driver, trials=3)
