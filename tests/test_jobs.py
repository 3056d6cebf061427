"""Scripts in jobs/ under `ray job submit`, on a real cluster of its own on this machine.

The folder called platform/ must not get in the way: were it a package, the job would stay PENDING for ever.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from xpfeh.experiments import mlflow_runs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RAY = str(Path(sys.executable).parent / "ray")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


GCS_PORT, DASHBOARD_PORT, AGENT_PORT = (_free_port() for _ in range(3))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_TMPDIR": "/tmp", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_urlsafe(32)}
    head = [
        RAY, "start", "--head", "--block", "--num-cpus=2", f"--port={GCS_PORT}", f"--dashboard-port={DASHBOARD_PORT}",
        f"--dashboard-agent-listen-port={AGENT_PORT}", "--object-store-memory=150000000", "--disable-usage-stats",
    ]  # fmt: skip
    with (tmp_path_factory.mktemp("cluster") / "log").open("w") as log:
        process = subprocess.Popen(head, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(environment)
        yield environment
    finally:
        parent = psutil.Process(process.pid)
        for member in [*parent.children(recursive=True), parent]:
            member.kill()
        process.wait(timeout=60)


def _wait_for(environment: dict[str, str]) -> None:
    """Wait until the cluster runs a job: it answers some seconds before its agent takes one."""
    for _ in range(40):
        probe = [RAY, "job", "submit", "--address", f"http://127.0.0.1:{DASHBOARD_PORT}", "--", "true"]
        done = subprocess.run(probe, env=environment, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            return
        time.sleep(1)
    raise AssertionError(f"the cluster takes no job: {done.stdout}{done.stderr}")


def submit(environment: dict[str, str], variables: dict[str, str], *script: object) -> str:
    command = [
        RAY, "job", "submit", "--address", f"http://127.0.0.1:{DASHBOARD_PORT}", "--working-dir", str(ROOT),
        "--runtime-env-json", json.dumps({"env_vars": variables}), "--", sys.executable,
    ]  # fmt: skip
    done = subprocess.run(
        [*command, *map(str, script)], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_submitted_search_finishes(
    cluster: dict[str, str], features_dir: Path, labels_file: Path, tmp_path: Path, mlflow_store: str
) -> None:
    output = submit(
        cluster, {"MLFLOW_TRACKING_URI": mlflow_store},
        "jobs/tune.py", "--features", features_dir, "--labels", labels_file,
        "--trials", 2, "--steps", 500, "--storage", tmp_path, "--name", "submitted",
    )  # fmt: skip
    assert "succeeded" in output
    assert "make it the champion" in output
    assert len(mlflow_runs.finished_runs()) >= 1


def test_a_users_mistake_fails_the_job_with_its_line(cluster: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no such file"):
        submit(cluster, {}, "jobs/ingest.py", tmp_path / "none.fits", "--out", tmp_path / "features")
