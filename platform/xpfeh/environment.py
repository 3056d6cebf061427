"""Environment variables that other libraries read while they load: set in one place, before any of them is loaded."""

from __future__ import annotations

import os


def set_defaults() -> None:
    """Set what the user's environment does not set."""
    for name, value in {
        # TensorFlow writes routine notes about CPU instructions to stderr.
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Ray Tune's new output prints tables however quiet it is told to be.
        "RAY_AIR_NEW_OUTPUT": "0",
        # Ray Tune warns of states saved in quick succession; a search saves its state whenever a trial finishes.
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        # MLflow's own retries take four minutes, leave out answers that break off, and create a run twice if an
        # answer is lost; see xpfeh.experiments.mlflow_retries.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }.items():
        os.environ.setdefault(name, value)
    if "OMP_NUM_THREADS" in os.environ:  # as Ray sets it for a worker with a share of the cores; TensorFlow ignores it
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ["OMP_NUM_THREADS"])
