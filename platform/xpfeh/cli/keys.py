"""`xpfeh keys`: who may ask an endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import local
from xpfeh.cli.printing import console, print_keys
from xpfeh.errors import UserError
from xpfeh.files import data_folder

keys = typer.Typer(no_args_is_help=True, help="Keys of an endpoint: one for each collaborator.")

File = Annotated[
    Path | None, local("The file that the endpoint's args.keys names; keys.json under ~/.xpfeh by default.")
]
Name = Annotated[str, typer.Argument(help="Who has it.")]


@keys.command()
def add(
    name: Name,
    scope: Annotated[list[str], typer.Option(help="predict, read or admin; may be repeated.")] = ["predict", "read"],
    per_minute: Annotated[int, typer.Option(min=1, help="Requests a minute.")] = 600,
    per_day: Annotated[int, typer.Option(min=1, help="Stars a day.")] = 1_000_000,
    file: File = None,
) -> None:
    """Make a key. It is shown this once; the file has its hash alone."""
    from xpfeh.serving.keys import Keys, Scope

    if unknown := set(scope) - set(Scope):
        raise UserError(f"--scope {unknown.pop()}: there are {', '.join(Scope)}")
    made = Keys(file or data_folder("keys.json")).add(name, tuple(map(Scope, scope)), per_minute, per_day)
    console.print(made, soft_wrap=True)


@keys.command("list")
def list_keys(file: File = None) -> None:
    """Who has a key, and for what."""
    from xpfeh.serving.keys import Keys

    print_keys(Keys(file or data_folder("keys.json")).all())


@keys.command()
def revoke(name: Name, file: File = None) -> None:
    """Take a key back: the endpoint refuses it from its next request on, without a restart."""
    from xpfeh.serving.keys import Keys

    Keys(file or data_folder("keys.json")).revoke(name)
    console.print(f"revoked: {name}")
