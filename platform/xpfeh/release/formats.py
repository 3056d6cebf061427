"""The formats that a catalog is published in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from rich.progress import track

from xpfeh.columns import PROVENANCE_KEY
from xpfeh.release.cds_files import write_cds
from xpfeh.release.citation import references
from xpfeh.release.hats_catalog import write_hats
from xpfeh.release.parquet_files import write_parquet
from xpfeh.release.readme import TITLE
from xpfeh.release.sky_order import SkyOrder
from xpfeh.tables.fits_writer import write_fits
from xpfeh.tables.votable import write_votable


@dataclass(frozen=True)
class Release:
    """What every format is written from.

    Attributes
    ----------
    folder : Path
        Where the files go.
    stars : SkyOrder
    schema : Schema
        The columns, without the HEALPix pixel that `stars` has before them.
    provenance : dict
        What the catalog's parts and records say of its origin, and the sample.
    description : str
        What the release is, in a paragraph.
    """

    folder: Path
    stars: SkyOrder
    schema: pa.Schema
    provenance: dict[str, Any]
    description: str

    def tables(self, format_name: str) -> Iterator[pa.Table]:
        """Yield the stars of each partition, along the sky, under a progress bar of this name."""
        for _, table in track(self.stars, format_name, len(self.stars.partitions)):
            yield table.select(self.schema.names)


class Format(NamedTuple):
    """A format: what writes it and returns the rows of each file, what the files are called, and what they are."""

    write: Callable[[Release], dict[Path, int]]
    files: str
    explanation: str


def _parquet(release: Release) -> dict[Path, int]:
    provenance = release.provenance | {"parts": len(release.stars.partitions)}  # the release's own, not the catalog's
    schema = release.schema.with_metadata({PROVENANCE_KEY: json.dumps(provenance).encode()})
    return write_parquet(release.folder / "parquet", schema, release.tables("parquet"))


def _hats(release: Release) -> dict[Path, int]:
    about = {"obs_title": TITLE, "obs_description": release.description, "bib_reference": references()[0]}
    return write_hats(release.folder / "hats", release.stars, about)


def _fits(release: Release) -> dict[Path, int]:
    path, stars = release.folder / "catalog.fits", release.stars
    write_fits(path, release.schema, stars.rows, stars.text_bytes, release.tables("fits"), {}, release.description)
    return {path: stars.rows}


def _votable(release: Release) -> dict[Path, int]:
    path = release.folder / "catalog.vot"
    write_votable(path, release.schema, release.tables("votable"), release.description)
    return {path: release.stars.rows}


def _cds(release: Release) -> dict[Path, int]:
    rows = release.stars.rows
    path = write_cds(release.folder / "cds", release.schema, rows, lambda: release.tables("cds"), release.description)
    return {path: rows}


FORMATS = {
    "parquet": Format(_parquet, "parquet/*.parquet", "Parquet, in HEALPix order, units in the metadata"),
    "hats": Format(_hats, "hats/", "HATS collection for LSDB: the catalog and its margin"),
    "fits": Format(_fits, "catalog.fits", "FITS binary table"),
    "votable": Format(_votable, "catalog.vot", "VOTable (BINARY2)"),
    "cds": Format(_cds, "cds/", "ReadMe of CDS, and lines of fixed width"),
}
"""The formats of a published catalog, by the names that ``--format`` takes."""
