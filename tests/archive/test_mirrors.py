"""If ESA's archive is down the mirrors answer, in a documented order, and what they lack is reported soon."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.archive import archive_requests, cache, gaia_archive, star_lists
from xpfeh.archive.archives import AIP, ARI, ESA, PUBLIC, Services
from xpfeh.errors import Notice, UserError
from xpfeh.sources.archive_stars import ArchiveStars

from tests.archive.archive_server import ArchiveServer
from tests.conftest import services_of
from tests.genuine import datalink_file

BIG = 5_937_083_312_263_887_617
IDS = BIG + np.arange(25)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[ArchiveServer]:
    server = ArchiveServer(datalink_file("csv", tmp_path).read_text())
    yield server
    server.close()


@pytest.fixture
def both(services: Services, archive: ArchiveServer, mirror: ArchiveServer) -> Services:
    return services_of(archive, mirror)


def columns_of(stars: ArchiveStars) -> dict[str, np.ndarray]:
    (batch,) = stars.read(0, None)
    assert not batch.rejected
    return batch.columns


def test_the_order_is_the_documented_one() -> None:
    assert PUBLIC.archives == (ESA, ARI, AIP)
    assert PUBLIC.only("aip").archives == (AIP,)
    with pytest.raises(UserError, match="--archive vizier: choose one of esa, ari, aip"):
        PUBLIC.only("vizier")


@pytest.mark.parametrize("fault", ["page", "text", "500"])
def test_a_mirror_gives_the_same_stars(
    archive: ArchiveServer, mirror: ArchiveServer, both: Services, fault: str
) -> None:
    expected = columns_of(cache.bring(IDS[:12], "dr3", both))
    cache.forget("dr3")
    archive.always = fault
    with pytest.warns(Notice) as notices:
        found = columns_of(cache.bring(IDS[:12], "dr3", services_of(archive, mirror)))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, name)
    assert {str(each.message).partition(",")[0] for each in notices} == {
        "spectra from ARI Heidelberg", "photometry from ARI Heidelberg"
    }  # fmt: skip
    why = {"page": "answers with a web page: Gaia Archive The Gaia Archive is under maintenance", "500": "HTTP 500"}
    assert why.get(fault, "HTTP 500, java.lang.NullPointerException") in str(notices[0].message)


def test_a_mirror_is_queried_for_fewer_spectra_at_a_time_and_nothing_twice(
    archive: ArchiveServer, mirror: ArchiveServer, both: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_requests, "IDS_PER_TAP_REQUEST", 4)
    archive.always = "page"
    mirror.faults = ["", "", "", *["500"] * 99]  # the first ten stars in three queries, and not their photometry
    with pytest.warns(Notice), pytest.raises(UserError, match=r"photometry: ESA's Gaia archive: .*ARI Heidelberg: "):
        cache.bring(IDS, "dr3", both)
    mirror.faults.clear()
    mirror.log.clear()
    again = services_of(archive, mirror)
    with pytest.warns(Notice):
        cache.bring(IDS[:14], "dr3", again)
    assert mirror.log == [("/tap/sync", n) for n in (4, 4, 2, 10, 4, 4)]
    mirror.log.clear()
    cache.bring(IDS, "dr3", again)  # the notice is given once
    assert mirror.log == [("/tap/sync", n) for n in (4, 4, 4, 4, 3, 3)]


def test_photometry_positions_and_identifiers_come_from_a_mirror(
    archive: ArchiveServer, mirror: ArchiveServer, both: Services, tmp_path: Path
) -> None:
    archive.always = "text"
    mirror.sky = [(11, 10.0, 0.0)]
    with pytest.warns(Notice, match="photometry from ARI Heidelberg, since ESA's Gaia archive: no usable response"):
        account = gaia_archive.fetch_gaia_source(IDS, tmp_path / "gaia.parquet", services=both)
    assert account.received == 25
    with pytest.warns(Notice, match="the query from ARI"):
        assert star_lists.ids_by_adql("SELECT source_id FROM gaiadr3.gaia_source", services=both).tolist() == [11, 12]
    with pytest.warns(Notice, match="stars with spectra from ARI"):
        assert star_lists.ids_by_cone(10.0, 20.0, 0.1, services=both).tolist() == [11, 12]
    (tmp_path / "positions.csv").write_text("ra,dec\n10,0\n")
    with pytest.warns(Notice, match="stars around the positions from ARI"):
        around = star_lists.stars_around(tmp_path / "positions.csv", services=both)
    assert around.matched["source_id"].to_list() == [11]


def test_a_query_that_is_wrong_is_not_sent_elsewhere(
    archive: ArchiveServer, mirror: ArchiveServer, both: Services
) -> None:
    with pytest.raises(UserError, match="the query: ESA's Gaia archive refuses it: Unknown column nonsense"):
        star_lists.ids_by_adql("SELECT nonsense FROM gaiadr3.gaia_source WHERE ra > 1", services=both)
    assert mirror.queries == []


def test_spectra_of_a_mirror_can_be_fetched_as_files(
    archive: ArchiveServer, mirror: ArchiveServer, both: Services, tmp_path: Path
) -> None:
    gaia_archive.fetch_xp(IDS[:3], tmp_path / "esa", services=both)
    archive.always = "page"
    with pytest.warns(Notice):
        gaia_archive.fetch_xp(IDS[:3], tmp_path / "ari", services=services_of(archive, mirror))
    from_esa, from_ari = (pl.read_csv(tmp_path / name / f"xp-{IDS[0]}.csv") for name in ("esa", "ari"))
    assert from_ari["source_id"].to_list() == IDS[:3].tolist()
    assert set(from_ari.columns) < set(from_esa.columns)


def test_a_request_that_a_mirror_has_nothing_for_is_made_again(
    archive: ArchiveServer, mirror: ArchiveServer, both: Services, tmp_path: Path
) -> None:
    archive.always, mirror.absent = "page", {int(IDS[0])}
    with pytest.warns(Notice):
        assert gaia_archive.fetch_xp(IDS[:3], tmp_path / "xp", services=both).missing == 1
    archive.always = ""
    assert gaia_archive.fetch_xp(IDS[:3], tmp_path / "xp", services=services_of(archive)).received == 3
    files = sorted((tmp_path / "xp").glob("*.csv"))  # of both requests
    assert [id for file in files for id in pl.read_csv(file)["source_id"]] == IDS[:3].tolist()


def test_what_no_archive_has_is_one_line(archive: ArchiveServer, mirror: ArchiveServer, both: Services) -> None:
    """Mirrors only have DR3: DR4 has to wait for ESA."""
    for name in [name for name in mirror.tables if "dr4" in name]:
        del mirror.tables[name]
    archive.always = "page"
    with pytest.raises(UserError) as raised:
        cache.bring(IDS, "dr4", both)
    assert "\n" not in str(raised.value)
    assert "ARI Heidelberg refuses it: it has no table gaiadr4.gaia_source" in str(raised.value)


@pytest.mark.parametrize("fault", ["page", "text", "closed", "hangs"])
@pytest.mark.slow
def test_an_archive_that_is_down_is_abandoned_within_twenty_seconds(
    archive: ArchiveServer, services: Services, fault: str
) -> None:
    """With the patience that everyone has, not that of tests."""
    if fault == "closed":
        archive.close()
    elif fault == "hangs":
        archive.hangs = True
    else:
        archive.always = fault
    patient = replace(PUBLIC, archives=(archive.as_archive(),))
    for ask in (cache.bring, archive_requests.request_photometry):
        fresh = replace(patient, state=type(patient.state)())
        begun = time.monotonic()
        with pytest.raises(UserError, match="no usable response in"):
            ask(IDS, "dr3", fresh)
        assert time.monotonic() - begun < 20
