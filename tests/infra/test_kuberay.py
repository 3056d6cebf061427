"""infra/kuberay without Kubernetes: the output of kustomize for each folder, and planted faults that must be found."""

import functools
import os
import re
import runpy
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import certifi
import pytest
import typer.main
import yaml
from pydantic import ValidationError
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.serve.schema import ServeDeploySchema
from typer.exceptions import TyperException
from xpfeh.cli.main import app
from xpfeh.cluster.run_plan import MAX_WORKERS
from xpfeh.errors import UserError
from xpfeh.serving.config import Config, read_config

from tests.infra import manifests as of
from tests.infra.manifests import ROOT, Manifest, built, clusters, of_kind, where
from tests.processes import free_port

FOLDER = ROOT / "infra" / "kuberay"
OVERLAYS = ("overlays/local", "overlays/production", "overlays/incremental-upgrade")
FOLDERS = ("base", *OVERLAYS, "jobs/local", "jobs/production")
Check = Callable[[list[Manifest]], Iterator[str]]

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here, whose kustomize builds them")


# --- versions ---------------------------------------------------------------------------------------------------------


def versions(manifests: list[Manifest]) -> Iterator[str]:
    (ray,) = re.findall(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for place, cluster in clusters(manifests):
        if cluster["rayVersion"] != ray:
            yield f"{place}: rayVersion {cluster['rayVersion']}, constraints.txt has {ray}"
    known = {f"xpfeh-train:{ours}", f"xpfeh-train:{ours}-gpu", f"xpfeh-serve:{ours}", "redis:7.4"}
    for place, _, container in of.containers(manifests):
        image = container["image"].removeprefix("REGISTRY/")
        if image not in known:
            yield f"{place}: image {image}, there are {', '.join(sorted(known))}"
        gpu = "nvidia.com/gpu" in container.get("resources", {}).get("limits", {})
        if gpu != image.endswith("-gpu"):
            yield f"{place}: image {image} {'with' if gpu else 'without'} a GPU"


# --- secrets ----------------------------------------------------------------------------------------------------------


@functools.cache
def secrets_of_the_readme() -> dict[str, set[str]]:
    """The Secrets that README.md creates, and their keys."""
    made = {}
    for line in re.findall(r"^kubectl .*create secret generic .*$", (FOLDER / "README.md").read_text(), re.MULTILINE):
        words = shlex.split(line)
        keys = {word.split("=")[1] for word in words if word.startswith(("--from-literal=", "--from-file="))}
        made[words[words.index("generic") + 1]] = keys
    return made


def secrets(manifests: list[Manifest]) -> Iterator[str]:
    yield from of.secrets(manifests, secrets_of_the_readme())


# --- the endpoint -----------------------------------------------------------------------------------------------------


def taken(text: str) -> Config:
    """A Serve configuration, as Ray Serve and xpfeh take it."""
    ServeDeploySchema.model_validate(yaml.safe_load(text))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "serve.yaml"
        path.write_text(text)
        return read_config(path)


def serving(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in of_kind(manifests, "RayService"):
        try:
            config = taken(manifest["spec"]["serveConfigV2"])
        except (ValidationError, UserError) as error:
            yield f"{where(manifest)}: {error}"
            continue
        for group in manifest["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
            (container,) = group["template"]["spec"]["containers"]
            if not any(
                Path(mount["mountPath"]) == Path(config.args.keys).parent for mount in container["volumeMounts"]
            ):
                yield f"{where(manifest)}: {config.args.keys} is not mounted"
        replicas = config.options.get("autoscaling_config", {}).get("max_replicas", config.options.get("num_replicas"))
        cores = replicas * config.options["ray_actor_options"]["num_cpus"]
        if room(manifest["spec"]["rayClusterConfig"])["CPU"] < 2 * cores:
            yield f"{where(manifest)}: no room for {replicas} new replicas next to as many old ones"


def production(manifests: list[Manifest]) -> Iterator[str]:
    shipped = yaml.safe_load((ROOT / "serve_configs" / "production.yaml").read_text())
    for manifest in of_kind(manifests, "RayService"):
        config = yaml.safe_load(manifest["spec"]["serveConfigV2"])
        jobs = config["applications"][0]["args"].pop("jobs", "")
        if config != shipped:
            yield f"{where(manifest)}: not the same as serve_configs/production.yaml"
        if not jobs.startswith("s3://"):
            yield f"{where(manifest)}: its pods do not share a folder of jobs"


# --- the clusters -----------------------------------------------------------------------------------------------------


def node_types(cluster: Manifest) -> dict[str, Any]:
    """The groups, as Ray's autoscaler reads them."""
    resource = {"metadata": {"name": "cluster", "namespace": "xpfeh"}, "spec": cluster}
    return _derive_autoscaling_config_from_ray_cr(resource)["available_node_types"]


def room(cluster: Manifest) -> dict[str, int]:
    """Cores and GPUs of a cluster that has grown as far as it may, and the cores on nodes with GPUs."""
    kinds = [(kind["max_workers"], kind["resources"]) for kind in node_types(cluster).values()]
    return {
        "CPU": sum(most * resources["CPU"] for most, resources in kinds),
        "GPU": sum(most * resources.get("GPU", 0) for most, resources in kinds),
        "CPU with GPU": sum(most * resources["CPU"] for most, resources in kinds if resources.get("GPU")),
    }


def autoscaling(manifests: list[Manifest]) -> Iterator[str]:
    for place, cluster in clusters(manifests):
        kinds = node_types(cluster)
        if kinds.pop("headgroup")["resources"]["CPU"]:
            yield f"{place}: tasks run on the head"
        if any(kind["min_workers"] for kind in kinds.values()) and not place.startswith("RayService"):
            yield f"{place}: does not scale from zero"
        if not cluster.get("enableInTreeAutoscaling") or cluster["autoscalerOptions"].get("version") != "v2":
            yield f"{place}: does not scale"


# --- the jobs ---------------------------------------------------------------------------------------------------------

STAND_IN = """#!/bin/sh
printf '%s\\n' "${0##*/}" "$@" --- >>"$CALLS"
case " $* " in *" $REFUSED "*) exit 2 ;; esac
"""
"""A stand-in for a program: records its arguments, one per line, and fails on those to be refused."""


def called(entrypoint: str, refused: str = "nothing") -> list[list[str]]:
    """The commands that a shell runs for an entry point, as under Ray; ValueError if it complains."""
    with tempfile.TemporaryDirectory() as name:
        calls = Path(name) / "calls"
        calls.touch()
        for program in ("xpfeh", "python"):
            (Path(name) / program).write_text(STAND_IN)
            (Path(name) / program).chmod(0o755)
        done = subprocess.run(
            ["/bin/sh", "-c", entrypoint], env={"PATH": name, "CALLS": str(calls), "REFUSED": refused},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.stderr:
            raise ValueError(done.stderr)
        return [call.splitlines() for call in calls.read_text().split("---\n") if call]


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The parsed command of `xpfeh`, and its parameters; nothing is run."""
    command: Any = typer.main.get_command(app)
    context, names = command.make_context("xpfeh", list(words), resilient_parsing=False), []
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context, resilient_parsing=False)
        names.append(name)
    return " ".join(names), context.params


def places(given: dict[str, Any]) -> Iterator[str]:
    """The paths that all pods of a cluster must share."""
    for name in ("source", "photometry", "features", "out", "storage"):
        value = given.get(name) or []
        if not isinstance(value, Path):  # which is local to the command, and refuses a URI
            yield from [value] if isinstance(value, str) else value


def commands(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in of_kind(manifests, "RayJob"):
        entrypoint = manifest["spec"]["entrypoint"]
        try:
            calls = [*called(entrypoint), *called(entrypoint, refused="--resume")]
        except ValueError as error:
            yield f"{where(manifest)}: {error}"
            continue
        for program, *words in calls:
            if program == "python":
                compile(words[1], "entrypoint", "exec")
                continue
            try:
                name, given = parsed(words)
            except TyperException as error:
                yield f"{where(manifest)}: {error}"
                continue
            if not all(place.startswith("s3://") for place in places(given)):
                yield f"{where(manifest)}: {name} names a folder, which is another one on each pod"
            if share := given.get("gpus_per_worker"):
                there, workers = room(manifest["spec"]["rayClusterSpec"]), given["workers"]
                if workers * share > there["GPU"] or workers * given["cpus_per_worker"] > there["CPU with GPU"]:
                    yield f"{where(manifest)}: {workers} concurrent trials have no room"


# --- all of them ------------------------------------------------------------------------------------------------------

CHECKS: tuple[Check, ...] = (
    of.kuberay_definitions,
    of.kuberay_rules,
    of.kubernetes_definitions,
    of.limits,
    of.confinement,
    of.volumes,
    of.accounts,
    of.config_maps,
    of.network,
    of.selectors,
    autoscaling,
    commands,
    secrets,
    serving,
    versions,
)
OF_ALL = (of.network, of.selectors, of.config_maps)
"""Checks that need the whole: `jobs` contains only the jobs."""
folder_and_check = [
    pytest.param(folder, check, id=f"{folder}-{check.__name__}")
    for folder in FOLDERS
    for check in (*CHECKS, *([production] if folder != "overlays/local" else []))
    if not (folder.startswith("jobs") and check in OF_ALL)
]


@functools.cache
def shipped(folder: str) -> list[Manifest]:
    return built(FOLDER / folder)


@pytest.mark.parametrize(("folder", "check"), folder_and_check)
def test_nothing_is_wrong(folder: str, check: Check) -> None:
    assert list(check(shipped(folder))) == []


def test_every_folder_with_a_kustomization_is_built() -> None:
    standing = {str(path.parent.relative_to(FOLDER)) for path in FOLDER.rglob("kustomization.yaml")}
    assert standing == {*FOLDERS, "base/verify", "jobs/base"}  # the last two are built as parts of others


def test_everything_needed_exists() -> None:
    kinds = {(manifest["kind"], where(manifest).split()[1]) for manifest in shipped("overlays/production")}
    assert {
        ("Namespace", "xpfeh"), ("RayCluster", "xpfeh"), ("RayService", "endpoint"), ("CronJob", "verify"),
        ("RayJob", "verify-"), ("PodDisruptionBudget", "endpoint"), ("NetworkPolicy", "deny-all"),
    } <= kinds  # fmt: skip
    for folder in ("jobs/local", "jobs/production"):
        assert {where(manifest) for manifest in shipped(folder)} == {"RayJob ingest", "RayJob tune", "RayJob catalog"}
    assert {group["groupName"] for group in one("overlays/local", "RayCluster")["spec"]["workerGroupSpecs"]} == {"cpu"}
    strategies = {folder: one(folder, "RayService")["spec"]["upgradeStrategy"]["type"] for folder in OVERLAYS}
    assert list(strategies.values()) == ["NewCluster", "NewCluster", "NewClusterWithIncrementalUpgrade"]


def one(folder: str, kind: str, name: str = "") -> Manifest:
    (manifest,) = (each for each in of_kind(shipped(folder), kind) if name in where(each))
    return manifest


def test_the_local_endpoint_is_that_of_production_with_another_model_and_no_bucket() -> None:
    ours, theirs = (
        yaml.safe_load(one(f"overlays/{name}", "RayService")["spec"]["serveConfigV2"])
        for name in ("local", "production")
    )
    assert ours["applications"][0]["args"].pop("model") == "pretrained"
    assert ours["applications"][0]["deployments"][0].pop("num_replicas") == 1
    del theirs["applications"][0]["args"]["model"], theirs["applications"][0]["args"]["jobs"]
    del theirs["applications"][0]["deployments"][0]["autoscaling_config"]
    assert ours == theirs


def test_jobs_have_the_cluster_of_their_overlay_and_room_for_their_workers() -> None:
    for overlay in ("local", "production"):
        standing = one(f"overlays/{overlay}", "RayCluster")["spec"]  # at the end, of production
        for job in shipped(f"jobs/{overlay}"):
            assert job["spec"]["rayClusterSpec"] == standing
            assert job["spec"]["backoffLimit"] > 0
            assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert room(standing)["CPU"] - room(standing)["CPU with GPU"] == MAX_WORKERS == 128
    for name in ("ingest", "catalog"):
        (_, *words), *_ = called(one("jobs/production", "RayJob", name)["spec"]["entrypoint"])
        assert parsed(words)[1]["workers"] == MAX_WORKERS


@pytest.mark.parametrize("folder", ["jobs/local", "jobs/production"])
def test_a_search_resumes_or_else_starts(folder: str) -> None:
    entrypoint = one(folder, "RayJob", "tune")["spec"]["entrypoint"]
    fetch, *resumed = called(entrypoint)
    _, *begun = called(entrypoint, refused="--resume")
    assert [call[:3] for call in resumed] == [["xpfeh", "tune", "--resume"]]
    assert [call[:3] for call in begun] == [["xpfeh", "tune", "--resume"], ["xpfeh", "tune", "--name"]]
    assert begun[0][3:] == begun[1][3:] == resumed[0][3:]
    assert fetch[0] == "python"


def test_labels_are_fetched_as_a_file(tmp_path: Path) -> None:
    (_, _, code), (_, *tune) = called(one("jobs/production", "RayJob", "tune")["spec"]["entrypoint"])
    (tmp_path / "there.parquet").write_bytes(b"labels")
    code = code.replace("s3://xpfeh/labels.parquet", (tmp_path / "there.parquet").as_uri())
    code = code.replace(parsed(tune)[1]["labels"], f"{tmp_path}/here.parquet")
    exec(code, {})
    assert (tmp_path / "here.parquet").read_bytes() == b"labels"


def test_the_cron_job_makes_the_job_of_verify(tmp_path: Path) -> None:
    asked: list[tuple[str, str, bytes]] = []
    answers = [201, 403]

    class Kubernetes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], body))
            self.send_response(answers[len(asked) - 1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    for name, text in (("namespace", "xpfeh"), ("token", "the-token")):
        (tmp_path / name).write_text(text)
    shutil.copy(certifi.where(), tmp_path / "ca.crt")
    (config_map,) = (each for each in of_kind(shipped("base"), "ConfigMap") if "submit.py" in each["data"])
    script = tmp_path / "submit.py"
    script.write_text(config_map["data"]["submit.py"])
    create = runpy.run_path(str(script))["create"]
    with HTTPServer(("127.0.0.1", 0), Kubernetes) as server:
        server.timeout = 20
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in answers])
        thread.start()
        where_to, job = f"http://127.0.0.1:{server.server_port}", config_map["data"]["rayjob.yaml"].encode()
        create(where_to, tmp_path, job)
        with pytest.raises(HTTPError, match="403"):
            create(where_to, tmp_path, job)
        thread.join()
    (path, authorization, body), _ = asked
    assert path == "/apis/ray.io/v1/namespaces/xpfeh/rayjobs?fieldValidation=Strict"
    assert authorization == "Bearer the-token"
    assert where(yaml.safe_load(body)) == "RayJob verify-"
    pod = one("base", "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    assert container["command"] == ["python", f"{container['volumeMounts'][0]['mountPath']}/submit.py"]
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no Redis here: apt-get install redis-server")
def test_redis_starts_with_its_password(tmp_path: Path) -> None:
    (container,) = one("base", "StatefulSet")["spec"]["template"]["spec"]["containers"]
    port = free_port()
    shell, option, script = container["command"]
    script = script.replace("--dir /data", f"--dir {tmp_path} --port {port}")

    def ping(**variables: str) -> str:
        program, *words = container["readinessProbe"]["exec"]["command"]
        done = subprocess.run(
            [program, "-p", str(port), *words], env={"PATH": os.environ["PATH"], **variables},
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
        return f"{done.returncode} {done.stdout}{done.stderr}".strip()

    password = {container["env"][0]["name"]: "the-password"}
    with subprocess.Popen(
        [shell, option, script], env={"PATH": os.environ["PATH"], **password}, stdout=subprocess.DEVNULL
    ) as redis:
        try:
            deadline = time.monotonic() + 20
            while (answer := ping(**password)) != "0 PONG":
                assert time.monotonic() < deadline, answer
                time.sleep(0.1)
            assert ping() == "1 NOAUTH Authentication required."
            assert "the-password" not in Path(f"/proc/{redis.pid}/cmdline").read_text()
        finally:
            redis.terminate()
        assert redis.wait(timeout=20) == 0, "the shell does not hand signals on"


def test_the_images_have_what_the_pods_need() -> None:
    dockerfile = (ROOT / "infra" / "docker" / "Dockerfile").read_text()
    assert set(re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE)) == {"1000"}  # a number, for runAsNonRoot
    assert "wget" in dockerfile  # KubeRay asks with it whether a pod of a RayService is ready
    assert {"train", "train-gpu", "serve"} <= set(re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE))


# --- README.md --------------------------------------------------------------------------------------------------------


def test_the_readme_is_right() -> None:
    text = (FOLDER / "README.md").read_text()
    assert re.findall(r"--version ([\d.]+)", text) == ["1.7.0"]
    for path in re.findall(r" -[kf] (infra/\S+)", text):
        assert (ROOT / path).exists(), path
    asked = of.references(shipped("overlays/production"), "secretRef", "secretKeyRef", "secret")
    names = {reference.get("name") or reference["secretName"] for _, _, reference in asked}
    assert set(secrets_of_the_readme()) == names, "a Secret that nobody asks for"
    for line in re.findall(r"^xpfeh (.*?)(?:  |$)", text, re.MULTILINE):
        parsed(shlex.split(line))


# --- planted faults ---------------------------------------------------------------------------------------------------

# By file: the right text, a wrong one, the check that finds it, and its message.
PLANTED: dict[str, list[tuple[str, str, Check, str]]] = {
    "base/namespace.yaml": [("restricted", "baseline", of.network, "does not enforce `restricted`")],
    "base/environment.yaml": [("data:", "data:\n  API_TOKEN: hunter2", of.config_maps, "a value of API_TOKEN")],
    "base/cluster.yaml": [
        ("rayVersion:", "rayVersoin:", of.kuberay_definitions, "'rayVersoin' was unexpected"),
        ("maxReplicas: 8", "maxReplica: 8", of.kuberay_definitions, "'maxReplica' was unexpected"),
        ("maxReplicas: 8", "maxReplicas: eight", of.kuberay_definitions, "'eight' is not of type 'integer'"),
        ("mode: token", "mode: tokens", of.kuberay_definitions, "'tokens' is not one of"),
        ("tolerations:", "toleration:", of.kuberay_definitions, "'toleration' was unexpected"),
        ("tolerations:", "toleration:", of.kubernetes_definitions, "'toleration' was unexpected"),
        ("envFrom: *worker", "envfrom: *worker", of.kubernetes_definitions, "'envfrom' was unexpected"),
        ('"2.60.0"', '"2.59.0"', versions, "rayVersion 2.59.0"),
        ("xpfeh-train:0.1.0", "xpfeh-train:0.2.0", versions, "image xpfeh-train:0.2.0"),
        ("0.1.0-gpu", "0.1.0", versions, "with a GPU"),
        ('num-cpus: "0"', 'num-cpus: "2"', autoscaling, "tasks run on the head"),
        ("minReplicas: 0", "minReplicas: 1", autoscaling, "does not scale from zero"),
        ("version: v2", "version: v1", autoscaling, "does not scale"),
        ('limits: {cpu: "2", memory: 8Gi}', 'limits: {cpu: "2"}', of.limits, "no limits of memory"),
        ("runAsNonRoot: true", "runAsNonRoot: false", of.confinement, "runAsNonRoot is False"),
        ("drop: [ALL]", "drop: []", of.confinement, "capabilities is {'drop': []}"),
        ("mountPath: /tmp}", "mountPath: /temp}", of.confinement, "/tmp cannot be written to"),
        ("{medium: Memory}", "{}", of.confinement, "/dev/shm is not in memory"),
        ("name: tmp, emptyDir", "name: temp, emptyDir", of.volumes, "there is no volume tmp"),
        ("automountServiceAccountToken: false", "hostname: a", of.accounts, "has the token of an account"),
        ("key: password", "key: word", secrets, "the Secret redis has no word"),
        ("secretRef: {name: s3}", "secretRef: {name: s4}", secrets, "makes no Secret s4"),
        ("HOME, value:", "AWS_SECRET_ACCESS_KEY, value:", secrets, "a value of AWS_SECRET_ACCESS_KEY"),
        ("name: environment", "name: environments", of.config_maps, "there is no ConfigMap environments"),
    ],
    "base/endpoint.yaml": [
        ("upgradeStrategy:", "upgradeStrategies:", of.kuberay_definitions, "'upgradeStrategies' was unexpected"),
        ("minAvailable: 1", "minAvailible: 1", of.kubernetes_definitions, "'minAvailible' was unexpected"),
        ("max_surge_percent", "max_surge_pct", serving, "does not know"),
        ("retry_after_s: 2", "retry_after_s: two", serving, "retry_after_s"),
        ("keys: /etc/xpfeh/keys.json", "key: /etc/xpfeh/keys.json", serving, "args.key"),
        ("keys: /etc/xpfeh/keys.json", "archive: true", serving, "no keys protect it"),
        ("mountPath: /etc/xpfeh", "mountPath: /etc/keys", serving, "is not mounted"),
        ("maxReplicas: 16", "maxReplicas: 8", serving, "no room for 16 new replicas"),
        ("max_ongoing_requests: 32", "max_ongoing_requests: 33", production, "not the same as serve_configs"),
        ("node-type: worker}\n", "node-type: workers}\n", of.selectors, "no pod has ray.io/node-type=workers"),
        ("secretName: keys", "secretName: key", secrets, "makes no Secret key"),
    ],
    "base/redis.yaml": [
        ("readinessProbe:", "readynessProbe:", of.kubernetes_definitions, "'readynessProbe' was unexpected"),
        ("selector: {app", "selector: {apps", of.selectors, "Service redis: no pod has"),
        ("name: data, mountPath", "name: date, mountPath", of.volumes, "there is no volume date"),
        ("image: redis:7.4", "image: redis", versions, "image redis,"),
    ],
    "base/network.yaml": [
        ("ingress:\n    - from: [", "ingres:\n    - from: [", of.kubernetes_definitions, "'ingres' was unexpected"),
        ("podSelector: {}", "podSelector: {matchLabels: {a: b}}", of.network, "nothing denies all"),
        ('matchLabels: {xpfeh/may-ask: "yes"}', "matchLabels: {}", of.network, "opens ingress to everybody"),
        ("values: [cluster, endpoint]", "values: [clusters]", of.selectors, "component=clusters"),
    ],
    "base/verify/cronjob.yaml": [
        ("concurrencyPolicy", "concurencyPolicy", of.kubernetes_definitions, "'concurencyPolicy' was unexpected"),
        ("serviceAccountName: verify", "serviceAccountName: other", of.accounts, "there is no ServiceAccount other"),
        ("limits: {cpu: 500m, memory: 128Mi}", "limits: {}", of.limits, "no limits of cpu, memory"),
    ],
    "base/verify/access.yaml": [
        ("verbs: [create]", "verbs: [create, delete]", of.accounts, "may do more than create RayJobs"),
        ("ServiceAccount\n    name: ver", "ServiceAccount\n    name: other", of.accounts, "binds what is not there"),
    ],
    "base/verify/rayjob.yaml": [
        ("deletionRules", "deletionRule", of.kuberay_definitions, "'deletionRule' was unexpected"),
        ("submissionMode", "backoffLimit: 1\n  submissionMode", of.kuberay_rules, "needs a cluster of its own"),
        ("xpfeh verify", "xpfeh verified", commands, "No such command 'verified'"),
    ],
    "jobs/base/every-job.yaml": [
        ("backoffLimit", "backOffLimit", of.kuberay_definitions, "'backOffLimit' was unexpected"),
        ("shutdownAfterJobFinishes: true", "suspend: false", of.kuberay_rules, "needs shutdownAfterJobFinishes"),
    ],
    "jobs/base/ingest.yaml": [
        ("--workers", "--worker", commands, "No such option: --worker"),
        ("    --out s3://xpfeh/features\n", "", commands, "Missing parameter: out"),
        ("--out s3://xpfeh/features", "", commands, "--workers: not found"),  # an empty line ends a command
        ("--out s3://xpfeh", "--out /xpfeh", commands, "ingest names a folder"),
    ],
    "jobs/base/tune.yaml": [
        ("--trials 100", "--trials many", commands, "valid integer"),
        ("--workers 20", "--workers 21", commands, "21 concurrent trials have no room"),
    ],
    "jobs/base/catalog.yaml": [
        ("catalog run", "catalogue run", commands, "No such command 'catalogue'"),
        ("--workers 128", "--workers 0", commands, "greater than or equal to 1"),
    ],
    "overlays/local/cluster.yaml": [('limits: {cpu: "1", memory: 4Gi}', "limits: {}", of.limits, "no limits of cpu")],
    "overlays/local/endpoint.yaml": [("import_path", "import-path", serving, "import_path")],
    "overlays/incremental-upgrade/kustomization.yaml": [
        ("stepSizePercent", "stepPercent", of.kuberay_definitions, "'stepPercent' was unexpected"),
    ],
}  # fmt: skip


def built_by(path: str) -> str:
    """The folder whose manifests a file goes into."""
    return "base" if path.startswith("base") else path.rpartition("/")[0].replace("jobs/base", "jobs/production")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "right", "wrong", "check", "found"),
    [
        pytest.param(path, *case, id=f"{path}: {' '.join(case[1].split()) or 'nothing'}")
        for path, cases in PLANTED.items()
        for case in cases
    ],
)
def test_a_planted_fault_is_found(path: str, right: str, wrong: str, check: Check, found: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "kuberay")
    file = tmp_path / "kuberay" / path
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))
    problems = list(check(built(tmp_path / "kuberay" / built_by(path))))
    assert any(found in problem for problem in problems), problems


def test_every_check_has_found_something() -> None:
    assert {check for cases in PLANTED.values() for _, _, check, _ in cases} == {*CHECKS, production}
