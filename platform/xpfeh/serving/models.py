"""The model that an endpoint serves, by name.

MLflow is loaded only for a model of its store, and not in a replica, which it would take 150 MB.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ray

from xpfeh.files import absolute
from xpfeh.inference.bundle import CARD, MODEL, SLOPES, folder_of

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


def replicas_bundle(model: str) -> Path:
    """Return `bundle_folder` in a replica: another process of the cluster asks the store."""
    if not model.startswith(_STORE):
        return folder_of(model)
    folder = Path(tempfile.mkdtemp(prefix="xpfeh-model-"))
    for name, content in ray.get(_files.remote(model)).items():
        (folder / name).write_bytes(content)
    return folder


@ray.remote(num_cpus=0, max_calls=1)  # its process ends with it
def _files(model: str) -> dict[str, bytes]:
    folder = bundle_folder(model)
    return {name: (folder / name).read_bytes() for name in (CARD, MODEL, SLOPES)}
