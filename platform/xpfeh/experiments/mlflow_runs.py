"""MLflow: where runs are recorded, one run for each training."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import mlflow
import sqlalchemy
from mlflow.entities import Metric, Param, Run, RunInfo, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_model
from xpfeh.experiments.mlflow_retries import PATIENCE_S, patient, tracking_uri
from xpfeh.files import check_output_file
from xpfeh.inference.card import ModelCard

EXPERIMENT = "xpfeh"
TRIAL_TAG = "xpfeh.trial"
"""The permanent identity of a run: without it `Tuner.restore` would start a second run for a trial."""
ENSEMBLE = "/ensemble"
"""Suffix of a finalist's trial tag, after that of its trial."""
MODEL_FOLDER = "model"
"""The folder of a run's artifacts that holds its model."""

_STORES = (Path("mlflow/mlflow.db"), Path("demo/mlflow/mlflow.db"))
_DATABASES = ("postgresql", "mysql", "mssql", "sqlite")
_BATCH = 1000  # maximum number of metrics in a request to MLflow's REST API

logging.getLogger("mlflow").setLevel(logging.WARNING)  # its notes on database migrations are for its own developers
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # logs what it raises, which we report
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one bar per file


_chosen = ""  # the store found here, if the user has named none


def client(begin: bool = False) -> MlflowClient:
    """Return a client of ``MLFLOW_TRACKING_URI``, or of the store in the working directory.

    That is ``mlflow/mlflow.db``, or the demo's if there is no such file but `xpfeh demo` was run here.

    Parameters
    ----------
    begin : bool
        Create a store here if need be, and never write to the demo's: the next demo replaces it.

    Raises
    ------
    UserError
        If there is no store here and `begin` is false.
    """
    global _chosen
    if os.environ.get("MLFLOW_TRACKING_URI", "") in ("", _chosen):
        store = next((path for path in _STORES if path.is_file()), None)
        if begin:
            store = _STORES[0]
            store.parent.mkdir(parents=True, exist_ok=True)
        if store is None:
            raise UserError(
                f"no runs and no models here ({' or '.join(map(str, _STORES))}); make some with xpfeh train, tune or "
                "demo, or set MLFLOW_TRACKING_URI to their store"
            )
        _chosen = os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store.absolute()}"
    uri = os.environ["MLFLOW_TRACKING_URI"]
    _check_database(uri)
    mlflow.set_tracking_uri(uri)
    return MlflowClient()


@lru_cache(maxsize=8)
def _check_database(uri: str) -> None:
    """Try a database once: MLflow would try ten times, for a minute and a half, whatever is wrong with it."""
    if not uri.startswith(_DATABASES):
        return
    if uri.startswith("sqlite:///"):
        try:
            file = check_output_file(uri.removeprefix("sqlite:///"))
        except UserError as error:
            raise UserError(f"MLFLOW_TRACKING_URI {tracking_uri()}: {error}") from None
        if not file.exists():
            return  # MLflow creates it
    try:
        sqlalchemy.inspect(sqlalchemy.create_engine(uri)).get_table_names()
    except ImportError as error:
        message = f"MLFLOW_TRACKING_URI {tracking_uri()}: its driver is missing; pip install {error.name}"
        raise UserError(message) from None


@patient()
def experiment_id() -> str:
    """Return the id of our experiment, created if need be; with a sqlite file its artifacts are next to the file."""
    mlflow_client = client(begin=True)
    if found := mlflow_client.get_experiment_by_name(EXPERIMENT):
        return found.experiment_id
    uri = os.environ["MLFLOW_TRACKING_URI"]
    location = None
    if uri.startswith("sqlite:///"):
        location = (Path(uri.removeprefix("sqlite:///")).absolute().parent / "artifacts").as_uri()
    try:
        return mlflow_client.create_experiment(EXPERIMENT, artifact_location=location)
    except MlflowException:
        if found := mlflow_client.get_experiment_by_name(EXPERIMENT):  # created by another process at the same time
            return found.experiment_id
        raise


