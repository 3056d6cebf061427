"""Stars by position: requested from a server that accepts uploaded tables, matched here."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.archive import star_lists
from xpfeh.archive.archives import Services
from xpfeh.errors import Notice, UserError

from tests.archive.archive_server import ArchiveServer

ARCSEC = 1 / 3600


def test_rows_of_a_table_become_stars_one_to_one(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    archive.sky = [(11, 10.0, 0.3 * ARCSEC), (12, 10.0, 1.5 * ARCSEC), (13, 50.0, -30.0), (14, 80.0, 9 * ARCSEC)]
    table = tmp_path / "names.csv"
    rows = {"name": ["one", "far", "none", "two", "blank"], "ra": [10.0, 80.0, 200.0, 50.0, None]}
    pl.DataFrame(rows | {"dec": [0.0, 0.0, 5.0, -30.0, 1.0]}).write_csv(table)
    around = star_lists.stars_around(table, services=services)
    assert around.rows == 5
    assert around.matched.select("name", "source_id", "ambiguous").rows() == [("one", 11, True), ("two", 13, False)]
    assert around.matched["separation_arcsec"].to_list() == pytest.approx([0.3, 0.0], abs=1e-6)
    assert archive.log == [("/tap/upload", 4)]
    assert len(star_lists.stars_around(table, radius_arcsec=10, services=services).matched) == 3


def test_many_positions_go_in_several_requests(
    archive: ArchiveServer, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xpfeh.archive.around._POSITIONS_PER_REQUEST", 2)
    archive.sky = [(i, 10.0 * i, 0.0) for i in range(1, 6)]
    table = tmp_path / "positions.parquet"
    pl.DataFrame({"ra": [10.0 * i for i in range(1, 6)], "dec": [0.0] * 5}).write_parquet(table)
    assert star_lists.stars_around(table, services=services).matched["source_id"].to_list() == [1, 2, 3, 4, 5]
    assert archive.log == [("/tap/upload", 2), ("/tap/upload", 2), ("/tap/upload", 1)]


def test_a_star_is_matched_where_it_was_at_the_tables_epoch(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    """At J2016 it is 24 arcsec north of where it was in J2000."""
    archive.sky, archive.pmdec = [(11, 10.0, 24 * ARCSEC)], 1500.0
    table = tmp_path / "positions.csv"
    table.write_text("ra,dec\n10,0\n")
    assert star_lists.stars_around(table, services=services).matched["source_id"].to_list() == [11]
    with pytest.raises(UserError, match="its one position is not a star of Gaia DR3"):
        star_lists.stars_around(table, epoch=2016.0, services=services)


def test_positions_as_vizier_writes_them(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    """Sexagesimal, and of two systems the one whose epoch it is."""
    archive.sky = [(11, 15.5, -0.5)]
    table = tmp_path / "vizier.tsv"
    table.write_text("Name\tRA_ICRS\tDE_ICRS\tRAJ2000\tDEJ2000\nHD 1\t15.6\t-0.4\t01 02 00.0\t-00 30 00\n")
    assert star_lists.stars_around(table, services=services).matched["source_id"].to_list() == [11]
    archive.sky = [(12, 15.6, -0.4)]
    assert star_lists.stars_around(table, epoch=2016.0, services=services).matched["source_id"].to_list() == [12]


@pytest.mark.parametrize(
    ("text", "message"),
    [("ra\n1\n", "no column dec"), ("ra,dec\n1,91\n", "dec of row 0 is 91"), ("ra,dec\n1,x\n", "dec of row 0 is 'x'")],
)
def test_an_invalid_table_of_positions_is_refused(
    archive: ArchiveServer, services: Services, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "positions.csv").write_text(text)
    with pytest.raises(UserError, match=rf"positions.csv: {message}"):
        star_lists.stars_around(tmp_path / "positions.csv", services=services)
    assert archive.log == []


@pytest.mark.parametrize("uploads", ["quota", "refused"])
def test_where_uploads_are_refused_cones_are_asked_for(
    archive: ArchiveServer, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uploads: str
) -> None:
    """As in August 2026: the quota that all anonymous users share was full."""
    monkeypatch.setattr("xpfeh.archive.around._CONES_PER_REQUEST", 2)
    archive.sky, archive.uploads = [(i, 10.0 * i, -0.5) for i in range(1, 6)], uploads
    table = tmp_path / "positions.csv"
    pl.DataFrame({"ra": [10.0 * i for i in range(1, 6)], "dec": [-0.5] * 5}).write_csv(table)
    with pytest.warns(UserWarning, match=r"refuses the upload of positions.*using cone searches.*xpfeh archive login"):
        assert star_lists.stars_around(table, services=services).matched["source_id"].to_list() == [1, 2, 3, 4, 5]
    assert archive.log == [("/tap/cones", 2), ("/tap/cones", 2), ("/tap/cones", 1)]


def test_uploads_and_cones_find_the_same(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    ra, dec = rng.uniform(0, 360, 60), rng.uniform(-80, 80, 60)
    archive.sky = [(i + 1, *place) for i, place in enumerate(zip(ra, dec + rng.normal(0, 1, 60) / 3600, strict=True))]
    table = tmp_path / "positions.parquet"
    pl.DataFrame({"ra": ra, "dec": dec}).write_parquet(table)
    by_upload = star_lists.stars_around(table, services=services)
    archive.uploads = "refused"
    with pytest.warns(UserWarning, match="using cone searches"):
        by_cones = star_lists.stars_around(table, services=services)
    assert by_cones.matched.equals(by_upload.matched)
    assert 40 < len(by_upload.matched) < 60


def test_a_star_without_an_epoch_is_at_that_of_its_release(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    for name in ("ref_epoch", "pmra", "pmdec"):
        del archive.tables["gaiadr3.gaia_source"][name]
    archive.sky = [(11, 10.0, 0.0)]
    (tmp_path / "positions.csv").write_text("ra,dec\n10,0\n")
    for archive.uploads in ("taken", "refused"):
        if archive.uploads == "refused":
            with pytest.warns(Notice, match="using cone searches"):
                around = star_lists.stars_around(tmp_path / "positions.csv", services=services)
        else:
            around = star_lists.stars_around(tmp_path / "positions.csv", services=services)
        assert around.matched["source_id"].to_list() == [11]
