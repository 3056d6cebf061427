"""Arguments and options that several commands share."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpfeh.errors import Notice, UserError
from xpfeh.files import local_path

if TYPE_CHECKING:
    from xpfeh.commands.report_stars import Comparisons

CHAMPION, PRETRAINED = "models:/xpfeh@champion", "pretrained"


def local(help: str) -> Any:
    """Return an option that takes a local path but no URI: Path would turn ``s3://`` into a folder ``s3:``."""
    return typer.Option(help=help, parser=local_path, metavar="PATH")


def valid_release(release: str | None) -> str | None:
    """Return a known data release, or None; refuse any other."""
    from xpfeh.releases import check_release

    if release is not None:
        check_release(release)
    return release


def comparisons_of(
    references: list[str],
    clusters: Path | None,
    catalog: str | None = None,
    baseline: str | None = None,
    earlier: Path | None = None,
    neighbourhood: Path | None = None,
) -> Comparisons:
    """Return what a report compares with, from its options."""
    from xpfeh.commands.report_stars import Comparisons
    from xpfeh.evaluate.baseline import BASELINE
    from xpfeh.labels.reference_catalogs import REFERENCES, reference_of

    if baseline not in (None, BASELINE):
        raise UserError(f"--baseline {baseline}: unknown; the only one is {BASELINE}")
    named = {}
    for each in references:
        name, equals, path = each.partition("=")
        if not (equals and path):
            raise UserError(f"--reference {each}: write NAME=FILE, as in pastel=pastel.fits; names: xpfeh references")
        if name in named:
            raise UserError(f"--reference {name}: given twice; give one file or folder for each catalog")
        if reference_of(name).name not in REFERENCES:  # perhaps a published catalog, misspelled
            warnings.warn(
                f"--reference {name}: a plain table: no quality cuts, and it counts as spectroscopy",
                Notice,
                stacklevel=2,
            )
        named[name] = local_path(path)
    if neighbourhood and not earlier:
        raise UserError("--neighbourhood needs --earlier: the report of the previous data release")
    return Comparisons(named, clusters, catalog, baseline is not None, earlier, neighbourhood)


Source = Annotated[
    list[str],
    typer.Argument(
        help="Gaia XP spectra: files, folders or s3:// URIs; or apogee-library, or a FITS file of the same layout."
    ),
]
Features = Annotated[str, typer.Option(help="Features written by `xpfeh ingest`: a folder or s3:// URI.")]
Labels = Annotated[
    str,
    typer.Option(help="Known [Fe/H]: a table of any format with source_id and feh, optionally feh_err, logg and more."),
]
Model = Annotated[
    str, typer.Option(help="A model bundle's folder, models:/xpfeh@champion, or pretrained (shipped with the package).")
]
Photometry = Annotated[
    list[str], typer.Option(help="Gaia photometry and parallaxes (gaia_source): file, folder or glob; repeatable.")
]
Distances = Annotated[
    list[str],
    typer.Option(
        help="Distances in pc (r_med_geo or rgeo): file, folder or glob; repeatable. "
        "`--distances fetch` downloads them for stars given by --ids, --adql, --cone or --around."
    ),
]
DustMap = Annotated[
    str | None,
    typer.Option(
        "--dust-map", help="Take E(B-V) from sfd-nside64 or sfd. Default: the map the model was trained with."
    ),
]
References = Annotated[
    list[str],
    typer.Option(
        "--reference",
        metavar="NAME=FILE",
        help="Compare with a published catalog; repeatable. `xpfeh references` lists the names.",
    ),
]
Clusters = Annotated[Path | None, local("Compare with globular clusters: gc_harris.csv of the Local Volume Database.")]
OfCatalog = Annotated[str | None, typer.Option("--catalog", help="Also show the final sample of this catalog.")]
Earlier = Annotated[Path | None, local("Also compare with an earlier report on the same stars.")]
OfNeighbours = Annotated[
    Path | None,
    local("If --earlier is of the previous data release: the archive's dr3_neighbourhood table of the stars."),
]
Baseline = Annotated[str | None, typer.Option(help="Also train and judge a baseline: xgboost.")]
Set = Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; repeatable.")]
CpusEach = Annotated[float, typer.Option("--cpus-per-worker", min=0.05, help="CPU cores for each worker.")]
GpusEach = Annotated[float, typer.Option("--gpus-per-worker", min=0, help="Share of a GPU for each worker.")]
MaxWorkers = Annotated[
    int,
    typer.Option("--workers", min=1, help="Maximum number of workers, one core each; an autoscaling cluster grows."),
]
MembersAtOnce = Annotated[
    int, typer.Option("--workers", min=1, help="Ensemble members trained at once, on a Ray cluster.")
]
MemoryGB = Annotated[
    float | None,
    typer.Option(
        "--memory",
        metavar="GB",
        min=0,
        help="Train from a temporary file (folder: TMPDIR) if a dataset has larger spectra. Default: all in memory.",
    ),
]
Release = Annotated[str, typer.Option(help="Gaia data release: dr3 or dr4.")]
OwnRelease = Annotated[
    str | None, typer.Option("--release", help="Gaia data release of the stars: dr3 or dr4. Default: dr3.")
]
OfModelRelease = Annotated[
    str | None, typer.Option("--release", help="Gaia data release of the stars: dr3 or dr4. Default: the model's.")
]
Ids = Annotated[Path | None, local("Gaia identifiers: one per line, or any table with source_id.")]
Adql = Annotated[str | None, typer.Option(help="An ADQL query of Gaia's archive that returns source_id.")]
ArchiveName = Annotated[
    str | None,
    typer.Option("--archive", help="Query only esa, ari or aip. Default: ESA's archive, or a mirror if it is down."),
]
Cone = Annotated[
    tuple[float, float, float] | None, typer.Option(metavar="RA DEC RADIUS", help="All stars in a cone; degrees.")
]
Around = Annotated[
    Path | None, local("Positions to match with Gaia's stars: a table with ra and dec, degrees or sexagesimal.")
]
Radius = Annotated[float | None, typer.Option(min=0.01, help="--around: maximum separation, arcsec.", show_default="2")]
Epoch = Annotated[float | None, typer.Option(help="--around: Julian year of the positions.", show_default="2000")]
DatasetDir = Annotated[str, typer.Argument(metavar="DIR", help="A dataset's folder or URI: the --out of its command.")]
