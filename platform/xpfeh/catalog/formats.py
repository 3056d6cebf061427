"""The file formats of a published catalog."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from rich.progress import track

from xpfeh.catalog.cds_files import write_cds
from xpfeh.catalog.citation import references
from xpfeh.catalog.hats_catalog import write_hats
from xpfeh.catalog.parquet_files import write_parquet
from xpfeh.catalog.readme import TITLE
from xpfeh.catalog.sky_order import SkyOrder
from xpfeh.columns import PROVENANCE_KEY
from xpfeh.tables.fits_writer import write_fits
from xpfeh.tables.votable import write_votable_to


@dataclass(frozen=True)
class Publication:
    """The input for every format.

    Attributes
    ----------
    folder : Path
        Folder of the files.
    stars : SkyOrder
    schema : Schema
        The columns, without the HEALPix pixel that comes first in `stars`.
    provenance : dict
        The catalog's origin from its parts and records, and the sample.
    description : str
        A paragraph on the release.
    """

    folder: Path
    stars: SkyOrder
    schema: pa.Schema
    provenance: dict[str, object]
    description: str

    def tables(self, format_name: str) -> Iterator[pa.Table]:
        """Yield the stars of each partition, in HEALPix order, with a progress bar of this name."""
        for table in track(self.stars, format_name, len(self.stars.partitions)):
            yield table.select(self.schema.names)


class Format(NamedTuple):
    """A format: its writer, which returns the rows of each file, the names of the files, and an explanation."""

    write: Callable[[Publication], dict[Path, int]]
    files: str
    explanation: str


def _parquet(publication: Publication) -> dict[Path, int]:
    parts = len(publication.stars.partitions)  # the release's, not the catalog's
    provenance = publication.provenance | {"parts": parts}
    schema = publication.schema.with_metadata({PROVENANCE_KEY: json.dumps(provenance).encode()})
    return write_parquet(publication.folder / "parquet", schema, publication.tables("parquet"))


def _hats(publication: Publication) -> dict[Path, int]:
    about = {"obs_title": TITLE, "obs_description": publication.description, "bib_reference": references()[0]}
    return write_hats(publication.folder / "hats", publication.stars, about)


def _fits(publication: Publication) -> dict[Path, int]:
    path, stars, schema = publication.folder / "catalog.fits", publication.stars, publication.schema
    write_fits(path, schema, stars.rows, stars.text_bytes, publication.tables("fits"), {}, publication.description)
    return {path: stars.rows}


def _votable(publication: Publication) -> dict[Path, int]:
    path = publication.folder / "catalog.vot"
    with path.open("wb") as file:
        write_votable_to(file, pa.concat_tables(publication.tables("votable")), publication.description)
    return {path: publication.stars.rows}


def _cds(publication: Publication) -> dict[Path, int]:
    rows, schema, description = publication.stars.rows, publication.schema, publication.description
    path = write_cds(publication.folder / "cds", schema, rows, lambda: publication.tables("cds"), description)
    return {path: rows}


FORMATS = {
    "parquet": Format(_parquet, "parquet/*.parquet", "Parquet, in HEALPix order, units in the metadata"),
    "hats": Format(_hats, "hats/", "HATS collection for LSDB: the catalog and its margin"),
    "fits": Format(_fits, "catalog.fits", "FITS binary table"),
    "votable": Format(_votable, "catalog.vot", "VOTable (BINARY2)"),
    "cds": Format(_cds, "cds/", "CDS ReadMe and fixed-width lines"),
}
"""The formats of a published catalog, by their ``--format`` names."""
