"""Commands for datasets: make and publish a catalog; how far a dataset is, what failed, and is it whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import CHAMPION, DatasetDir, Features, MaxWorkers, Model, local
from xpfeh.cli.printing import console, print_account, print_rows, print_status

app = typer.Typer()
catalog = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="[Fe/H] for every star of a features dataset, each exactly once: **run** makes it, **publish** writes it for "
    "others. `xpfeh status`, `failed` and `verify` look at it.",
)


@catalog.command()
def run(
    features: Features,
    out: Annotated[str, typer.Option(help="Folder or URI of the catalog.")],
    model: Model = CHAMPION,
    max_workers: MaxWorkers = 128,
) -> None:
    """Predict every star: the paper's Table 2. Run again to resume."""
    from xpfeh.commands.catalog import make_catalog
    from xpfeh.commands.models import bundle_of

    print_rows(out, make_catalog(features, bundle_of(model), out, max_workers))


@catalog.command()
def publish(
    catalog: Annotated[str, typer.Argument(metavar="CATALOG", help="A finished catalog: folder or URI.")],
    out: Annotated[Path, local("New folder for the release.")],
    formats: Annotated[
        list[str], typer.Option("--format", help="parquet, hats, fits, votable, cds; may be repeated.")
    ] = ["parquet", "hats", "fits"],
    sample: Annotated[str, typer.Option(help="all; good; paper: cuts 1 to 3 and E(B-V) < 0.5.")] = "all",
    report: Annotated[Path | None, local("Folder of a report of xpfeh validate, to lie in the release.")] = None,
) -> None:
    """A release for others: files in HEALPix order with units, UCDs, checksums and a description."""
    from xpfeh.commands.publish import publish

    manifest = publish(catalog, out, formats, sample, report)
    console.print(f"{manifest['rows']:,} stars published: {out}", soft_wrap=True)


def status(out: DatasetDir) -> None:
    """How far a dataset is, while it is made or after the run was killed."""
    from xpfeh.dataset.status import status

    print_status(out, status(out))


def failed(
    out: DatasetDir,
    trace: Annotated[bool, typer.Option("--trace", help="Also print where in the code.")] = False,
) -> None:
    """Which parts of a dataset could not be made, and why; the next run tries them again."""
    from xpfeh.dataset.dataset import Dataset

    failures = Dataset.at(out).failures()
    for failure in failures:
        console.print(f"{failure.shard}  {failure.when:%Y-%m-%d %H:%M:%S}  {failure.reason}", soft_wrap=True)
        if trace:
            console.print(failure.trace, soft_wrap=True)
    console.print(f"{len(failures)} parts failed")


def verify(out: DatasetDir) -> None:
    """Prove that every star asked for is in a dataset once, or rejected with a reason. Exit code 1: it is not."""
    from xpfeh.dataset.verify import verify

    account = verify(out)
    print_account(account)
    if account.problems:
        raise typer.Exit(1)


for command in (status, failed, verify):
    app.command()(command)
    catalog.command(hidden=True)(command)  # their names before features had them too; for one release
