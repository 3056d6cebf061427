"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from xpfeh.files import local_path

CHAMPION, PRETRAINED = "models:/xpfeh@champion", "pretrained"


def local(help: str) -> Any:
    """Return an option that takes a local path, and no URI: Path would make the folder ``s3:`` of an ``s3://``."""
    return typer.Option(help=help, parser=local_path, metavar="PATH")


def checked(release: str | None) -> str | None:
    """Return a data release as it is called here, or refuse it."""
    from xpfeh.sources.releases import check_release

    if release is not None:
        check_release(release)
    return release


Source = Annotated[
    str,
    typer.Argument(
        help="apogee-library, or a FITS file of its layout; Gaia XP files: a file, folder, glob or s3:// URI."
    ),
]
Features = Annotated[str, typer.Option(help="Features that `xpfeh ingest` wrote: a folder or s3:// URI.")]
Labels = Annotated[str, typer.Option(help="Table with source_id, feh and perhaps feh_err, logg: a file of any format.")]
Model = Annotated[
    str, typer.Option(help="A bundle's folder, models:/xpfeh@champion, or pretrained: the one in the package.")
]
Photometry = Annotated[list[str], typer.Option(help="gaia_source: file, folder or glob; may be repeated.")]
Distances = Annotated[
    list[str], typer.Option(help="Tables of r_med_geo or rgeo: file, folder or glob; may be repeated.")
]
Set = Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; may be repeated.")]
CpusEach = Annotated[float, typer.Option(min=0.05, help="Share of a CPU core each training gets.")]
GpusEach = Annotated[float, typer.Option(min=0, help="Share of a GPU each training gets.")]
MaxWorkers = Annotated[
    int, typer.Option(min=1, help="So many workers at most, a core each; an autoscaling cluster grows for them.")
]
Release = Annotated[str, typer.Option(help="Gaia data release: dr3 or dr4.")]
OwnRelease = Annotated[
    str | None, typer.Option("--release", help="Gaia data release of the stars: dr3 or dr4; dr3 if not said.")
]
Ids = Annotated[Path | None, local("Identifiers: one a line, or any table with source_id.")]
Adql = Annotated[str | None, typer.Option(help="A query of the Gaia archive that gives source_id.")]
Cone = Annotated[tuple[float, float, float] | None, typer.Option(help="RA DEC RADIUS, degrees.")]
Around = Annotated[Path | None, local("Positions: a table with ra and dec, degrees, matched with Gaia's stars.")]
Radius = Annotated[float, typer.Option(min=0.01, help="--around: largest separation, arcsec.")]
Epoch = Annotated[float, typer.Option(help="--around: Julian year of the positions.")]
DatasetDir = Annotated[str, typer.Argument(metavar="DIR", help="The folder or URI that --out named.")]
