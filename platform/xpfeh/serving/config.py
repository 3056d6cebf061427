"""A Ray Serve YAML file, checked strictly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray.serve.schema import ServeDeploySchema

from xpfeh.errors import UserError
from xpfeh.files import first_line, local_path
from xpfeh.settings import first_problem

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Challenger(BaseModel):
    """A model that gets shadow traffic.

    Attributes
    ----------
    model : str
        As `EndpointArgs.model`.
    share : float
        Share of the requests that are also sent to it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    share: float = Field(gt=0, le=1)


class EndpointArgs(BaseModel):
    """The arguments of an endpoint: ``args`` of the application.

    Attributes
    ----------
    model : str
        A bundle's folder, ``models:/NAME@ALIAS``, or ``pretrained``.
    archive : bool
        Whether Gaia's archive is queried for the spectra of stars given by identifier alone.
    release : str, optional
        Folder or URI of a published catalog, Parquet or HATS, for queries by star and by cone.
    keys : str, optional
        Key file (`xpfeh.serving.keys`); without one, anyone who reaches the endpoint may use it.
    jobs : str, optional
        Folder or URI of jobs (`xpfeh.serving.jobs`), shared by all nodes; by default ``jobs`` in ``XPFEH_DATA``.
    shadow : Challenger, optional
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    archive: bool = False
    keys: str | None = None
    release: str | None = None
    jobs: str | None = None
    shadow: Challenger | None = None


class _Application(BaseModel):
    model_config = ConfigDict(extra="allow")  # Ray's own schema knows the others

    name: str
    route_prefix: str
    args: EndpointArgs
    deployments: list[dict[str, Any]] = Field(min_length=1, max_length=1)


class _ServeFile(BaseModel):
    """Our requirements beyond Ray Serve's: one application that names its model, with one deployment."""

    model_config = ConfigDict(extra="allow")

    applications: list[_Application] = Field(min_length=1, max_length=1)


@dataclass(frozen=True)
class Config:
    """A Ray Serve configuration with one application of one `Endpoint`.

    Attributes
    ----------
    name, route_prefix : str
        Of the application.
    args : EndpointArgs
    http_options : dict
        As `ray.serve.start` takes them.
    proxy_location : str
        Likewise.
    options : dict
        Of the deployment, as Ray Serve's ``options`` takes them.
    """

    name: str
    route_prefix: str
    args: EndpointArgs
    http_options: dict[str, Any]
    proxy_location: str
    options: dict[str, Any]

    @property
    def host(self) -> str:
        """The address that the endpoint listens on."""
        return self.http_options.get("host", _LOOPBACK[0])

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self.http_options.get("port", 8000)

    @property
    def address(self) -> str:
        """Where the endpoint answers."""
        host = f"[{self.host}]" if ":" in self.host else self.host  # an IPv6 address
        return f"http://{host}:{self.port}{self.route_prefix.rstrip('/')}"


def read_config(path: str | Path) -> Config:
    """Return a Ray Serve configuration.

    Raises
    ------
    UserError
        If the file is missing or not YAML, has a key that Ray Serve does not know (it would be ignored), is not one
        application with one deployment that names its model, or listens beyond this machine without keys.
    """
    try:
        raw = yaml.safe_load(local_path(path).read_text())
        known = ServeDeploySchema.model_validate(raw).model_dump(exclude_unset=True)
        (application,) = _ServeFile.model_validate(raw).applications
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML ({first_line(error)})") from None
    except ValidationError as error:
        raise UserError(f"{path}: {first_problem(error)}") from None
    if unknown := _unknown_keys(raw, known):
        raise UserError(f"{path}: Ray Serve does not know {', '.join(unknown)}")
    host = raw.get("http_options", {}).get("host", _LOOPBACK[0])
    if host not in _LOOPBACK and application.args.keys is None:
        raise UserError(
            f"{path}: host {host} is reachable by others, and no keys protect it; create one (xpfeh keys add NAME) and "
            "set args.keys to the file"
        )
    return Config(
        name=application.name,
        route_prefix=application.route_prefix,
        args=application.args,
        http_options=raw.get("http_options", {}),
        proxy_location=raw.get("proxy_location", "EveryNode"),
        options=application.deployments[0],
    )


def _unknown_keys(given: Any, known: Any, where: str = "") -> list[str]:
    """Return the keys of a parsed YAML file that are not in what Ray's schema took from it, as paths."""
    if isinstance(given, list) and isinstance(known, list):
        pairs = list(zip(given, known, strict=True))
        return [key for i, (a, b) in enumerate(pairs) for key in _unknown_keys(a, b, f"{where}[{i}]")]
    if not (isinstance(given, dict) and isinstance(known, dict)):
        return []
    paths = {key: f"{where}.{key}".lstrip(".") for key in given}
    unknown = [path for key, path in paths.items() if key not in known]
    deeper = [_unknown_keys(given[key], known[key], path) for key, path in paths.items() if key in known]
    return unknown + [key for keys in deeper for key in keys]
