"""Commands that make data: spectra, features and labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpfeh.cli.options import Distances, MaxWorkers, OwnRelease, Photometry, Set, Source, checked, local
from xpfeh.cli.printing import console, print_cuts, print_rows, print_warning, print_written
from xpfeh.errors import UserError
from xpfeh.settings import PreprocessSettings

if TYPE_CHECKING:
    from xpfeh.labels.literature import Merged

app = typer.Typer()


@app.command()
def ingest(
    source: Annotated[list[str], typer.Argument(help="As for `xpfeh spectra`; several are one dataset.")],
    out: Annotated[str, typer.Option(help="Folder or URI of the features.")],
    photometry: Photometry = [],
    distances: Distances = [],
    settings: Set = [],
    release: OwnRelease = None,
    max_workers: MaxWorkers = 128,
) -> None:
    """Spectra to features: 343 samples as observed, with colours, dust and flags. Run again to resume."""
    from xpfeh.commands.ingest import ingest
    from xpfeh.sources.reader import CompanionFiles

    companions = CompanionFiles.find(photometry, distances)
    said = [f"release={release}"] if checked(release) else []
    chosen = PreprocessSettings().with_overrides([*settings, *said])
    print_rows(out, ingest(source, out, chosen, companions, max_workers, print_warning))


@app.command()
def spectra(
    source: Source,
    out: Annotated[Path, local("File to write: .parquet, .fits, .vot or .ecsv.")],
    stage: Annotated[
        str, typer.Option(help="calibrated (as gaiaxpy.calibrate), corrected, dereddened, features.")
    ] = "calibrated",
    photometry: Photometry = [],
    distances: Distances = [],
    settings: Set = [],
) -> None:
    """Spectra as a file: absolute flux and error at 343 wavelengths, on this machine alone."""
    from xpfeh.commands.spectra import Stage, write_spectra
    from xpfeh.sources.reader import CompanionFiles

    if stage not in list(Stage):
        raise UserError(f"--stage {stage}: there are {', '.join(Stage)}")
    chosen = PreprocessSettings().with_overrides(settings)
    print_written(out, write_spectra(source, out, Stage(stage), chosen, CompanionFiles.find(photometry, distances)))


@app.command()
def labels(
    kind: Annotated[str, typer.Argument(help="apogee, pastel, saga, jinabase, literature, merge or move.")],
    out: Annotated[Path, local("Labels to write (Parquet).")],
    tables: Annotated[
        list[str],
        typer.Argument(
            help="The library, the compilation's table, or labels; merge: SURVEY LITERATURE...; literature: none."
        ),
    ] = [],
    gaia: Annotated[str | None, typer.Option(help="Gaia stars to match with: source_id, ra, dec, pmra, pmdec.")] = None,
    without: Annotated[str | None, typer.Option(help="Labels whose stars are left out, for a test sample.")] = None,
    neighbourhood: Annotated[
        str | None, typer.Option(help="move: the archive's dr3_neighbourhood of these stars.")
    ] = None,
    release: OwnRelease = None,
) -> None:
    """True [Fe/H] from APOGEE, PASTEL, SAGA or JINAbase; a survey merged with the literature; labels moved to DR4."""
    from xpfeh.commands.labels import move_labels, write_apogee, write_labels, write_literature, write_merged

    if kind == "merge":
        if len(tables) < 2:
            raise UserError("labels merge: name the survey's labels, then one or more tables of the literature")
        _print_merged(write_merged(tables[0], tables[1:], out), out)
        return
    if kind == "literature":
        if tables:
            raise UserError(f"labels literature takes no table, both are packaged; for {tables[0]} use: labels merge")
        _print_merged(write_literature(out), out)
        return
    if kind == "move":
        if len(tables) != 1 or neighbourhood is None:
            raise UserError("labels move: name one table of labels, and --neighbourhood, the archive's table")
        print_cuts(move_labels(tables[0], neighbourhood, out, checked(release) or "dr4"), title="labels moved")
        console.print(f"labels: {out}", soft_wrap=True)
        return
    if len(tables) != 1:
        raise UserError(f"labels of {kind} are made of one table; {len(tables)} are given")
    (table,) = tables
    if kind == "apogee":
        console.print(f"{write_apogee(table, out)} labels: {out}", soft_wrap=True)
        return
    if gaia is None:
        raise UserError(f"labels of {kind} need --gaia, a table of Gaia stars to match with")
    print_cuts(write_labels(kind, table, gaia, out, without, checked(release) or "dr3"), title=f"labels of {kind}")
    console.print(f"labels: {out}", soft_wrap=True)


def _print_merged(merged: Merged, out: Path) -> None:
    for name, number in merged.counts.items():
        console.print(f"{name}: {number}")
    for name, stars, offset, error, applied in merged.zero_points.iter_rows():
        spread = "" if error is None else f" ± {error:.3f}"
        verdict = "applied" if applied else "not applied"
        console.print(f"zero point of {name}: {offset:+.3f}{spread} dex, {stars} stars, {verdict}", soft_wrap=True)
    console.print(f"labels: {out}", soft_wrap=True)
