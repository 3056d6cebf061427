"""The registered model ``xpfeh``: its champion, the one before, and the way from a name to a bundle."""

from __future__ import annotations

from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from xpfeh.errors import UserError
from xpfeh.experiments.tracking import BUNDLE, client, finished_runs

MODEL = "xpfeh"
CHAMPION, PREVIOUS = "champion", "previous"


def promote(run: str) -> str:
    """Register a run's bundle and make it the champion; the old champion becomes ``previous``.

    Parameters
    ----------
    run : str
        The run's id, or enough of its beginning.

    Returns
    -------
    str
        The version that is champion now.

    Raises
    ------
    UserError
        If no run with a model has an id that begins so, or several have.
    """
    matches = [found for found in finished_runs() if found.info.run_id.startswith(run)]
    if len(matches) != 1:
        told = "no run with a model has" if not matches else f"{len(matches)} runs have"
        raise UserError(f"{told} an id that begins with {run!r}; xpfeh compare lists them")
    (chosen,) = matches
    mlflow_client = client()
    if not mlflow_client.search_registered_models(f"name = '{MODEL}'"):
        mlflow_client.create_registered_model(MODEL)
    before = _aliases()
    source = f"{chosen.info.artifact_uri}/{BUNDLE}"
    version = str(mlflow_client.create_model_version(MODEL, source, run_id=chosen.info.run_id).version)
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
    """Return a local folder with a bundle, given a folder, ``models:/NAME@ALIAS`` or ``models:/NAME/2``."""
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
