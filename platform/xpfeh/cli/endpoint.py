"""Commands that answer over HTTP."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import local
from xpfeh.cli.panels import CATALOG, examples
from xpfeh.cli.printing import console
from xpfeh.environment import uses_haproxy
from xpfeh.errors import UserError

app = typer.Typer()


@app.command(
    rich_help_panel=CATALOG,
    epilog=examples(
        "xpfeh serve",
        "xpfeh serve --model pretrained",
        "xpfeh serve --config serve_configs/production.yaml --follow",
    ),
)
def serve(
    config: Annotated[Path | None, local("Ray Serve YAML. Default: one replica on this machine.")] = None,
    model: Annotated[str | None, typer.Option(help="Serve this model instead of the configured one.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Roll out each new champion without failing a request.")
    ] = False,
) -> None:
    """Start the HTTP endpoint; it runs until interrupted."""
    import signal
    from threading import Event

    from xpfeh.cluster.connection import is_own
    from xpfeh.commands.serve import LOCAL_CONFIG, champions, running_endpoint

    if follow and model:
        raise UserError("--follow serves each champion: leave out --model")
    with running_endpoint(config or LOCAL_CONFIG, model) as address:
        # SIGTERM stops it like Ctrl-C: by default the process would die and leave the endpoint on a joined cluster.
        # And a process that a shell starts in the background ignores SIGINT unless it sets a handler.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        console.print(f"serving at {address} (API: {address}/docs); press Ctrl-C to stop", soft_wrap=True)
        if is_own() and not uses_haproxy():
            console.print("without HAProxy: requests pass Ray's Python proxy, which is about half as fast")
        with suppress(KeyboardInterrupt):
            for line in champions(config or LOCAL_CONFIG) if follow else []:
                console.print(line, soft_wrap=True)
            Event().wait()


@app.command(
    rich_help_panel=CATALOG,
    epilog=examples("xpfeh rollout models:/xpfeh/8", "xpfeh rollout models:/xpfeh/9 --share 0.1"),
)
def rollout(
    model: Annotated[str, typer.Argument(help="A model bundle's folder, models:/xpfeh/VERSION, or pretrained.")],
    config: Annotated[Path | None, local("The --config that the endpoint was started with.")] = None,
    share: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1.0,
            help="Send this share of the requests to the new model as shadow traffic, and keep serving the old one.",
        ),
    ] = None,
) -> None:
    """Replace the model of a running endpoint without failing a request.

    New replicas start next to the old ones as soon as a core is free; if they fail, the old ones stay. To go back, run
    the same command with the previous model. GET /v1/shadow compares both models' answers to shadow traffic.
    """
    from xpfeh.commands.serve import LOCAL_CONFIG
    from xpfeh.serving.config import read_config
    from xpfeh.serving.deploy import rollout

    before, after = rollout(read_config(config or LOCAL_CONFIG), model, share)
    if share is None:
        console.print(f"serving {after}; to go back: xpfeh rollout {before}", soft_wrap=True)
    else:
        console.print(f"serving {before}; {after} gets {share:.0%} of the requests as shadow traffic", soft_wrap=True)
