"""`xpfeh keys`: who may use an endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import local
from xpfeh.cli.panels import examples
from xpfeh.cli.printing import console, print_keys
from xpfeh.errors import UserError
from xpfeh.files import data_folder

keys = typer.Typer(no_args_is_help=True, help="Manage the keys of an endpoint: one for each collaborator.")

File = Annotated[
    Path | None, local("The endpoint's key file: args.keys of its configuration. Default: ~/.xpfeh/keys.json.")
]
Name = Annotated[str, typer.Argument(help="Name of its owner.")]


@keys.command(epilog=examples("xpfeh keys add vienna", "xpfeh keys add vienna --scope predict --per-minute 60"))
def add(
    name: Name,
    scope: Annotated[list[str], typer.Option(help="predict, read or admin; repeatable.")] = ["predict", "read"],
    per_minute: Annotated[int, typer.Option(min=1, help="Requests per minute.")] = 600,
    per_day: Annotated[int, typer.Option(min=1, help="Stars per day.")] = 1_000_000,
    file: File = None,
) -> None:
    """Create a key. It is shown only once: the file keeps its hash."""
    from xpfeh.serving.keys import Keys, Scope

    if unknown := set(scope) - set(Scope):
        raise UserError(f"--scope {unknown.pop()}: unknown; choose from {', '.join(Scope)}")
    made = Keys(file or data_folder("keys.json")).add(name, tuple(map(Scope, scope)), per_minute, per_day)
    console.print(made, soft_wrap=True)


@keys.command("list", epilog=examples("xpfeh keys list"))
def list_keys(file: File = None) -> None:
    """List who has a key, with its scopes and limits."""
    from xpfeh.serving.keys import Keys

    print_keys(Keys(file or data_folder("keys.json")).all())


@keys.command(epilog=examples("xpfeh keys revoke vienna"))
def revoke(name: Name, file: File = None) -> None:
    """Revoke a key: the endpoint refuses it from the next request on, without a restart."""
    from xpfeh.serving.keys import Keys

    Keys(file or data_folder("keys.json")).revoke(name)
    console.print(f"revoked: {name}")
