"""`xpfeh labels`: tables of known [Fe/H]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpfeh.cli.options import OwnRelease, local, valid_release
from xpfeh.cli.panels import examples
from xpfeh.cli.printing import console, print_cuts

if TYPE_CHECKING:
    from xpfeh.labels.literature import Merged

labels = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Make tables of known [Fe/H], to train on or to test against.",
)

Out = Annotated[Path, local("Labels to write: a .parquet file.")]


@labels.command(epilog=examples("xpfeh labels literature --out labels.parquet"))
def literature(out: Out) -> None:
    """Merge the packaged APOGEE labels with the packaged literature of metal-poor stars."""
    from xpfeh.commands.labels import write_literature

    _print_merge(write_literature(out), out)


@labels.command(epilog=examples("xpfeh labels apogee apogee-library --out labels.parquet"))
def apogee(
    library: Annotated[str, typer.Argument(help="apogee-library, or a FITS file of the same layout.")], out: Out
) -> None:
    """Extract the APOGEE labels of a library of spectra."""
    from xpfeh.commands.labels import write_apogee

    console.print(f"{write_apogee(library, out):,} labels -> {out}", soft_wrap=True)


def _match_with_gaia(kind: str) -> Callable[..., None]:
    """Return the command that makes labels of a compilation."""

    def match_with_gaia(
        table: Annotated[str, typer.Argument(help="The compilation's table.")],
        out: Out,
        gaia: Annotated[
            str, typer.Option(help="Gaia stars to match with: source_id, ra, dec, and pmra, pmdec if known.")
        ],
        without: Annotated[
            str | None, typer.Option(help="Leave out the stars of these labels: for a test sample.")
        ] = None,
        release: OwnRelease = None,
    ) -> None:
        from xpfeh.commands.labels import write_labels

        counts = write_labels(kind, table, gaia, out, without, valid_release(release) or "dr3")
        print_cuts(counts, title=f"labels of {kind}")
        console.print(f"labels -> {out}", soft_wrap=True)

    return match_with_gaia


for kind, name in {"pastel": "PASTEL", "saga": "SAGA", "jinabase": "JINAbase"}.items():
    labels.command(
        kind,
        help=f"Match the stars of {name} with Gaia by position.",
        epilog=examples(f"xpfeh labels {kind} {kind}.csv --gaia gaia.parquet --out labels.parquet"),
    )(_match_with_gaia(kind))


@labels.command(epilog=examples("xpfeh labels merge survey.parquet pastel.parquet --out merged.parquet"))
def merge(
    survey: Annotated[str, typer.Argument(help="Labels of the survey.")],
    literature: Annotated[list[str], typer.Argument(help="One or more tables of literature values.")],
    out: Out,
) -> None:
    """Merge the labels of a survey with tables of literature values."""
    from xpfeh.commands.labels import merge_labels

    _print_merge(merge_labels(survey, literature, out), out)


@labels.command(
    epilog=examples(
        "xpfeh labels move labels.parquet --out labels_dr4.parquet \\", "  --neighbourhood neighbourhood.parquet"
    )
)
def move(
    table: Annotated[str, typer.Argument(metavar="LABELS", help="Labels of DR3 stars.")],
    out: Out,
    neighbourhood: Annotated[
        str, typer.Option(help="The archive's dr3_neighbourhood of these stars: `xpfeh fetch neighbourhood`.")
    ],
) -> None:
    """Move labels from Gaia DR3 to DR4 identifiers."""
    from xpfeh.commands.labels import move_labels

    print_cuts(move_labels(table, neighbourhood, out), title="labels moved")
    console.print(f"labels -> {out}", soft_wrap=True)


def _print_merge(merged: Merged, out: Path) -> None:
    for name, number in merged.counts.items():
        console.print(f"{name}: {number:,}")
    for name, stars, offset, error, applied in merged.zero_points.iter_rows():
        spread = "" if error is None else f" ± {error:.3f}"
        verdict = "applied" if applied else "not applied"
        console.print(f"zero point of {name}: {offset:+.3f}{spread} dex, {stars} stars, {verdict}", soft_wrap=True)
    console.print(f"labels -> {out}", soft_wrap=True)
