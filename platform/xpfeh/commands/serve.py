"""The endpoint, for as long as it is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xpfeh.files import package_file
from xpfeh.serving.deploy import deploy, read_config, withdraw

LOCAL_CONFIG = package_file("xpfeh", "serving/local.yaml")
"""One replica on this machine."""


@contextmanager
def served(config: str | Path, model: str | None = None) -> Iterator[str]:
    """Serve a model and give the address; the endpoint ends with the context.

    Parameters
    ----------
    config : str or Path
        Ray Serve YAML.
    model : str, optional
        Serve this model and not the configured one.

    Raises
    ------
    UserError
        If the configuration or the model is none.
    """
    parsed = read_config(config)
    address = deploy(parsed, model)
    try:
        yield address
    finally:
        withdraw(parsed)
