"""Commands that answer for stars, on this machine only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpfeh.cli.options import (
    PRETRAINED,
    Adql,
    ArchiveName,
    Around,
    Cone,
    Distances,
    DustMap,
    Epoch,
    Ids,
    Model,
    OfModelRelease,
    Photometry,
    Radius,
    Source,
    local,
    valid_release,
)
from xpfeh.cli.panels import ANSWERS, examples
from xpfeh.cli.printing import console, print_answers, print_written
from xpfeh.errors import UserError

app = typer.Typer()


@app.command(
    rich_help_panel=ANSWERS,
    epilog=examples(
        "xpfeh predict XP_CONTINUOUS_RAW.csv --out feh.fits",
        "xpfeh predict --ids stars.txt --distances fetch --out feh.fits",
        "xpfeh predict --around targets.csv --radius 1 --out feh.parquet",
    ),
)
def predict(
    out: Annotated[Path, local("File to write: .parquet, .fits, .vot, .ecsv or .csv.")],
    source: Annotated[
        list[str],
        typer.Argument(
            help="Gaia XP spectra: files, folders or s3:// URIs; or identifiers; or choose stars by an option."
        ),
    ] = [],
    ids: Ids = None,
    adql: Adql = None,
    cone: Cone = None,
    around: Around = None,
    radius: Radius = None,
    epoch: Epoch = None,
    model: Model = PRETRAINED,
    photometry: Photometry = [],
    distances: Distances = [],
    release: OfModelRelease = None,
    archive: ArchiveName = None,
    dust_map: DustMap = None,
) -> None:
    """Predict [Fe/H], T_eff, log g and [alpha/M] from a file of spectra or a list of stars.

    With --ids, --adql, --cone or --around the spectra are downloaded from Gaia's archive and cached: see `xpfeh cache`.
    """
    from xpfeh.archive.archives import PUBLIC
    from xpfeh.commands.choose_stars import StarChoice
    from xpfeh.commands.predict import predict_file, predict_stars, without_fetch
    from xpfeh.commands.star_source import ids_or_source
    from xpfeh.experiments.models import bundle_folder
    from xpfeh.sources.reader import CompanionFiles

    choice, (tables, fetch) = StarChoice(ids, adql, cone, around, radius, epoch), without_fetch(distances)
    companions = CompanionFiles.find(photometry, tables)
    if choice.made == bool(source):
        raise UserError("predict: give either spectra or one of --ids, --adql, --cone, --around")
    if source and not isinstance(stars := ids_or_source(source), list):
        choice, source = StarChoice(ids=tuple(stars.tolist())), []
    if source:
        if fetch or archive:
            raise UserError("predict: --distances fetch and --archive need --ids, --adql, --cone or --around")
        written = predict_file(source, bundle_folder(model), out, companions, valid_release(release), dust_map)
    else:
        services = PUBLIC.only(archive)
        written = predict_stars(
            choice, bundle_folder(model), out, companions, valid_release(release), services, fetch, dust_map
        )
    print_answers(out, written)


@app.command(rich_help_panel=ANSWERS, epilog=examples("xpfeh sensitivity XP_CONTINUOUS_RAW.csv --out sensitivity.fits"))
def sensitivity(
    source: Source,
    out: Annotated[Path, local("File to write: .parquet, .fits, .vot or .ecsv.")],
    model: Model = PRETRAINED,
    photometry: Photometry = [],
) -> None:
    """Show which wavelengths each star's [Fe/H] depends on: d[Fe/H] / d flux by pixel."""
    from xpfeh.commands.predict import sensitivity_file
    from xpfeh.experiments.models import bundle_folder
    from xpfeh.sources.reader import CompanionFiles

    print_written(out, sensitivity_file(source, bundle_folder(model), out, CompanionFiles.find(photometry)))


@app.command(rich_help_panel=ANSWERS, epilog=examples("xpfeh plot XP_CONTINUOUS_RAW.csv --out star.png"))
def plot(
    source: Annotated[str, typer.Argument(help="Spectra, as for `xpfeh spectra`, or the identifier of a star.")],
    out: Annotated[Path, local("Picture to write: .png, .pdf or .svg.")],
    source_id: Annotated[int | None, typer.Option(help="Which star, if there are several.")] = None,
    model: Model = PRETRAINED,
    photometry: Photometry = [],
    distances: Distances = [],
) -> None:
    """Plot one star: its spectrum, what its [Fe/H] depends on, [Fe/H] with its intervals, its flags in words."""
    from xpfeh.commands.plot import plot_star
    from xpfeh.experiments.models import bundle_folder

    plot_star(source, source_id, bundle_folder(model), out, photometry, distances)
    console.print(f"{out}", soft_wrap=True)
