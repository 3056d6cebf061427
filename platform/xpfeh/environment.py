"""Environment variables that other libraries read while they load: set in one place, before any of them is loaded.

Workers of Ray and replicas of Serve import this package first, too, so that what is set here holds in each process.
"""

from __future__ import annotations

import os

NO_TELEMETRY = {
    # At import, ONNX Runtime writes a device identifier and a database of events under the user's cache folder.
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""No dependency reports to its makers, unless the user's environment lets it."""


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
        **NO_TELEMETRY,
    }.items():
        os.environ.setdefault(name, value)
    if "OMP_NUM_THREADS" in os.environ:  # as Ray sets it for a worker with a share of the cores; TensorFlow ignores it
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ["OMP_NUM_THREADS"])
