"""The registered model ``xpfeh``: its champion, earlier champions, and the bundles of its versions and of runs.

It also counts how often the held-out stars of a split were looked at. Each look selects a little, and after a hundred
looks the stars no longer count as unseen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from xpfeh.errors import ModelError, UserError
from xpfeh.experiments import mlflow_model
from xpfeh.experiments.mlflow_retries import patient
from xpfeh.experiments.mlflow_runs import EXPERIMENT, MODEL_FOLDER, client, finished_runs

REGISTERED_NAME = "xpfeh"
CHAMPION, PREVIOUS = "champion", "previous"
_LOOKS = "looks"
_LOCK = "xpfeh-promotion-lock"
_LOCK_TRIES, _LOCK_PAUSE_S = 20, 0.5
_LOCK_STALE_S = 300.0  # longer than any request, and than the clocks of two machines differ


@dataclass(frozen=True)
class Candidate:
    """A run's model: the run, its bundle's location in the store, and a local copy."""

    run_id: str
    source: str
    folder: Path


def candidate_of(run: str) -> Candidate:
    """Return the model of the one run whose id begins with `run`.

    Raises
    ------
    UserError
        If no run with a model matches, or several do.
    """
    matches = [found for found in finished_runs() if found.info.run_id.startswith(run)]
    if len(matches) != 1:
        found = f"{len(matches)} runs have" if matches else "no run with a model has"
        raise UserError(f"{found} an id that begins with {run!r}; xpfeh compare lists them")
    (chosen,) = matches
    source = f"{chosen.info.artifact_uri}/{MODEL_FOLDER}"
    return Candidate(chosen.info.run_id, source, _download(source))


def champion() -> str | None:
    """Return the current champion's version, if there is one."""
    return _aliases().get(CHAMPION)


@patient()
def champions(most: int) -> list[str]:
    """Return at most `most` versions that have been champion, the latest first: only champions are registered."""
    found = client().search_model_versions(f"name = '{REGISTERED_NAME}'")
    return [str(version) for version in sorted((int(each.version) for each in found), reverse=True)[:most]]


@patient()
def make_champion(candidate: Candidate, before: str | None, tags: dict[str, str]) -> str:
    """Register a bundle and make it the champion, if the champion is still `before`; return its version.

    Raises
    ------
    UserError
        If another model was promoted in the meantime.
    """
    mlflow_client = client()
    with _one_at_a_time():
        now = champion()
        if now != before:
            raise UserError(
                f"the champion changed from {before or 'none'} to {now} while this model was judged; promote it again "
                "to compare it with the new one"
            )
        if not mlflow_client.search_registered_models(f"name = '{REGISTERED_NAME}'"):
            mlflow_client.create_registered_model(REGISTERED_NAME)
        made = mlflow_client.create_model_version(REGISTERED_NAME, candidate.source, run_id=candidate.run_id, tags=tags)
        if before is not None:
            mlflow_client.set_registered_model_alias(REGISTERED_NAME, PREVIOUS, before)
        mlflow_client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, str(made.version))
    return str(made.version)


@patient()
def rollback() -> str:
    """Swap ``champion`` and ``previous``; return the new champion's version.

    Raises
    ------
    UserError
        If there is no earlier champion.
    """
    mlflow_client = client()
    with _one_at_a_time():
        known = _aliases()
        if CHAMPION not in known or PREVIOUS not in known:
            raise UserError("there is no previous champion to restore")
        mlflow_client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, known[PREVIOUS])
        mlflow_client.set_registered_model_alias(REGISTERED_NAME, PREVIOUS, known[CHAMPION])
    return known[PREVIOUS]


@patient()
def count_look(salt: str) -> int | None:
    """Count one more look at the held-out stars of a split, and return the total; None if they are not counted.

    They are counted in the runs' store, on their experiment. Without a store or experiment nothing is created: a
    bundle can be validated without MLflow.

    Parameters
    ----------
    salt : str
        Names the split.
    """
    try:
        mlflow_client = client()
    except UserError:
        if os.environ.get("MLFLOW_TRACKING_URI"):  # the named store does not exist
            raise
        return None
    experiment = mlflow_client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    tag, id_ = f"{_LOOKS}:{salt}", experiment.experiment_id
    with _one_at_a_time():
        looks = int(mlflow_client.get_experiment(id_).tags.get(tag, 0)) + 1
        mlflow_client.set_experiment_tag(id_, tag, str(looks))
    return looks


@patient()
def resolve_alias(model: str) -> str:
    """Return ``models:/NAME@ALIAS`` as ``models:/NAME/VERSION``, and a name with a version unchanged.

    Raises
    ------
    UserError
        If the registry has no such alias.
    """
    name, at, alias = model.removeprefix("models:/").partition("@")
    if not at:
        return model
    try:
        return f"models:/{name}/{client().get_model_version_by_alias(name, alias).version}"
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise ModelError(f"{model}: no model of that name and alias; promote a run first: xpfeh promote RUN") from None


@patient()
def fetch(model: str) -> Path:
    """Copy the bundle of ``models:/NAME@ALIAS`` or ``models:/NAME/2`` from the store, and return its local folder."""
    client()
    return _download(resolve_alias(model))


def _download(uri: str) -> Path:
    try:
        return mlflow_model.bundle_in(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        raise ModelError(f"{uri}: cannot be downloaded from the model store ({error})") from None


@patient()
def _aliases() -> dict[str, str]:
    mlflow_client = client()
    if not mlflow_client.search_registered_models(f"name = '{REGISTERED_NAME}'"):
        return {}
    return {
        alias: str(version) for alias, version in mlflow_client.get_registered_model(REGISTERED_NAME).aliases.items()
    }


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold the store's lock: a separate registered model, since only one process can create a name.

    It is held only briefly, so a lock that is minutes old belongs to a dead process and is broken.
    """
    mlflow_client = client()
    for attempt in range(_LOCK_TRIES):
        try:
            mlflow_client.create_registered_model(_LOCK, description="held while the champion changes")
            break
        except MlflowException as error:
            # It does not exist: another process deleted it between MLflow's attempt to create it and its look-up.
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
                raise
        if attempt == _LOCK_TRIES - 1:
            raise UserError("another promotion is running; retry, or, if it was killed, wait five minutes")
        _break_if_stale(mlflow_client)
        time.sleep(_LOCK_PAUSE_S)
    try:
        yield
    finally:
        mlflow_client.delete_registered_model(_LOCK)


def _break_if_stale(mlflow_client: MlflowClient) -> None:
    with suppress(MlflowException):
        held_ms = 1000 * time.time() - mlflow_client.get_registered_model(_LOCK).creation_timestamp
        if held_ms > 1000 * _LOCK_STALE_S:
            mlflow_client.delete_registered_model(_LOCK)
