"""`xpfeh archive`: a login of your own at Gaia's archive."""

from __future__ import annotations

from typing import Annotated

import typer

from xpfeh.cli.printing import console

archive = typer.Typer(no_args_is_help=True, help="Log in at Gaia's archive, for a quota of your own.")


@archive.command()
def login(
    user: Annotated[str, typer.Option(prompt=True, help="Your user name at the archive.")],
) -> None:
    """Log in at Gaia's archive: its session is kept on this machine, the password nowhere.

    Uploads (--around) then count for your own quota; all anonymous users share one. The password is asked for.
    """
    from xpfeh.download.login import log_in

    password = typer.prompt("Password", hide_input=True)
    console.print(f"logged in as {user}; the session is kept in {log_in(user, password)}", soft_wrap=True)


@archive.command()
def logout() -> None:
    """Delete the session that is kept on this machine."""
    from xpfeh.download.login import log_out

    console.print("logged out" if log_out() else "there was no login")
