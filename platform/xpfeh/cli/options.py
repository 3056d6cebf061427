"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpfeh.errors import UserError
from xpfeh.files import local_path

if TYPE_CHECKING:
    from xpfeh.commands.asked_stars import Beside

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


def beside_of(
    references: list[str],
    clusters: Path | None,
    catalog: str | None = None,
    baseline: str | None = None,
    earlier: Path | None = None,
    neighbourhood: Path | None = None,
) -> Beside:
    """Return what a report compares with, as options name it."""
    from xpfeh.commands.asked_stars import Beside
    from xpfeh.evaluate.baseline import BASELINE

    if baseline not in (None, BASELINE):
        raise UserError(f"--baseline {baseline}: there is {BASELINE}")
    named = {}
    for each in references:
        name, equals, path = each.partition("=")
        if not (equals and path):
            raise UserError(f"--reference {each}: write NAME=FILE, as in pastel=pastel.fits; names: xpfeh references")
        if name in named:
            raise UserError(f"--reference {name}: given twice; one file or folder of a catalog")
        named[name] = local_path(path)
    if neighbourhood and not earlier:
        raise UserError("--neighbourhood belongs to --earlier: name the report of the data release before")
    return Beside(named, clusters, catalog, baseline is not None, earlier, neighbourhood)


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
    list[str],
    typer.Option(
        help="Tables of r_med_geo or rgeo: file, folder or glob; may be repeated. With --ids etc., fetch gets them."
    ),
]
DustMap = Annotated[
    str | None,
    typer.Option(
        "--dust-map",
        help="E(B-V) from this map, sfd-nside64 or sfd, and not from the one that the model was trained with.",
    ),
]
References = Annotated[
    list[str],
    typer.Option(
        "--reference",
        metavar="NAME=FILE",
        help="Compare with a published catalog; may be repeated. Names: xpfeh references.",
    ),
]
Clusters = Annotated[Path | None, local("Compare with globular clusters: gc_harris.csv of the Local Volume Database.")]
OfCatalog = Annotated[
    str | None, typer.Option("--catalog", help="Also show the stars of this catalog: the final sample.")
]
Earlier = Annotated[
    Path | None, local("Also compare with this report on the same stars, of an earlier data release say.")
]
OfNeighbours = Annotated[
    Path | None, local("--earlier is of the data release before: the archive's dr3_neighbourhood of the stars.")
]
Baseline = Annotated[str | None, typer.Option(help="Also train and judge: xgboost.")]
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
ArchiveName = Annotated[
    str | None,
    typer.Option(
        "--archive", help="Query only this archive: esa, ari or aip. By default a mirror is queried if ESA's is down."
    ),
]
Cone = Annotated[tuple[float, float, float] | None, typer.Option(help="RA DEC RADIUS, degrees.")]
Around = Annotated[
    Path | None, local("Positions: a table with ra and dec, degrees or sexagesimal, matched to Gaia's stars.")
]
Radius = Annotated[float, typer.Option(min=0.01, help="--around: largest separation, arcsec.")]
Epoch = Annotated[float, typer.Option(help="--around: Julian year of the positions.")]
DatasetDir = Annotated[str, typer.Argument(metavar="DIR", help="The folder or URI that --out named.")]
