"""The catalog in HATS, the HEALPix-partitioned layout that LSDB opens and cross-matches."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from hats.catalog import TableProperties
from hats.catalog.partition_info import PartitionInfo
from hats.io import pixel_catalog_file, write_parquet_metadata
from hats.io.file_io.file_io import get_parquet_write_table_kwargs
from hats.io.skymap import write_skymap
from hats.pixel_math import HealpixPixel
from hats.pixel_math.spatial_index import SPATIAL_INDEX_COLUMN, SPATIAL_INDEX_ORDER
from rich.progress import track

from xpfeh.release.parquet_files import GROUP_ROWS
from xpfeh.release.sky_order import COUNT_ORDER, SkyOrder

NAME = "xpfeh"


def write_hats(folder: Path, stars: SkyOrder, title: str, description: str, reference: str) -> dict[Path, int]:
    """Write a HATS catalog and return the rows of each of its partition files.

    Parameters
    ----------
    folder : Path
        The catalog's folder, not there yet.
    stars : SkyOrder
    title, description, reference : str
        The properties ``obs_title``, ``obs_description`` and ``bib_reference`` of the catalog.
    """
    rows = {}
    options = get_parquet_write_table_kwargs(stars.schema, write_table_kwargs={"row_group_size": GROUP_ROWS})
    pixels = [HealpixPixel(partition.order, partition.pixel) for partition in stars.partitions]
    for (partition, table), pixel in zip(track(stars, "hats", len(pixels)), pixels, strict=True):
        path = Path(str(pixel_catalog_file(folder, pixel)))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, **options)
        rows[path] = partition.rows
    write_parquet_metadata(folder)
    info = PartitionInfo.from_healpix(pixels)
    info.write_to_file(catalog_path=folder)
    write_skymap(stars.counts, folder)
    provenance = TableProperties.new_provenance_dict(
        folder, builder="xpfeh", obs_title=title, obs_description=description, bib_reference=reference
    )
    TableProperties(
        catalog_name=NAME,
        catalog_type="object",
        total_rows=stars.rows,
        ra_column="ra",
        dec_column="dec",
        healpix_column=SPATIAL_INDEX_COLUMN,
        healpix_order=SPATIAL_INDEX_ORDER,
        skymap_order=COUNT_ORDER,
        hats_max_rows=max(rows.values()),
        moc_sky_fraction=float(info.calculate_fractional_coverage()),
        **provenance,
    ).to_properties_file(folder)
    return rows
