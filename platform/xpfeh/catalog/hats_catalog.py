"""The catalog in HATS, the HEALPix-partitioned layout that LSDB opens and cross-matches: a collection.

A collection is a folder with ``collection.properties``, which names the folders of the catalog and of its margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hats.catalog import TableProperties
from hats.catalog.dataset.collection_properties import CollectionProperties
from hats.catalog.partition_info import PartitionInfo
from hats.io import pixel_catalog_file, write_parquet_metadata
from hats.io.file_io.file_io import get_parquet_write_table_kwargs
from hats.io.skymap import write_skymap
from hats.pixel_math import HealpixPixel
from hats.pixel_math.spatial_index import SPATIAL_INDEX_COLUMN, SPATIAL_INDEX_ORDER
from rich.progress import track

from xpfeh.catalog.hats_margin import THRESHOLD_ARCSEC, Margin
from xpfeh.catalog.parquet_files import GROUP_ROWS
from xpfeh.catalog.sky_order import COUNT_ORDER, SkyOrder, along_the_sky
from xpfeh.catalog.spilled_tables import SpilledTables

NAME = "xpfeh"
MARGIN_NAME = f"{NAME}_{THRESHOLD_ARCSEC:g}arcs"


def write_hats(folder: Path, stars: SkyOrder, about: Mapping[str, str]) -> dict[Path, int]:
    """Write a HATS collection and return the number of rows in each partition file, including the margin's.

    Memory holds one partition; the margin's rows are spilled to disk next to those of `stars`.

    Parameters
    ----------
    folder : Path
        The collection's folder, which must not exist yet.
    stars : SkyOrder
    about : mapping
        Descriptive properties: ``obs_title``, ``obs_description``, ``bib_reference``.
    """
    pixels = [HealpixPixel(partition.order, partition.pixel) for partition in stars.partitions]
    margin, spilled = Margin(pixels), SpilledTables(stars.spilled.folder / "margin")
    spilled.folder.mkdir(exist_ok=True)
    main, margin_catalog = _Catalog(folder / NAME, stars.schema), _Catalog(folder / MARGIN_NAME, stars.schema)
    for table, pixel in zip(track(stars, "hats", len(pixels)), pixels, strict=True):
        main.add(pixel, table)
        rows, owners = margin.find(table[SPATIAL_INDEX_COLUMN].to_numpy())
        spilled.append(table.take(rows), owners)
    for number in spilled:
        margin_catalog.add(margin.pixels[number], along_the_sky(spilled.read(number)))
    if not margin_catalog.rows:  # LSDB needs a file: without a margin it would warn that matches are incomplete
        margin_catalog.add(pixels[0], stars.schema.empty_table())

    write_skymap(stars.counts, main.folder)
    main.finish(about, catalog_type="object", skymap_order=COUNT_ORDER)
    margin_catalog.finish(about, catalog_type="margin", primary_catalog=NAME, margin_threshold=THRESHOLD_ARCSEC)
    CollectionProperties(
        name=NAME,
        hats_primary_table_url=NAME,
        all_margins=[MARGIN_NAME],
        default_margin=MARGIN_NAME,
        **TableProperties.new_provenance_dict(folder, builder="xpfeh", **about),
    ).to_properties_file(folder)
    return main.rows | margin_catalog.rows


class _Catalog:
    """A HATS catalog, written partition by partition."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder = folder
        self.rows: dict[Path, int] = {}
        self._pixels: list[HealpixPixel] = []
        self._options = get_parquet_write_table_kwargs(schema, write_table_kwargs={"row_group_size": GROUP_ROWS})

    def add(self, pixel: HealpixPixel, table: pa.Table) -> None:
        path = Path(str(pixel_catalog_file(self.folder, pixel)))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, **self._options)
        self._pixels.append(pixel)
        self.rows[path] = table.num_rows

    def finish(self, about: Mapping[str, str], **properties: Any) -> None:
        """Write the metadata of the partitions."""
        write_parquet_metadata(self.folder)
        info = PartitionInfo.from_healpix(self._pixels)
        info.write_to_file(catalog_path=self.folder)
        TableProperties(
            catalog_name=self.folder.name,
            total_rows=sum(self.rows.values()),
            ra_column="ra",
            dec_column="dec",
            healpix_column=SPATIAL_INDEX_COLUMN,
            healpix_order=SPATIAL_INDEX_ORDER,
            hats_max_rows=max(self.rows.values()),
            moc_sky_fraction=float(info.calculate_fractional_coverage()),
            **properties,
            **TableProperties.new_provenance_dict(self.folder, builder="xpfeh", **about),
        ).to_properties_file(self.folder)
