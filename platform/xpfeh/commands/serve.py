"""Run the endpoint, and replace its model while it answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xpfeh.errors import UserError
from xpfeh.experiments.models import pinned_model
from xpfeh.files import package_file
from xpfeh.serving.config import read_config
from xpfeh.serving.deploy import current_args, deploy, rollout, withdraw

LOCAL_CONFIG = package_file("xpfeh", "serving/local.yaml")
"""One replica on this machine."""


@contextmanager
def running_endpoint(config: str | Path, model: str | None = None) -> Iterator[str]:
    """Serve a model and yield the address; the endpoint stops with the context.

    Parameters
    ----------
    config : str or Path
        Ray Serve YAML.
    model : str, optional
        Serve this model instead of the configured one.

    Raises
    ------
    UserError
        If the configuration or the model is invalid.
    """
    parsed = read_config(config)
    address = deploy(parsed, model)
    try:
        yield address
    finally:
        withdraw(parsed)


def champions(config: str | Path, every_s: float = 30.0) -> Iterator[str]:
    """Roll out each new model of the configured alias, for ever, once each, and yield a line on it.

    Parameters
    ----------
    config : str or Path
        The configuration that the endpoint was started with.
    every_s : float
        How often the registry is queried.
    """
    parsed = read_config(config)
    tried = current_args(parsed).model
    while True:
        time.sleep(every_s)
        try:
            if (champion := pinned_model(parsed.args.model)) == tried:
                continue
            tried = champion
            before, after = rollout(parsed, champion)
            yield f"serving {after}, before: {before}"
        except UserError as error:
            yield str(error)
