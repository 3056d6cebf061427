"""Stars by position: asked of a server that takes uploaded tables, matched here."""

from pathlib import Path

import polars as pl
import pytest
from xpfeh.download import star_lists
from xpfeh.download.http import Services
from xpfeh.errors import UserError

from tests.download.archive_server import ArchiveServer

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
    monkeypatch.setattr(star_lists, "_POSITIONS_PER_REQUEST", 2)
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
    with pytest.raises(UserError, match="none of its 1 positions is a star of Gaia DR3"):
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
def test_what_is_no_table_of_positions_is_refused(
    archive: ArchiveServer, services: Services, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "positions.csv").write_text(text)
    with pytest.raises(UserError, match=rf"positions.csv: {message}"):
        star_lists.stars_around(tmp_path / "positions.csv", services=services)
    assert archive.log == []
