"""Finding stars of a release by identifier and by position, compared with a search through all of them."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.catalog import parquet_files
from xpfeh.catalog.parquet_files import write_parquet
from xpfeh.catalog.published import Published
from xpfeh.columns import CATALOG, to_table
from xpfeh.errors import UserError
from xpfeh.tables.checks import IDS_PER_PIXEL

STARS = 60_000


def made_catalog() -> pa.Table:
    """Return made-up stars all over the sky and in a crowded field, each in or just outside its identifier's pixel."""
    rng = np.random.default_rng(1)
    ra = np.concatenate([rng.uniform(0, 360, STARS // 2), rng.normal(266, 2, STARS - STARS // 2)])
    dec = np.concatenate(
        [np.degrees(np.arcsin(rng.uniform(-1, 1, STARS // 2))), rng.normal(-29, 2, STARS - STARS // 2)]
    )
    pixels = HEALPix(4096, order="nested").lonlat_to_healpix(ra * u.deg, dec * u.deg).astype(np.int64)
    ids = pixels * IDS_PER_PIXEL + np.arange(STARS)
    order = np.argsort(ids)
    columns = {field.name: rng.normal(size=STARS) for field in CATALOG}
    moved = np.clip(dec + rng.uniform(-0.005, 0.005, STARS), -90, 90)
    columns |= {"source_id": ids, "ra": ra, "dec": moved, "flags": np.zeros(STARS, np.uint32)}
    columns["model_version"] = np.full(STARS, "made", dtype=object)
    return to_table({name: values[order] for name, values in columns.items()}, CATALOG)


@pytest.fixture(scope="module")
def catalog() -> pa.Table:
    return made_catalog()


@pytest.fixture(scope="module")
def release(catalog: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("release") / "parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_files, "GROUP_ROWS", 500)
        write_parquet(folder, CATALOG, (catalog.slice(start, 9_000) for start in range(0, STARS, 9_000)))
    return Published(str(folder))


def test_every_star_is_found_by_its_identifier(catalog: pa.Table, release: Published) -> None:
    for row in range(0, STARS, 977):
        expected = catalog.slice(row, 1)
        assert release.star(expected["source_id"][0].as_py()).equals(expected.cast(release.schema))
    for absent in (0, 1, int(catalog["source_id"][5].as_py()) + 1, 2**63 - 1):
        assert release.star(absent) is None


@hypothesis_settings(max_examples=40)
@given(
    ra=st.one_of(st.floats(0, 360), st.floats(262, 270)),
    dec=st.one_of(st.floats(-90, 90), st.floats(-33, -25)),
    radius=st.floats(0.001, 9),
)
def test_a_cone_has_the_stars_that_a_full_search_finds(
    catalog: pa.Table, release: Published, ra: float, dec: float, radius: float
) -> None:
    stars = SkyCoord(catalog["ra"].to_numpy() * u.deg, catalog["dec"].to_numpy() * u.deg)
    distance = stars.separation(SkyCoord(ra * u.deg, dec * u.deg)).deg
    expected = catalog["source_id"].to_numpy()[distance <= radius]
    found, more = release.cone(ra, dec, radius, STARS)
    assert sorted(found["source_id"].to_pylist()) == sorted(expected.tolist())
    assert not more
    few, more = release.cone(ra, dec, radius, 3)
    assert len(few) == min(3, len(expected))
    assert more == (len(expected) > 3)
    assert few["source_id"].to_pylist() == found["source_id"].to_pylist()[:3]


def test_a_folder_that_is_not_a_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no published release here"):
        Published(str(tmp_path))
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="no published release here"):
        Published(str(tmp_path))
    (tmp_path / "b.parquet").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"b\.parquet: cannot be read"):
        Published(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"hats_primary_table_url=\n", b"\xff\xfe", b"obs_collection = made"])
def test_a_broken_collection_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "collection.properties").write_bytes(content)
    with pytest.raises(UserError, match=r"collection.properties: has no hats_primary_table_url"):
        Published(str(tmp_path))
