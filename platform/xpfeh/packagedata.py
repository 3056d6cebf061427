"""Where data files lie: in installed packages, found without importing them, and in the user's own folder."""

from __future__ import annotations

import os
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


def data_folder(name: str) -> Path:
    """Return the folder of what a user has downloaded: `name` under ``XPFEH_DATA``, by default ``~/.xpfeh``."""
    return Path(os.environ.get("XPFEH_DATA", "~/.xpfeh")).expanduser() / name
