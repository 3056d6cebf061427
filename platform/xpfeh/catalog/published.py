"""Stars of a published release, found by identifier or by position, in Parquet or HATS, on disk or in a bucket.

A release is in HEALPix order, and so are identifiers: their highest bits are the pixel (order 12) at which Gaia first
saw the star. So a row group has a narrow range of identifiers, and Parquet's statistics are enough to find it: there is
no index, and memory holds two numbers per file and the footers of the most recently used files.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from astropy import units as u
from astropy.coordinates import angular_separation
from astropy_healpix import HEALPix
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.files import exists, filesystem, first_line, read_bytes
from xpfeh.tables.checks import IDS_PER_PIXEL
from xpfeh.tables.row_groups import id_ranges

_ORDER = 12  # of the pixels in identifiers, see `IDS_PER_PIXEL`
_FOOTERS = 64  # files whose footers are cached: about 100 kB each
_MOST_PIXELS = 2_000  # to cover a cone: wider cones are covered by coarser pixels
_SKY_DEG2 = 41_253  # the whole sky
_PRIMARY = "hats_primary_table_url"
_MARGIN_DEG = 0.02  # stars are at most this far outside their identifier's pixel, from its edges and proper motion


class _ParquetFile(NamedTuple):
    """A file, and the first and the last identifier in it."""

    path: str
    first: int
    last: int


class Published:
    """A published release.

    Parameters
    ----------
    uri : str
        Folder or URI: a release, its ``parquet/`` or its ``hats/``.

    Raises
    ------
    UserError
        If there is no release, or a file is not part of a catalog.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._fs, folder = filesystem(uri)
        folder = _stars_folder(self._fs, folder.rstrip("/"))
        infos = self._fs.get_file_info(pafs.FileSelector(folder, recursive=True, allow_not_found=True))
        paths = sorted(i.path for i in infos if i.is_file and i.path.endswith(".parquet"))
        self._footer = lru_cache(_FOOTERS)(self._read_footer)
        with ThreadPoolExecutor(16) as threads:
            files = [file for file in threads.map(self._range, paths) if file is not None]
        if not files:
            raise UserError(f"{uri}: no published release here; xpfeh catalog publish writes one")
        self._files = sorted(files, key=lambda file: file.first)
        self.schema = pa.schema([f for f in self._footer(files[0].path).schema.to_arrow_schema() if f.name[0] != "_"])

    def star(self, source_id: int) -> pa.Table | None:
        """Return a star's row, or None if it is not in the release."""
        for file in self._files:
            if file.first <= source_id <= file.last:
                groups = self._groups(file.path, np.array([[source_id, source_id]]))
                found = self._rows(file.path, groups, pc.field("source_id") == source_id)
                if len(found):
                    return found
        return None

    def cone(self, ra: float, dec: float, radius: float, most: int) -> tuple[pa.Table, bool]:
        """Return the stars within `radius` of a position (deg, ICRS), nearest first, and whether there are more.

        Parameters
        ----------
        ra, dec, radius : float
        most : int
            Maximum number of rows.
        """
        ranges = _covering(ra, dec, radius)
        near = self.schema.empty_table()
        for file in self._files:
            inside = ranges[(ranges[:, 0] <= file.last) & (ranges[:, 1] >= file.first)]
            if len(inside):
                table = self._rows(file.path, self._groups(file.path, inside), None)
                inside_cone = table.filter(pa.array(_distance(table, ra, dec) <= radius))
                both = pa.concat_tables([near, inside_cone])
                order = np.argsort(_distance(both, ra, dec), kind="stable")
                near = both.take(order[: most + 1])  # more would fill a replica's memory
        return near[:most], len(near) > most

    def _range(self, path: str) -> _ParquetFile | None:
        """Return a file's range of identifiers, or None if it has no stars."""
        footer = self._footer(path)
        if "source_id" not in footer.schema.names or not footer.num_rows:
            return None
        ranges = id_ranges(footer)
        return _ParquetFile(path, int(ranges.min()), int(ranges.max()))

    def _read_footer(self, path: str) -> pq.FileMetaData:
        try:
            return pq.read_metadata(path, filesystem=self._fs)
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError(f"{path}: cannot be read ({first_line(error)})") from None

    def _groups(self, path: str, ranges: NDArray[np.int64]) -> list[int]:
        """Return the row groups that may contain identifiers in some ranges (K, 2)."""
        groups = id_ranges(self._footer(path))
        overlap = (groups[:, None, 0] <= ranges[None, :, 1]) & (groups[:, None, 1] >= ranges[None, :, 0])
        return np.flatnonzero(overlap.any(axis=1)).tolist()

    def _rows(self, path: str, groups: Sequence[int], condition: pc.Expression | None) -> pa.Table:
        if not groups:
            return self.schema.empty_table()
        with self._fs.open_input_file(path) as source:
            file = pq.ParquetFile(source, metadata=self._footer(path))
            table = file.read_row_groups(list(groups), columns=self.schema.names)
        table = table.filter(condition) if condition is not None else table
        return table.cast(self.schema)


def _stars_folder(fs: pafs.FileSystem, folder: str) -> str:
    """Return the folder that has each star once: without the margin, and without a report's stars."""
    for name in ("parquet", "hats"):
        if fs.get_file_info(f"{folder}/{name}").type == pafs.FileType.Directory:
            folder = f"{folder}/{name}"
            break
    collection = f"{folder}/collection.properties"
    if exists(fs, collection):
        lines = read_bytes(fs, collection).decode(errors="replace").splitlines()
        properties = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
        if not properties.get(_PRIMARY):
            raise UserError(f"{collection}: has no {_PRIMARY}, as a HATS collection does; publish the catalog again")
        return f"{folder}/{properties[_PRIMARY]}"
    return folder


def _distance(table: pa.Table, ra: float, dec: float) -> NDArray[np.float64]:
    """Return the angular distances of stars from a position, deg."""
    here = np.radians([ra, dec])
    there = (np.radians(table[name].to_numpy()) for name in ("ra", "dec"))
    return np.degrees(angular_separation(*here, *there))


def _covering(ra: float, dec: float, radius: float) -> NDArray[np.int64]:
    """Return ranges of identifiers (K, 2) that include every star in a cone."""
    reach, order = radius + _MARGIN_DEG, _ORDER
    while order and np.pi * reach**2 / (_SKY_DEG2 / (12 * 4**order)) > _MOST_PIXELS:
        order -= 1
    sky = HEALPix(2**order, order="nested")
    pixels = np.sort(sky.cone_search_lonlat(ra * u.deg, dec * u.deg, min(reach, 180.0) * u.deg).astype(np.int64))
    ids = IDS_PER_PIXEL * 4 ** (_ORDER - order)
    starts = np.flatnonzero(np.diff(pixels, prepend=-2) != 1)  # adjacent pixels form one range
    ends = np.append(starts[1:], len(pixels)) - 1
    return np.stack([pixels[starts] * ids, (pixels[ends] + 1) * ids - 1], axis=1)
