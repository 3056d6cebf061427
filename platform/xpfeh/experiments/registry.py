"""The registered model ``xpfeh``: its champion, the one before, and the way from a name to a bundle."""

from __future__ import annotations

from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from xpfeh.errors import UserError
from xpfeh.experiments.tracking import BUNDLE, client

MODEL = "xpfeh"
CHAMPION, PREVIOUS = "champion", "previous"


def promote(run_id: str) -> str:
    """Register a run's bundle and make it the champion; the old champion becomes ``previous``.

    Returns
    -------
    str
        The version that is champion now.

    Raises
    ------
    UserError
        If there is no such run, or it holds no bundle.
    """
    mlflow_client = client()
    try:
        run = mlflow_client.get_run(run_id)
    except MlflowException:
        raise UserError(f"no run {run_id!r}; xpfeh compare lists the runs and their ids") from None
    if not any(item.path == BUNDLE for item in mlflow_client.list_artifacts(run_id)):
        raise UserError(f"run {run_id} holds no model bundle; did its training finish?")
    if not mlflow_client.search_registered_models(f"name = '{MODEL}'"):
        mlflow_client.create_registered_model(MODEL)
    before = _aliases()
    source = f"{run.info.artifact_uri}/{BUNDLE}"
    version = str(mlflow_client.create_model_version(MODEL, source, run_id=run_id).version)
    if CHAMPION in before:
        mlflow_client.set_registered_model_alias(MODEL, PREVIOUS, before[CHAMPION])
    mlflow_client.set_registered_model_alias(MODEL, CHAMPION, version)
    return version


def rollback() -> str:
    """Swap ``champion`` and ``previous``; return the version that is champion now.

    Raises
    ------
    UserError
        If there is no earlier champion.
    """
    mlflow_client = client()
    known = _aliases()
    if CHAMPION not in known or PREVIOUS not in known:
        raise UserError("there is no earlier champion to go back to")
    mlflow_client.set_registered_model_alias(MODEL, CHAMPION, known[PREVIOUS])
    mlflow_client.set_registered_model_alias(MODEL, PREVIOUS, known[CHAMPION])
    return known[PREVIOUS]


def pinned(model: str) -> str:
    """Return `model` with an alias resolved to its version, once; anything else as it is.

    Raises
    ------
    UserError
        If the registry has no such alias.
    """
    name, at, alias = model.removeprefix("models:/").partition("@")
    if not model.startswith("models:/") or not at:
        return model
    try:
        return f"models:/{name}/{client().get_model_version_by_alias(name, alias).version}"
    except MlflowException:
        raise UserError(f"{model}: no model of that name and alias; promote a run first: xpfeh promote RUN") from None


def local_bundle(model: str) -> Path:
    """Return a local folder with the bundle of `model`, which is a folder, ``models:/NAME@ALIAS`` or ``models:/NAME/2``."""
    if not model.startswith("models:/"):
        return Path(model)
    client()
    resolved = pinned(model)
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=resolved))
    except MlflowException as error:
        raise UserError(f"{resolved}: cannot be fetched from the registry ({error.message})") from None


def _aliases() -> dict[str, str]:
    return {alias: str(version) for alias, version in client().get_registered_model(MODEL).aliases.items()}
