"""`xpfeh archive`: your login at Gaia's archive."""

from __future__ import annotations

from typing import Annotated

import typer

from xpfeh.cli.panels import examples
from xpfeh.cli.printing import console

archive = typer.Typer(no_args_is_help=True, help="Log in to Gaia's archive, to use your own quota.")


@archive.command(epilog=examples("xpfeh archive login --user jdoe"))
def login(
    user: Annotated[str, typer.Option(prompt=True, help="Your user name at the archive.")],
) -> None:
    """Log in to Gaia's archive; you are prompted for the password, which is not stored.

    The session is kept on this machine. Uploads (--around) then count against your own quota; all anonymous users share
    one.
    """
    from xpfeh.archive.login import log_in

    password = typer.prompt("Password", hide_input=True)
    console.print(f"logged in as {user}; the session is kept in {log_in(user, password)}", soft_wrap=True)


@archive.command(epilog=examples("xpfeh archive logout"))
def logout() -> None:
    """Log out: delete the session kept on this machine."""
    from xpfeh.archive.login import log_out

    console.print("logged out" if log_out() else "you were not logged in")
