"""`xpfeh catalog`: features to a catalog, how far that is, what failed, the proof that it is whole, and its release."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from xpfeh.cli.printing import console, tell_rows

catalog = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="[Fe/H] for every star of a features dataset, each exactly once: **run**, look at **status** and **failed**, "
    "**verify**, and **publish** for others. `status`, `failed` and `verify` know features too.",
)

Folder = Annotated[str, typer.Argument(help="The folder or URI that --out named.")]


@catalog.command()
def run(
    features: Annotated[str, typer.Option(help="Features that `xpfeh ingest` wrote: a folder or s3:// URI.")],
    out: Annotated[str, typer.Option(help="Folder or URI of the catalog.")],
    model: Annotated[
        str, typer.Option(help="A bundle's folder, or models:/xpfeh@champion.")
    ] = "models:/xpfeh@champion",
) -> None:
    """Predict every star: the paper's Table 2. Run again to resume."""
    from xpfeh.commands.catalog import make_catalog
    from xpfeh.experiments.registry import local_bundle

    tell_rows(out, make_catalog(features, local_bundle(model), out))


@catalog.command()
def status(out: Folder) -> None:
    """How far a run is, while it runs or after it was killed."""
    from xpfeh.dataset.status import status

    now = status(out)
    table = Table(show_header=False, title=f"{now.kind}: {out}")
    table.add_row("parts", f"{now.done:,} of {now.parts:,} done" + (f", {now.failed:,} failed" if now.failed else ""))
    table.add_row("rows", f"{now.rows_read:,} read = {now.rows_written:,} written + {now.rejected.total():,} rejected")
    for reason, count in now.rejected.most_common():
        table.add_row("  rejected", f"{count:,}: {reason}")
    if now.latest:
        table.add_row("speed", f"{now.rate:,.0f} stars a second; latest part {now.latest:%Y-%m-%d %H:%M:%S} UTC")
    if now.done < now.parts and now.seconds_left is not None:
        table.add_row("time left", str(timedelta(seconds=round(now.seconds_left))))
    console.print(table)


@catalog.command()
def failed(
    out: Folder,
    trace: Annotated[bool, typer.Option("--trace", help="Also print where in the code.")] = False,
) -> None:
    """Which parts could not be made, and why; the next run tries them again."""
    from xpfeh.dataset.dataset import Dataset

    failures = Dataset.at(out).failures()
    for failure in failures:
        console.print(f"{failure.shard}  {failure.when:%Y-%m-%d %H:%M:%S}  {failure.reason}", soft_wrap=True)
        if trace:
            console.print(failure.trace, markup=False, soft_wrap=True)
    console.print(f"{len(failures)} parts failed")


@catalog.command()
def verify(out: Folder) -> None:
    """Prove that every star asked for is there once, or rejected with a reason. Exit code 1: it does not hold."""
    from xpfeh.dataset.verify import verify

    found = verify(out)
    for problem in found.problems:
        console.print(f"[red]{problem}[/red]", soft_wrap=True)
    console.print(
        f"{found.kind}: {found.requested:,} requested, {found.written:,} written + {found.rejected:,} rejected; "
        f"{found.parts:,} parts have their recorded bytes and their input's stars"
    )
    if found.problems:
        console.print(f"{len(found.problems)} problems")
        raise typer.Exit(1)
    console.print("each star exactly once")


@catalog.command()
def publish(
    catalog: Annotated[str, typer.Argument(metavar="CATALOG", help="A finished catalog: folder or URI.")],
    out: Annotated[Path, typer.Option(help="New folder for the release.")],
    formats: Annotated[list[str], typer.Option("--format", help="parquet, hats, fits, votable; may be repeated.")] = [
        "parquet",
        "hats",
        "fits",
    ],
    sample: Annotated[str, typer.Option(help="all; giants: cuts 1 to 3; paper: these and E(B-V) < 0.5.")] = "all",
) -> None:
    """A release for others: files in HEALPix order with units, UCDs, checksums and a description."""
    from xpfeh.commands.publish import publish

    manifest = publish(catalog, out, formats, sample)
    console.print(f"{manifest['rows']:,} stars published: {out}", soft_wrap=True)
