"""Manifests of Ray clusters, and checks on them: each check yields the problems it finds, in words."""

import functools
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEFINITIONS = ROOT.parent / "shared" / "data" / "kuberay"
"""Of KubeRay 1.7.0's kinds."""
SECRETS = re.compile(r"password|secret|token|key", re.IGNORECASE)
CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
Manifest = dict[str, Any]


# --- reading ----------------------------------------------------------------------------------------------------------


def built(folder: Path) -> list[Manifest]:
    """The output of `kubectl kustomize` for a folder, and the manifests in its ConfigMaps."""
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    manifests = list(yaml.safe_load_all(done.stdout))
    carried = [
        yaml.safe_load(text)
        for manifest in manifests
        if manifest["kind"] == "ConfigMap"
        for name, text in manifest["data"].items()
        if name.endswith(".yaml")
    ]
    return manifests + carried


def of_kind(manifests: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def where(manifest: Manifest) -> str:
    name = manifest["metadata"].get("name") or manifest["metadata"]["generateName"]
    return f"{manifest['kind']} {name}"


def clusters(manifests: Iterable[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every specification of a Ray cluster, and its place."""
    for manifest in of_kind(manifests, "RayCluster", "RayJob", "RayService"):
        part = {"RayJob": "rayClusterSpec", "RayService": "rayClusterConfig"}.get(manifest["kind"])
        spec = manifest["spec"].get(part) if part else manifest["spec"]
        if spec:  # a job may run on a cluster that is there
            yield where(manifest), spec


def groups(cluster: Manifest) -> Iterator[tuple[str, Manifest]]:
    yield "head", cluster["headGroupSpec"]
    for group in cluster["workerGroupSpecs"]:
        yield group["groupName"], group


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod template, and its place; Ray's heads with the autoscaler container that KubeRay adds."""
    for place, cluster in clusters(manifests):
        for name, group in groups(cluster):
            template = group["template"]
            if name == "head":
                (ray,) = template["spec"]["containers"]
                autoscaler = {"name": "autoscaler", "image": ray["image"], **cluster["autoscalerOptions"]}
                template = {**template, "spec": {**template["spec"], "containers": [ray, autoscaler]}}
            yield f"{place}, {name}", template
    for manifest in of_kind(manifests, "StatefulSet"):
        template, claims = manifest["spec"]["template"], manifest["spec"]["volumeClaimTemplates"]
        volumes = [*template["spec"].get("volumes", []), *({"name": claim["metadata"]["name"]} for claim in claims)]
        yield where(manifest), {**template, "spec": {**template["spec"], "volumes": volumes}}
    for manifest in of_kind(manifests, "CronJob"):
        yield where(manifest), manifest["spec"]["jobTemplate"]["spec"]["template"]


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    for place, pod in pods(manifests):
        for container in pod["spec"]["containers"]:
            yield f"{place}, {container['name']}", pod["spec"], container


# --- schemas ----------------------------------------------------------------------------------------------------------


@functools.cache
def definition(kind: str) -> jsonschema.Draft202012Validator:
    """The schema of a KubeRay kind, in which unknown fields are errors."""
    path = DEFINITIONS / f"ray.io_{kind.lower()}s.yaml"
    (version,) = (
        each for each in yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]["versions"] if each["name"] == "v1"
    )
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft202012Validator(schema)


def strict(schema: Manifest) -> Manifest:
    """Forbid fields that a structural schema does not name, unless it keeps unknown fields."""
    made = dict(schema)
    if "properties" in schema:
        made["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            made[part] = strict(schema[part])
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    return made


def kuberay_definitions(manifests: list[Manifest]) -> Iterator[str]:
    if not DEFINITIONS.is_dir():
        pytest.skip(f"no {DEFINITIONS}: KubeRay's definitions of its kinds")
    for manifest in manifests:
        if manifest["apiVersion"] == "ray.io/v1":
            for error in definition(manifest["kind"]).iter_errors(manifest):
                yield f"{where(manifest)}: {error.json_path}: {error.message}"


def kubernetes_definitions(manifests: list[Manifest]) -> Iterator[str]:
    """The schemas of all other kinds, and of pods in KubeRay's kinds, whose own definitions are less strict."""
    others = [(where(manifest), manifest) for manifest in manifests if manifest["apiVersion"] != "ray.io/v1"]
    templates = [
        (f"{place}, {name}", {"apiVersion": "v1", "kind": "PodTemplate", "template": group["template"]})
        for place, cluster in clusters(manifests)
        for name, group in groups(cluster)
    ]
    for place, manifest in others + templates:
        try:
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{place}: {error.json_path}: {error.message}"


def kuberay_rules(manifests: list[Manifest]) -> Iterator[str]:
    """Rules of the operator that are not in the definitions (its `validation.go`)."""
    for manifest in of_kind(manifests, "RayJob"):
        spec = manifest["spec"]
        if ("rayClusterSpec" in spec) == ("clusterSelector" in spec):
            yield f"{where(manifest)}: needs one of rayClusterSpec and clusterSelector"
        if spec.get("backoffLimit") and "clusterSelector" in spec:
            yield f"{where(manifest)}: backoffLimit needs a cluster of its own"
        if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
            yield f"{where(manifest)}: ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
        if "deletionStrategy" in spec and spec.get("shutdownAfterJobFinishes"):
            yield f"{where(manifest)}: deletionStrategy and shutdownAfterJobFinishes exclude each other"
    for place, cluster in clusters(manifests):
        if cluster.get("upgradeStrategy") and not place.startswith("RayCluster"):
            yield f"{place}: upgradeStrategy is only for a cluster without an owner"
        for name, group in groups(cluster):
            if "restartPolicy" in group["template"]["spec"]:
                yield f"{place}, {name}: the autoscaler wants no restartPolicy"


# --- pods -------------------------------------------------------------------------------------------------------------


def limits(manifests: list[Manifest]) -> Iterator[str]:
    for place, _, container in containers(manifests):
        for kind in ("requests", "limits"):
            if missing := {"cpu", "memory"} - set(container.get("resources", {}).get(kind, {})):
                yield f"{place}: no {kind} of {', '.join(sorted(missing))}"


def confinement(manifests: list[Manifest]) -> Iterator[str]:
    """No root, no capabilities, a read-only disk, and volumes for what must be written."""
    for place, pod, container in containers(manifests):
        context = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
        for name, value in CONFINED.items():
            if context.get(name) != value:
                yield f"{place}: {name} is {context.get(name)}"
        if context.get("runAsUser") == 0 or pod.get("hostNetwork") or pod.get("hostPID") or pod.get("hostIPC"):
            yield f"{place}: root, or the machine's own network or processes"
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        mounts = {mount["mountPath"]: volumes.get(mount["name"]) for mount in container.get("volumeMounts", [])}
        if place.startswith("Ray"):
            (home,) = (variable["value"] for variable in container["env"] if variable["name"] == "HOME")
            for path in ("/tmp", home):
                if "emptyDir" not in (mounts.get(path) or {}):
                    yield f"{place}: {path} cannot be written to"
            shared = (mounts.get("/dev/shm") or {}).get("emptyDir", {})
            if container["name"] != "autoscaler" and shared.get("medium") != "Memory":
                yield f"{place}: /dev/shm is not in memory"


def volumes(manifests: list[Manifest]) -> Iterator[str]:
    for place, pod, container in containers(manifests):
        made = {volume["name"] for volume in pod.get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in made:
                yield f"{place}: there is no volume {mount['name']}"


def accounts(manifests: list[Manifest]) -> Iterator[str]:
    """A pod has an account's token only if it calls Kubernetes, and only the permissions it needs."""
    made = {manifest["metadata"]["name"] for manifest in of_kind(manifests, "ServiceAccount")}
    for place, pod in pods(manifests):
        account = pod["spec"].get("serviceAccountName")
        if account and account not in made:
            yield f"{place}: there is no ServiceAccount {account}"
        head = place.endswith(", head")  # KubeRay makes an account for its autoscaler
        if not account and not head and pod["spec"].get("automountServiceAccountToken") is not False:
            yield f"{place}: has the token of an account"
    roles = {manifest["metadata"]["name"]: manifest["rules"] for manifest in of_kind(manifests, "Role")}
    only = [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create"]}]
    if any(rules != only for rules in roles.values()) or of_kind(manifests, "ClusterRole", "ClusterRoleBinding"):
        yield f"a Role may do more than create RayJobs: {roles}"
    for binding in of_kind(manifests, "RoleBinding"):
        subjects = {(subject["kind"], subject["name"]) for subject in binding["subjects"]}
        if binding["roleRef"]["name"] not in roles or subjects - {("ServiceAccount", name) for name in made}:
            yield f"{where(binding)}: binds what is not there"


def secrets(manifests: list[Manifest], given: dict[str, set[str]]) -> Iterator[str]:
    """Secrets come only from the Secrets that are `given` by name, with the keys that are used."""
    yield from (f"{where(manifest)}: a secret in a file" for manifest in of_kind(manifests, "Secret"))
    for place, key, reference in references(manifests, "secretKeyRef", "secretRef", "secret"):
        name = reference.get("name") or reference.get("secretName")
        if name not in given:
            yield f"{place}: README.md makes no Secret {name}"
        elif "key" in reference and reference["key"] not in given[name]:
            yield f"{place}: the Secret {name} has no {reference['key']}"
        elif key == "secretRef" and not all(part.isupper() for part in given[name]):
            yield f"{place}: {name} is not an environment"
    for place, _, container in containers(manifests):
        for variable in container.get("env", []):
            if SECRETS.search(variable["name"]) and "value" in variable:
                yield f"{place}: a value of {variable['name']}"


def references(manifests: list[Manifest], *kinds: str) -> Iterator[tuple[str, str, Manifest]]:
    """Every reference of such a kind, however deep: place, kind and name."""

    def visit(place: str, part: Any) -> Iterator[tuple[str, str, Manifest]]:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
            if key in kinds and isinstance(value, dict):
                yield place, key, value
            yield from visit(place, value)

    for manifest in manifests:
        yield from visit(where(manifest), manifest.get("spec"))


def config_maps(manifests: list[Manifest]) -> Iterator[str]:
    made = {manifest["metadata"]["name"]: manifest["data"] for manifest in of_kind(manifests, "ConfigMap")}
    for place, _, reference in references(manifests, "configMapRef", "configMapKeyRef", "configMap"):
        if reference["name"] not in made:
            yield f"{place}: there is no ConfigMap {reference['name']}"
    for data in made.values():
        yield from (f"ConfigMap: a value of {name}" for name in data if SECRETS.search(name))


# --- network ----------------------------------------------------------------------------------------------------------


def network(manifests: list[Manifest]) -> Iterator[str]:
    policies = of_kind(manifests, "NetworkPolicy")
    denies = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if not any(policy["spec"] == denies for policy in policies):
        yield "nothing denies all that is not allowed"
    for policy in policies:
        spec = policy["spec"]
        for direction, ends in (("ingress", "from"), ("egress", "to")):
            if direction in spec and direction.capitalize() not in spec["policyTypes"]:
                yield f"{where(policy)}: {direction} is not one of its types"
            for rule in spec.get(direction, []):
                everybody = not rule.get(ends) or any(map(is_everybody, rule[ends]))
                if everybody and not (direction == "egress" and rule.get("ports")):
                    yield f"{where(policy)}: opens {direction} to everybody"
    (namespace,) = of_kind(manifests, "Namespace")
    name = namespace["metadata"]["name"]
    if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace does not enforce `restricted`"
    for manifest in manifests:
        if manifest["kind"] != "Namespace" and manifest["metadata"].get("namespace", name) != name:
            yield f"{where(manifest)}: in another namespace"


def is_everybody(peer: Manifest) -> bool:
    namespaces = peer.get("namespaceSelector")
    return namespaces is not None and not any(namespaces.values()) and "podSelector" not in peer


def selectors(manifests: list[Manifest]) -> Iterator[str]:
    """Every selector of pods by labels finds some."""
    labelled = []
    for place, pod in pods(manifests):
        labels = pod["metadata"]["labels"]
        kinds = ("head", "redis-cleanup") if place.endswith(", head") else ("worker",)
        labelled += [labels | {"ray.io/node-type": kind} for kind in kinds] if place.startswith("Ray") else [labels]
    for manifest in of_kind(manifests, "NetworkPolicy", "PodDisruptionBudget", "Service", "StatefulSet"):
        spec = manifest["spec"]
        inner = [*spec.get("ingress", []), *spec.get("egress", [])]
        peers = [peer for rule in inner for peer in [*rule.get("from", []), *rule.get("to", [])]]
        found = [spec.get("podSelector", spec.get("selector"))]
        found += [peer["podSelector"] for peer in peers if "podSelector" in peer and "namespaceSelector" not in peer]
        for selector in found:
            wanted = {name: [value] for name, value in selector.get("matchLabels", {}).items()}
            wanted |= {each["key"]: each["values"] for each in selector.get("matchExpressions", [])}
            if manifest["kind"] == "Service":
                wanted = {name: [value] for name, value in selector.items()}
            for name, values in wanted.items():
                for value in values:
                    if not any(labels.get(name) == value for labels in labelled):
                        yield f"{where(manifest)}: no pod has {name}={value}"
            if not any(all(labels.get(name) in values for name, values in wanted.items()) for labels in labelled):
                yield f"{where(manifest)}: selects no pod"
