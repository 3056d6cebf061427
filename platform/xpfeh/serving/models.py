"""The model that an endpoint serves, by name.

MLflow is loaded only for a model of its store: it takes a replica 0.7 s and 70 MB.
"""

from __future__ import annotations

from pathlib import Path

from xpfeh.files import absolute
from xpfeh.inference.bundle import folder_of

_STORE = "models:/"


def pinned_model(model: str) -> str:
    """Return the name that means the same model later and elsewhere: an alias as its version, a folder's whole path."""
    if not model.startswith(_STORE):
        return absolute(str(folder_of(model)))
    from xpfeh.experiments.registry import pinned

    return pinned(model)


def bundle_folder(model: str) -> Path:
    """Return a local folder with the model's bundle."""
    if not model.startswith(_STORE):
        return folder_of(model)
    from xpfeh.experiments.registry import local_bundle

    return local_bundle(model)
