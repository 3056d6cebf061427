"""Commands that make features and spectra, and show the cache of the archive's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import Distances, MaxWorkers, OwnRelease, Photometry, Set, Source, local, valid_release
from xpfeh.cli.panels import DATA, examples
from xpfeh.cli.printing import print_cache, print_rows, print_warning, print_written
from xpfeh.errors import UserError
from xpfeh.settings import PreprocessSettings

app = typer.Typer()


@app.command(
    rich_help_panel=DATA,
    epilog=examples(
        "xpfeh ingest apogee-library --out features",
        "xpfeh ingest xp --photometry gaia_source.parquet --out features",
        "xpfeh ingest s3://bucket/xp --out s3://bucket/features --workers 64",
    ),
)
def ingest(
    source: Annotated[list[str], typer.Argument(help="Spectra, as for `xpfeh spectra`; several make one dataset.")],
    out: Annotated[str, typer.Option(help="Features to write: a folder or URI.")],
    photometry: Photometry = [],
    distances: Distances = [],
    settings: Set = [],
    release: OwnRelease = None,
    workers: MaxWorkers = 128,
) -> None:
    """Turn spectra into features: flux as observed, colours, dust and flags. Rerun to resume."""
    from xpfeh.commands.ingest import ingest
    from xpfeh.sources.reader import CompanionFiles

    companions = CompanionFiles.find(photometry, distances)
    by_release = [f"release={release}"] if valid_release(release) else []
    chosen = PreprocessSettings().with_overrides([*settings, *by_release])
    print_rows(out, ingest(source, out, chosen, companions, workers, print_warning))


@app.command(
    rich_help_panel=DATA,
    epilog=examples(
        "xpfeh spectra XP_CONTINUOUS_RAW.csv --out spectra.fits",
        "xpfeh spectra xp --stage dereddened --out spectra.parquet",
    ),
)
def spectra(
    source: Source,
    out: Annotated[Path, local("File to write: .parquet, .fits, .vot or .ecsv.")],
    stage: Annotated[
        str, typer.Option(help="calibrated (as gaiaxpy.calibrate), corrected, dereddened or features.")
    ] = "calibrated",
    photometry: Photometry = [],
    distances: Distances = [],
    settings: Set = [],
) -> None:
    """Write spectra as absolute flux and error at 343 wavelengths."""
    from xpfeh.commands.spectra import Stage, write_spectra
    from xpfeh.sources.reader import CompanionFiles

    if stage not in list(Stage):
        raise UserError(f"--stage {stage}: unknown; choose from {', '.join(Stage)}")
    chosen = PreprocessSettings().with_overrides(settings)
    print_written(out, write_spectra(source, out, Stage(stage), chosen, CompanionFiles.find(photometry, distances)))


@app.command(rich_help_panel=DATA, epilog=examples("xpfeh cache", "xpfeh cache --forget dr4"))
def cache(
    forget: Annotated[str | None, typer.Option(help="Delete the cache of a data release: dr3 or dr4.")] = None,
) -> None:
    """Show which answers of Gaia's archive are cached, and their size."""
    from xpfeh.archive import cache as kept

    if valid_release(forget):
        kept.forget(str(forget))
    print_cache(kept.sizes())
