"""The house: which room may import which, and names that must not be taken."""

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.genuine import datalink_file

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "platform" / "xpfeh"
FLOOR = {
    "_version": 0, "typing": 0, "errors": 0, "files": 0, "lease": 0, "settings": 0, "provenance": 0, "environment": 0,
    "forks": 0, "quiet": 0, "columns": 0, "column_names": 0, "flags": 0, "releases": 0, "grid": 0, "large_arrays": 0,
    "tables": 1, "xp": 1, "sources": 1, "archive": 1, "labels": 1,
    "training": 2, "inference": 2, "evaluate": 2, "dataset": 2, "catalog": 2,
    "cluster": 3, "experiments": 3, "serving": 3, "star_figure": 3,
    "commands": 4, "client": 4, "model": 4,
    "cli": 5, "__main__": 5, "__init__": 6,
}  # fmt: skip
ONLY_IN = {
    "ray": {"cluster", "experiments", "serving"},
    "mlflow": {"experiments"},
    "keras": {"training"},
    "ndonnx": {"training"},
    "spox": {"training"},
    "onnxruntime": {"inference"},
    "tensorflow": {"training"},
    "jax": {"training"},
}
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES
}


@cache
def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def own_imports(path: Path) -> set[Path]:
    """Return the package's modules that `path` imports: `__init__.py` for a public function, or the package itself."""
    return {MODULES[name] for name in imported(path) & set(MODULES)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    upward = {room(module) for module in own_imports(path) if FLOOR[room(module)] > FLOOR[room(path)]}
    assert not upward, f"{path} imports from a floor above"


def test_no_circles() -> None:
    """Neither modules nor rooms import each other in a circle; `CycleError` names one that does."""
    modules = {path: own_imports(path) for path in FILES}
    rooms: dict[str, set[str]] = {room(path): set() for path in FILES}
    for path, others in modules.items():
        rooms[room(path)] |= {room(other) for other in others} - {room(path)}
    TopologicalSorter(modules).prepare()
    TopologicalSorter(rooms).prepare()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms(path: Path) -> None:
    for name in imported(path):
        allowed = ONLY_IN.get(name.split(".")[0])
        assert allowed is None or room(path) in allowed, f"{path} imports {name}"


def test_keras_is_loaded_by_its_backend_module_alone() -> None:
    """Loading it first sets its log level and keeps C++ from writing to the user's terminal."""
    outside = [p for p in FILES if p.name != "backend.py" and {"keras", "tensorflow", "jax"} & imported(p)]
    assert not outside


def test_nothing_that_could_run_code_is_read() -> None:
    """A bundle, a record or an upload is data: no pickle in any dress, and YAML by its safe loader."""
    for path in FILES:
        assert not {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"} & imported(path), path
        text = path.read_text()
        assert "yaml.load(" not in text, path
        assert "allow_pickle" not in text, path


HEAVY = (
    "numpy", "scipy", "pandas", "polars", "pyarrow", "astropy", "matplotlib", "sklearn", "numba", "gaiaxpy", "hats",
    "ray", "mlflow", "keras", "tensorflow", "jax", "optuna", "fastapi",
)  # fmt: skip


@pytest.mark.parametrize(
    ("script", "allowed"),
    [
        ("import xpfeh", set()),
        ("from xpfeh.cli.main import main; main(['--help'])", set()),
        ("from xpfeh.cli.main import main; main(['predict', '--help'])", set()),
        ("import xpfeh; xpfeh.load_model()", {"numpy", "scipy", "polars", "astropy", "pyarrow"}),
        ("import xpfeh.inference.predictor", {"numpy", "scipy", "polars", "astropy", "pyarrow"}),
        (
            "from xpfeh.cli.main import main; main(['predict', FILE, '--out', OUT])",
            {"numpy", "scipy", "polars", "astropy", "pyarrow"},
        ),
        ("import xpfeh.xp.preprocess", {"numpy", "scipy", "polars", "astropy", "pyarrow"}),
        ("import xpfeh.dataset.verify", {"numpy", "scipy", "polars", "astropy", "pyarrow"}),
    ],
)
def test_what_is_loaded(script: str, allowed: set[str], tmp_path: Path) -> None:
    script = script.replace("FILE", repr(str(datalink_file("csv", tmp_path))))
    script = script.replace("OUT", repr(str(tmp_path / "feh.parquet")))
    code = f"import sys, atexit\natexit.register(lambda: print('loaded', *set(sys.modules) & {set(HEAVY)!r}))\n{script}"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(output.splitlines()[-1].split()[1:]) <= allowed


def test_platform_is_not_a_package() -> None:
    """It would shadow the standard library's `platform`, and submitted Ray jobs would hang."""
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in FILES} <= set(FLOOR)


def test_a_class_has_a_name_of_its_own() -> None:
    classes = [
        node.name for path in FILES for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)
    ]
    repeated = [name for name, count in Counter(classes).items() if count > 1 and not name.startswith("_")]
    assert not repeated
