"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from xpfeh.files import local_path

CHAMPION, PRETRAINED = "models:/xpfeh@champion", "pretrained"


def local(help: str) -> Any:
    """Return an option that takes a local path, and no URI: Path would make the folder ``s3:`` of an ``s3://``."""
    return typer.Option(help=help, parser=local_path, metavar="PATH")


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
DatasetDir = Annotated[str, typer.Argument(metavar="DIR", help="The folder or URI that --out named.")]
