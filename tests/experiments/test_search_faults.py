"""A search whose driver is killed, with real processes, and resumed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from mlflow.entities import Run
from xpfeh.experiments import tracking

NAME = "faulty"
STEPS = 1000
LOAD = """
import sys
from xpfeh.experiments.registry import bundle_of_run
from xpfeh.model.predictor import Predictor
for run in sys.argv[1:]:
    Predictor.load(bundle_of_run(run).folder)
"""


class Driver:
    """``xpfeh tune`` in a process of its own, in a session of its own."""

    def __init__(self, features: Path, labels: Path, folder: Path) -> None:
        self.folder = folder
        self._command = [
            sys.executable, "-m", "xpfeh", "tune", "--features", str(features), "--labels", str(labels),
            "--steps", str(STEPS), "--finalists", "1", "--ensemble", "2", "--storage", str(folder / "searches"),
        ]  # fmt: skip
        self.process: psutil.Popen | None = None

    def start(self, *arguments: str, **variables: str) -> None:
        with (self.folder / "log").open("a") as log:
            self.process = psutil.Popen(
                [*self._command, *arguments], env=_environment(variables), stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip

    def wait_until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 240
        while not happened():
            assert self.process.poll() is None, f"ended too early: {self.told()}"
            assert time.monotonic() < deadline, f"not within four minutes: {self.told()}"
            time.sleep(0.1)

    def finish(self) -> None:
        assert self.process.wait(timeout=240) == 0, self.told()

    def kill(self) -> None:
        """Kill the driver, and then the Ray processes that it leaves behind."""
        if self.process is not None:
            _kill(self.process)

    def told(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def driver(features_dir: Path, labels_file: Path, tmp_path: Path, mlflow_store: str) -> Iterator[Driver]:
    tracking.experiment_id()  # makes the store's tables, before two processes would
    one = Driver(features_dir, labels_file, tmp_path)
    yield one
    one.kill()


def _environment(variables: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | variables


def _kill(process: psutil.Popen) -> None:
    """Kill a process, and then those that it leaves behind."""
    if process.poll() is None:
        family = [process, *process.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=30)


def _runs() -> list[Run]:
    """The search's own run, its trials' and its finalists'."""
    found = tracking.client().search_runs([tracking.experiment_id()])
    return [run for run in found if _tag(run).partition("/")[0] == NAME]


def _tag(run: Run) -> str:
    return run.data.tags[tracking.TRIAL_TAG]


def _ended_trials(*statuses: str) -> dict[str, tuple[str, int]]:
    """Run and time of the end of every trial that has ended with such a status."""
    trials = [run for run in _runs() if _tag(run).count("/") == 1]
    chosen = statuses or ("FINISHED", "KILLED")
    return {_tag(run): (run.info.run_id, run.info.end_time) for run in trials if run.info.status in chosen}


def _assert_whole(driver: Driver, trials: int) -> None:
    """Every trial is there once and has ended; each that was not stopped early has its numbers and its bundle."""
    runs = _runs()
    tags = [_tag(run) for run in runs]
    assert len(set(tags)) == len(tags) == 1 + trials + 2
    assert sum(tag.count("/") == 1 for tag in tags) == trials
    assert sum("/seed-" in tag for tag in tags) == 2
    trained = [run for run in runs if _tag(run) != NAME]
    assert {run.info.status for run in trained} <= {"FINISHED", "KILLED"}
    assert all(run.data.metrics["validation_mae"] > 0 for run in trained)
    finished = [run for run in trained if run.info.status == "FINISHED"]
    assert all(run.data.metrics["mae"] > 0 and run.data.params["steps"] == str(STEPS) for run in finished)
    best = driver.told().rpartition("xpfeh promote ")[2].split()[0]
    bundles = [best, *(run.info.run_id for run in finished)]
    subprocess.run([sys.executable, "-c", LOAD, *bundles], check=True, timeout=120)


def test_a_killed_driver(driver: Driver) -> None:
    driver.start("--name", NAME, "--trials", "5")
    driver.wait_until(lambda: len(_ended_trials("FINISHED")) >= 2)
    time.sleep(0.5)  # Ray Tune copies its state to the storage
    driver.kill()
    before = _ended_trials("FINISHED")
    (search,) = [run for run in _runs() if _tag(run) == NAME]
    tracking.run_of(f"{NAME}/lost", "of a trial that Ray Tune had not saved", search.info.run_id)
    driver.start("--resume", NAME, "--trials", "5")
    driver.finish()
    assert before.items() <= _ended_trials("FINISHED").items()
    _assert_whole(driver, trials=5)
