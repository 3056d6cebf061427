"""The command line: each command is a few lines that call the package. `xpfeh --help` reads like a tour."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import Annotated, TextIO

import typer

from xpfeh._version import __version__
from xpfeh.cli import answers, data, datasets, endpoint, judging, tools, training
from xpfeh.cli.archive import archive
from xpfeh.cli.fetch import fetch
from xpfeh.cli.keys import keys
from xpfeh.cli.labels import labels
from xpfeh.cli.panels import CATALOG, DATA, examples
from xpfeh.cli.printing import console, print_warning
from xpfeh.errors import Notice, UserError

# A full disk, quotas, missing permissions, names too long: the user can fix these, wherever they occur.
_USER_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EFBIG}

_EXTRAS = {
    **dict.fromkeys(("ingest", "catalog"), "cluster"),
    **dict.fromkeys(("train", "cross-validate", "tune", "compare", "promote", "rollback", "pretrain"), "train"),
    **dict.fromkeys(("serve", "keys"), "serve"),
    "demo": "demo",
}
"""The extra of the package that installs what a command needs beyond the core."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
app.add_typer(answers.app)
app.add_typer(data.app)
app.add_typer(labels, name="labels", rich_help_panel=DATA)
app.add_typer(fetch, name="fetch", rich_help_panel=DATA)
app.add_typer(archive, name="archive", rich_help_panel=DATA)
app.add_typer(training.app)
app.add_typer(judging.app)
app.add_typer(datasets.catalog, name="catalog", rich_help_panel=CATALOG)
app.add_typer(datasets.app)
app.add_typer(endpoint.app)
app.add_typer(keys, name="keys", rich_help_panel=CATALOG)
app.add_typer(tools.app)


@app.callback(
    invoke_without_command=True,
    epilog=examples("xpfeh predict XP_CONTINUOUS_RAW.csv --out feh.fits", "xpfeh predict --help", "xpfeh demo"),
)
def tour(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """[Fe/H] of giant stars, with calibrated uncertainties, from Gaia XP spectra.

    **predict** answers for your own stars. To make your own models and catalogs: **ingest** spectra, **train** a model
    or **tune** many, **promote** the best, make a **catalog**, and **serve** it to others.
    """
    if version:
        console.print(f"xpfeh {__version__}")


def job(command: str) -> None:
    """Run one command with this process's arguments: what the scripts in ``jobs/`` do inside a Ray job."""
    main([*command.split(), *sys.argv[1:]])


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    os.environ["MPLBACKEND"] = "agg"  # files only; a notebook's shell names a backend that may not exist here
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", Notice)
            warnings.showwarning = _show_warning
            app(arguments)
    except UserError as error:
        _exit_with(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "xpfeh").startswith("xpfeh"):  # a bug of ours
            raise
        given = sys.argv[1:] if arguments is None else arguments
        extra = next((_EXTRAS[word] for word in given if word in _EXTRAS), "train")  # default: for MLflow
        _exit_with(f"this needs {error.name}, which is not installed: pip install 'xpfeh[{extra}]'")
    except OSError as error:
        if error.errno not in _USER_ERRNOS:
            raise
        _exit_with(f"{error.filename or ''}: {error.strerror}".removeprefix(": "))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a `Notice` as one line, and other warnings as Python does."""
    if issubclass(category, Notice):
        print_warning(" ".join(str(message).splitlines()))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _exit_with(message: str) -> None:
    print(f"xpfeh: {' '.join(message.splitlines())}", file=sys.stderr)
    sys.exit(2)
