"""Commands for datasets: make and publish a catalog; a dataset's progress, failures and completeness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import CHAMPION, DatasetDir, Features, MaxWorkers, Model, local
from xpfeh.cli.panels import CATALOG, examples
from xpfeh.cli.printing import console, print_account, print_rows, print_status

app = typer.Typer()
catalog = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Make a catalog of every star of a features dataset, and publish it.",
)


@catalog.command(
    epilog=examples(
        "xpfeh catalog run --features features --out catalog",
        "xpfeh catalog run --features features --out catalog --model pretrained",
    )
)
def run(
    features: Features,
    out: Annotated[str, typer.Option(help="Catalog to write: a folder or URI.")],
    model: Model = CHAMPION,
    workers: MaxWorkers = 128,
) -> None:
    """Predict every star of a features dataset, each exactly once. Rerun to resume."""
    from xpfeh.commands.catalog import make_catalog
    from xpfeh.experiments.models import bundle_folder

    print_rows(out, make_catalog(features, bundle_folder(model), out, workers))


@catalog.command(
    epilog=examples(
        "xpfeh catalog publish catalog --out release",
        "xpfeh catalog publish catalog --out release --format hats --report report",
    )
)
def publish(
    catalog: Annotated[str, typer.Argument(metavar="CATALOG", help="A finished catalog: folder or URI.")],
    out: Annotated[Path, local("New folder for the release.")],
    formats: Annotated[list[str], typer.Option("--format", help="parquet, hats, fits, votable or cds; repeatable.")] = [
        "parquet",
        "hats",
        "fits",
    ],
    sample: Annotated[
        str, typer.Option(help="all; good: the good stars; paper: the paper's cuts 1 to 3 and E(B-V) < 0.5.")
    ] = "all",
    report: Annotated[Path | None, local("Report of `xpfeh validate` to include in the release.")] = None,
) -> None:
    """Write a catalog for others: in HEALPix order, with units, UCDs, checksums and a description."""
    from xpfeh.commands.publish import publish

    manifest = publish(catalog, out, formats, sample, report)
    console.print(f"{manifest['rows']:,} stars published -> {out}", soft_wrap=True)


@app.command(rich_help_panel=CATALOG, epilog=examples("xpfeh status catalog"))
def status(out: DatasetDir) -> None:
    """Show a dataset's progress, during a run or after it was killed."""
    from xpfeh.dataset.status import status

    print_status(out, status(out))


@app.command(rich_help_panel=CATALOG, epilog=examples("xpfeh failed catalog", "xpfeh failed catalog --trace"))
def failed(
    out: DatasetDir,
    trace: Annotated[bool, typer.Option("--trace", help="Also print the Python traceback.")] = False,
) -> None:
    """List which parts of a dataset failed, and why; a rerun retries them."""
    from xpfeh.dataset.dataset import Dataset

    failures = Dataset.at(out).failures()
    for failure in failures:
        console.print(f"{failure.shard}  {failure.when:%Y-%m-%d %H:%M:%S}  {failure.reason}", soft_wrap=True)
        if trace:
            console.print(failure.trace, soft_wrap=True)
    console.print(f"{len(failures)} parts failed")


@app.command(rich_help_panel=CATALOG, epilog=examples("xpfeh verify catalog"))
def verify(out: DatasetDir) -> None:
    """Check that a dataset has every star exactly once, or rejected with a reason.

    Exit code 1: it has problems.
    """
    from xpfeh.dataset.verify import verify

    account = verify(out)
    print_account(account)
    if account.problems:
        raise typer.Exit(1)
