"""Start an endpoint, replace its model while it answers, and stop it."""

from __future__ import annotations

import ray
from ray import serve
from ray.serve.exceptions import BackPressureError, RayServeException

from xpfeh.cluster.connection import connect, is_own, join
from xpfeh.environment import uses_haproxy
from xpfeh.errors import UserError
from xpfeh.experiments.models import bundle_folder, pinned_model
from xpfeh.files import first_line
from xpfeh.inference.predictor import Predictor
from xpfeh.serving import haproxy
from xpfeh.serving.app import application
from xpfeh.serving.config import Challenger, Config, EndpointArgs


def deploy(config: Config, model: str | None = None) -> str:
    """Start the endpoint of `config` and return its address; it runs until `withdraw`.

    Parameters
    ----------
    config : Config
    model : str, optional
        Serve this model instead of the configured one.

    Raises
    ------
    UserError
        If there is no such model, the cluster does not answer, or the port is in use.
    """
    pinned = _pin(model or config.args.model)
    if is_own() and not ray.is_initialized():
        haproxy.check_port(config.host, config.port)
        if uses_haproxy():
            haproxy.prepare()
    connect()
    serve.start(http_options=config.http_options, proxy_location=config.proxy_location)
    _run(config, config.args.model_copy(update={"model": pinned}))
    return config.address


def rollout(config: Config, model: str, share: float | None = None) -> tuple[str, str]:
    """Replace the model of the endpoint of `config` while it answers; return the names of the model before and after.

    New replicas start next to the old ones, which stop after their last answer (``max_surge_percent``).
    If the new ones fail, the old ones stay.

    Parameters
    ----------
    config : Config
    model : str
        As `EndpointArgs.model`.
    share : float, optional
        Send `model` this share of the requests as shadow traffic, and replace nothing.

    Raises
    ------
    UserError
        If there is no such endpoint or model, or the new replicas failed.
    """
    pinned = _pin(model)
    join()
    before = current_args(config)
    if share is None:
        after = before.model_copy(update={"model": pinned, "shadow": None})
    else:
        after = before.model_copy(update={"shadow": Challenger(model=pinned, share=share)})
    try:
        _run(config, after)
    except RuntimeError as error:
        _run(config, before)
        raise UserError(
            f"{model}: its replicas failed, {before.model} is still served ({first_line(error)}); see Ray's logs"
        ) from None
    return before.model, pinned


def current_args(config: Config) -> EndpointArgs:
    """Return the arguments of the running endpoint of `config`.

    Raises
    ------
    UserError
        If it does not run.
    """
    try:
        return EndpointArgs.model_validate(serve.get_app_handle(config.name).args.remote().result(timeout_s=30))
    except (BackPressureError, TimeoutError):
        raise UserError(f"the endpoint {config.name} is too busy to report what it serves; try again") from None
    except RayServeException:
        raise UserError(
            f"no endpoint {config.name} is running on this cluster; start it with xpfeh serve, "
            "or set RAY_ADDRESS to its cluster"
        ) from None


def withdraw(config: Config) -> None:
    """Stop the endpoint of `config`, and disconnect this process from the cluster."""
    node = ray.get_runtime_context().get_node_id()
    serve.delete(config.name)
    ray.shutdown()
    if is_own():  # on a cluster HAProxy keeps serving others
        haproxy.clean_up(node)


def _pin(model: str) -> str:
    """Return a model's pinned name; an invalid model fails here, not in the replicas."""
    name = pinned_model(model)
    Predictor(bundle_folder(name))
    return name


def _run(config: Config, args: EndpointArgs) -> None:
    serve.run(application(args, config.options), name=config.name, route_prefix=config.route_prefix)