@patient(PATIENCE_S)
def run_of(trial: str, name: str, parent: str | None = None) -> str:
    """Return the id of the one run with this trial tag, created if need be."""
    if found := find_run(trial):
        return found
    tags = {TRIAL_TAG: trial} | ({"mlflow.parentRunId": parent} if parent else {})
    return client().create_run(experiment_id(), run_name=name, tags=tags).info.run_id


@patient(PATIENCE_S)
def find_run(trial: str) -> str | None:
    """Return the id of the run with this trial tag, if there is one."""
    found = client().search_runs([experiment_id()], f"tags.`{TRIAL_TAG}` = '{trial}'", max_results=1)
    return found[0].info.run_id if found else None


@patient(PATIENCE_S)
def children(parent: str) -> dict[str, RunInfo]:
    """Return MLflow's record of each run under this one, by trial tag."""
    where = f"tags.`mlflow.parentRunId` = '{parent}'"
    found = client().search_runs([experiment_id()], where, max_results=50_000)
    return {run.data.tags[TRIAL_TAG]: run.info for run in found}


@patient(PATIENCE_S)
def get(run_id: str) -> Run:
    """Return MLflow's record of a run."""
    return client().get_run(run_id)


@patient(PATIENCE_S)
def log(
    run_id: str,
    *,
    params: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, float]] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Add parameters, metrics and tags to a run.

    Parameters
    ----------
    run_id : str
    params : mapping
    history : sequence of mappings
        Metrics by name, with the ``step`` they were measured at (default: 0).
    tags : mapping of str
    """
    metrics = [
        Metric(key, float(value), 0, int(entry.get("step", 0)))
        for entry in history
        for key, value in entry.items()
        if key != "step"
    ]
    client().log_batch(
        run_id,
        metrics=metrics[:_BATCH],
        params=[Param(key, str(value)) for key, value in (params or {}).items()],
        tags=[RunTag(key, value) for key, value in (tags or {}).items()],
    )
    for start in range(_BATCH, len(metrics), _BATCH):
        client().log_batch(run_id, metrics=metrics[start : start + _BATCH])


def finish(run_id: str, bundle: str | Path, card: ModelCard) -> None:
    """Close a run with its bundle, as an MLflow model, and the card's summary numbers."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / MODEL_FOLDER
        mlflow_model.save(bundle, folder)
        _store(run_id, folder)
    log(
        run_id,
        history=[{**card.validation, "seconds": card.seconds}],
        tags={
            "model_version": card.version,
            "commit": card.made_by["commit"],
            "features": card.features,
            "labels_sha256": card.labels_sha256,
            "split": card.split.name,
        },
    )
    close(run_id)


@patient(PATIENCE_S)
def close(run_id: str, status: str = "FINISHED") -> None:
    """Close a run."""
    client().set_terminated(run_id, status)


@patient(PATIENCE_S)
def discard(run_id: str) -> None:
    """Delete a run."""
    client().delete_run(run_id)


@patient()
def finished_runs(name: str = EXPERIMENT) -> list[Run]:
    """Return the runs that hold a model, lowest validation error first.

    Raises
    ------
    UserError
        If there is no such experiment.
    """
    mlflow_client = client()
    experiment = mlflow_client.get_experiment_by_name(name)
    if experiment is None:
        known = ", ".join(e.name for e in mlflow_client.search_experiments()) or "none"
        raise UserError(f"no experiment {name!r} at {tracking_uri()}; there are: {known}")
    return mlflow_client.search_runs(
        [experiment.experiment_id], "tags.model_version != ''", order_by=["metrics.mae ASC"], max_results=50_000
    )


@patient(PATIENCE_S)
def _store(run_id: str, folder: Path) -> None:
    client().log_artifacts(run_id, str(folder), MODEL_FOLDER)
