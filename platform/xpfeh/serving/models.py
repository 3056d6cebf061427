"""The model of a replica. MLflow is loaded in a separate process: it would take 150 MB of the replica's memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ray

from xpfeh.experiments.models import STORE, bundle_folder
from xpfeh.inference.bundle import CARD, MODEL, SLOPES


def replicas_bundle(model: str) -> Path:
    """Return `bundle_folder` in a replica: another process of the cluster reads the store."""
    if not model.startswith(STORE):
        return bundle_folder(model)
    folder = Path(tempfile.mkdtemp(prefix="xpfeh-model-"))
    for name, content in ray.get(_files.remote(model)).items():
        (folder / name).write_bytes(content)
    return folder


@ray.remote(num_cpus=0, max_calls=1)  # its process ends with the task, and frees MLflow's memory
def _files(model: str) -> dict[str, bytes]:
    folder = bundle_folder(model)
    return {name: (folder / name).read_bytes() for name in (CARD, MODEL, SLOPES)}
