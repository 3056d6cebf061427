"""Scripts in jobs/ under `ray job submit`, on a real, private cluster on this machine.

The folder called platform/ must not get in the way: were it a package, the job would stay PENDING for ever.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests
from xpfeh.dataset.verify import verify
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.finalists import ENSEMBLE
from xpfeh.sources.library import NAME

from tests.processes import free_port, tracking_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RAY = str(Path(sys.executable).parent / "ray")

GCS_PORT, DASHBOARD_PORT, AGENT_PORT = (free_port() for _ in range(3))


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
            with suppress(psutil.NoSuchProcess):  # it ended when its parent did
                member.kill()
        process.wait(timeout=60)


def _wait_for(environment: dict[str, str]) -> None:
    """Wait until the cluster runs a job: it answers some seconds before its agent accepts one."""
    for _ in range(40):
        done = job(environment, "submit", "--", "true")
        if done.returncode == 0:
            return
        time.sleep(1)
    raise AssertionError(f"the cluster takes no job: {done.stdout}{done.stderr}")


def job(environment: dict[str, str], what: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `ray job ...`."""
    command = [RAY, "job", what, "--address", f"http://127.0.0.1:{DASHBOARD_PORT}", *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def submit(environment: dict[str, str], variables: dict[str, str], *script: object, name: str = "") -> str:
    """Submit a script; wait for its end, unless a name is given."""
    runtime = ("--working-dir", ROOT, "--runtime-env-json", json.dumps({"env_vars": variables}))
    named = ("--submission-id", name, "--no-wait") if name else ()
    done = job(environment, "submit", *runtime, *named, "--", sys.executable, *script)
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


_SHIPPED = """
import pathlib, xpfeh
here = pathlib.Path.cwd()
print("SHIPPED", *sorted(path.name for path in here.iterdir()))
print("BYTES", sum(path.stat().st_size for path in here.rglob("*") if path.is_file()))
print("CODE", pathlib.Path(xpfeh.__file__).is_relative_to(here))
"""


def test_a_job_uploads_only_what_it_needs(cluster: dict[str, str]) -> None:
    output = submit(cluster, {"PYTHONPATH": "platform"}, "-c", _SHIPPED)
    words = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.strip()}
    assert {"jobs", "platform"} <= set(words["SHIPPED"])
    assert not {".git", ".venv", "demo", "docs", "infra", "mlflow", "tests"} & set(words["SHIPPED"])
    assert int(words["BYTES"][0]) < 15_000_000
    assert words["CODE"] == ["True"]


def test_a_wrong_token_is_refused(cluster: dict[str, str]) -> None:
    refused = job({**cluster, "RAY_AUTH_TOKEN": secrets.token_urlsafe(32)}, "list")
    assert refused.returncode != 0
    assert "token" in (refused.stdout + refused.stderr).lower()


def test_a_stopped_job_is_followed_and_its_successor_resumes(cluster: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "features"
    arguments = ("jobs/ingest.py", NAME, "--out", out, "--workers", 1)
    submit(cluster, {}, *arguments, name="first")
    done = out / "_xpfeh" / "done"
    deadline = time.monotonic() + 120
    while not list(done.glob("*.json")):
        assert time.monotonic() < deadline, job(cluster, "logs", "first").stdout
        time.sleep(0.05)
    token = {"Authorization": f"Bearer {cluster['RAY_AUTH_TOKEN']}"}  # what `ray job stop` does in two seconds
    assert requests.post(f"http://127.0.0.1:{DASHBOARD_PORT}/api/jobs/first/stop", headers=token, timeout=60).ok
    deadline = time.monotonic() + 60
    while "was stopped" not in (status := job(cluster, "status", "first").stdout):
        assert time.monotonic() < deadline, status
    assert "fingerprints of spectra" in job(cluster, "logs", "first").stdout
    before = {path.name: path.stat().st_mtime_ns for path in done.iterdir()}
    assert len(before) < 8, "it was stopped in the middle"
    assert "39,851 written" in submit(cluster, {}, *arguments)
    assert {path.name: path.stat().st_mtime_ns for path in done.iterdir()}.items() >= before.items()
    assert verify(out).problems == []


def test_two_searches_at_once_on_one_cluster_and_one_tracking_server(
    cluster: dict[str, str], features_dir: Path, labels_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    names = ("left", "right")
    with tracking_server(tmp_path, port):
        for name in names:
            submit(
                cluster, {"MLFLOW_TRACKING_URI": uri}, "jobs/tune.py", "--features", features_dir, "--labels",
                labels_file, "--trials", 2, "--steps", 100, "--finalists", 1, "--storage", tmp_path / "searches",
                "--name", name, name=name,
            )  # fmt: skip
        for name in names:
            while "succeeded" not in (status := job(cluster, "status", name).stdout):
                assert "failed" not in status, job(cluster, "logs", name).stdout
                time.sleep(3)
        runs = mlflow_runs.client().search_runs([mlflow_runs.experiment_id()])
    tags = sorted(run.data.tags[mlflow_runs.TRIAL_TAG] for run in runs)
    assert len(set(tags)) == len(tags) == 2 * (1 + 2 + 1)
    parents = {run.data.tags[mlflow_runs.TRIAL_TAG]: run.info.run_id for run in runs}
    for run in runs:
        if parent := run.data.tags.get("mlflow.parentRunId"):
            assert parent == parents[run.data.tags[mlflow_runs.TRIAL_TAG].partition("/")[0]]
    assert sum(tag.endswith(ENSEMBLE) for tag in tags) == 2


def test_a_submitted_catalog_and_a_submitted_report_finish(
    cluster: dict[str, str], features_dir: Path, labels_file: Path, bundle: Path, tmp_path: Path, mlflow_store: str
) -> None:
    variables, given = {"MLFLOW_TRACKING_URI": mlflow_store}, ("--model", bundle, "--features", features_dir)
    submit(cluster, variables, "jobs/catalog.py", *given, "--out", tmp_path / "catalog")
    assert verify(tmp_path / "catalog").problems == []
    submit(cluster, variables, "jobs/validate.py", *given, "--labels", labels_file, "--out", tmp_path / "report")
    assert (tmp_path / "report" / "index.html").is_file()
