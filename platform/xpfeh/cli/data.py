"""Commands that make data: spectra, features and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import Distances, Photometry, Set, Source, local
from xpfeh.cli.printing import console, print_cuts, print_rows, print_written
from xpfeh.errors import UserError
from xpfeh.settings import PreprocessSettings

app = typer.Typer()


@app.command()
def ingest(
    source: Annotated[list[str], typer.Argument(help="As for `xpfeh spectra`; several are one dataset.")],
    out: Annotated[str, typer.Option(help="Folder or URI of the features.")],
    photometry: Photometry = [],
    distances: Distances = [],
    settings: Set = [],
) -> None:
    """Spectra to features: dereddened, 60 pixels, with colours, dust and flags. Run again to resume."""
    from xpfeh.commands.ingest import ingest
    from xpfeh.sources.reader import CompanionFiles

    companions = CompanionFiles.find(photometry, distances)
    print_rows(out, ingest(source, out, PreprocessSettings().with_overrides(settings), companions))


@app.command()
def spectra(
    source: Source,
    out: Annotated[Path, local("File to write: .parquet or .fits.")],
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
    kind: Annotated[str, typer.Argument(help="apogee (of the library), pastel or saga.")],
    table: Annotated[str, typer.Argument(help="The library, or the compilation's table.")],
    out: Annotated[Path, local("Labels to write (Parquet).")],
    gaia: Annotated[str | None, typer.Option(help="Gaia stars to match with: source_id, ra, dec, pmra, pmdec.")] = None,
    without: Annotated[str | None, typer.Option(help="Labels whose stars are left out, for a test sample.")] = None,
) -> None:
    """True [Fe/H] from APOGEE, PASTEL or SAGA, cross-matched with Gaia."""
    from xpfeh.commands.labels import write_apogee, write_labels

    if kind == "apogee":
        console.print(f"{write_apogee(table, out)} labels: {out}", soft_wrap=True)
        return
    if gaia is None:
        raise UserError(f"labels of {kind} need --gaia, a table of Gaia stars to match with")
    print_cuts(write_labels(kind, table, gaia, out, without), title=f"labels of {kind}")
    console.print(f"labels: {out}", soft_wrap=True)
