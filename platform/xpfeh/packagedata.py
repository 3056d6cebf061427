"""Data files inside installed packages, found without importing the package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from xpfeh.errors import UserError


def package_file(package: str, relative: str) -> Path:
    """Return the path of `relative` inside an installed `package`.

    Raises
    ------
    UserError
        If the package is not installed or does not hold the file.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / relative).is_file():
            return path
    raise UserError(f"{relative} of the Python package {package} is not there; install it: pip install {package}")
