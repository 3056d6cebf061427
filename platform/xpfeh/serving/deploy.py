"""Deploy a Ray Serve YAML file: checked strictly, and with the model pinned to a version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
import yaml
from pydantic import ValidationError
from ray import serve
from ray.serve.schema import ServeDeploySchema

from xpfeh.cluster.connection import connect
from xpfeh.errors import UserError
from xpfeh.experiments.registry import local_bundle, pinned
from xpfeh.serving.app import Endpoint


def read_config(path: str | Path) -> dict[str, Any]:
    """Return a Ray Serve configuration with one application of one `Endpoint`.

    Raises
    ------
    UserError
        If the file is missing, no YAML, or has a key that Ray Serve does not know (it would be ignored).
    """
    try:
        raw = yaml.safe_load(Path(path).read_text())
        known = ServeDeploySchema.model_validate(raw).model_dump(exclude_unset=True)
        ((_, deployment),) = [(app, d) for app in raw["applications"] for d in app["deployments"]]
        deployment["user_config"]["model"]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: needs one application with one deployment with user_config.model") from None
    if unknown := _unknown_keys(raw, known):
        raise UserError(f"{path}: Ray Serve does not know {', '.join(unknown)}")
    return raw


def deploy(config: dict[str, Any], model: str | None = None) -> str:
    """Start the endpoint of `config` and return its address; it runs until `withdraw`.

    Parameters
    ----------
    config : dict
        See `read_config`.
    model : str, optional
        Serve this model and not the one that the configuration names.
    """
    application = config["applications"][0]
    options = {**application["deployments"][0]}
    name = pinned(model or options["user_config"]["model"])
    options["user_config"] = {"model": name if name.startswith("models:/") else str(Path(name).absolute())}
    local_bundle(name)
    http = config.get("http_options", {})
    connect()
    serve.start(http_options=http)
    serve.run(Endpoint.options(**options).bind(), name=application["name"], route_prefix=application["route_prefix"])
    return f"http://{http.get('host', '127.0.0.1')}:{http.get('port', 8000)}{application['route_prefix'].rstrip('/')}"


def withdraw(config: dict[str, Any]) -> None:
    """End the endpoint of `config`, and this process's part in the cluster."""
    serve.delete(config["applications"][0]["name"])
    ray.shutdown()


def _unknown_keys(given: Any, known: Any, where: str = "") -> list[str]:
    if isinstance(given, list) and isinstance(known, list):
        pairs = list(zip(given, known, strict=True))
        return [key for i, (a, b) in enumerate(pairs) for key in _unknown_keys(a, b, f"{where}[{i}]")]
    if not (isinstance(given, dict) and isinstance(known, dict)):
        return []
    unknown = [f"{where}.{key}".lstrip(".") for key in given if key not in known]
    return unknown + [
        found
        for key in given
        if key in known
        for found in _unknown_keys(given[key], known[key], f"{where}.{key}".lstrip("."))
    ]
