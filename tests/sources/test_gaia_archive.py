"""Against a server on this machine that speaks the archive's protocols with a genuine star, and misbehaves."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.errors import UserError
from xpfeh.sources import gaia_archive
from xpfeh.sources.coefficients import gather
from xpfeh.sources.gaia_archive import Account, Services
from xpfeh.sources.gaia_files import read_batches

from tests.genuine import datalink_file
from tests.sources.archive_server import ArchiveServer

BIG = 5_937_083_312_263_887_617
IDS = BIG + np.arange(25)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[ArchiveServer]:
    server = ArchiveServer(datalink_file("csv", tmp_path).read_text())
    yield server
    server.close()


@pytest.fixture
def services(archive: ArchiveServer, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setattr(gaia_archive, "IDS_PER_REQUEST", 10)
    tap = f"{archive.url}/tap"
    return Services(f"{archive.url}/data", tap, tap, f"{archive.url}/bulk", timeout_s=0.5, tries=3, pause_s=0.01)


def test_spectra_come_in_requests_and_can_be_ingested(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    out = tmp_path / "xp"
    assert gaia_archive.fetch_xp(IDS, out, services) == Account(25, 25, 0)
    assert [count for _, count in archive.log] == [10, 10, 5]
    ids = [gather(read_batches(str(path), "dr3")).columns["source_id"] for path in sorted(out.glob("xp-*.csv"))]
    assert np.concatenate(ids).tolist() == IDS.tolist()


@pytest.mark.parametrize("fault", ["500", "cut", "stall"])
def test_a_server_that_fails_half_way_is_asked_again(
    archive: ArchiveServer, services: Services, tmp_path: Path, fault: str
) -> None:
    archive.faults = ["", fault]
    assert gaia_archive.fetch_xp(IDS, tmp_path / "xp", services) == Account(25, 25, 0)


def test_fewer_spectra_than_asked_are_accounted_for(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    archive.absent = {BIG + 3, BIG + 20}
    assert gaia_archive.fetch_xp(IDS, tmp_path / "xp", services) == Account(25, 23, 2)
    missing = pl.read_csv(tmp_path / "xp" / "missing.csv")
    assert missing["source_id"].to_list() == [BIG + 3, BIG + 20]


def test_a_second_call_asks_only_for_what_is_left(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    out = tmp_path / "xp"
    archive.faults = ["", "500", "500", "500"]
    with pytest.raises(UserError, match="no sound answer in 3 tries"):
        gaia_archive.fetch_xp(IDS, out, services)
    assert sorted(p.name for p in out.iterdir()) == ["asked.json", "xp-00000.csv"]
    archive.log.clear()
    assert gaia_archive.fetch_xp(IDS, out, services) == Account(25, 25, 0)
    assert [count for _, count in archive.log] == [10, 5]
    with pytest.raises(UserError, match="begun with other stars"):
        gaia_archive.fetch_xp(IDS[:3], out, services)


def test_photometry_and_distances_are_joined_by_exact_identifiers(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.absent = {BIG + 7}
    account = gaia_archive.fetch_gaia_source(IDS, tmp_path / "gaia.parquet", services)
    assert account == Account(25, 24, 1)
    assert gaia_archive.fetch_distances(IDS, tmp_path / "distances.parquet", services) == Account(25, 24, 1)
    expected = [i for i in IDS.tolist() if i != BIG + 7]
    assert pl.read_parquet(tmp_path / "gaia.parquet")["source_id"].to_list() == expected
    distances = pl.read_parquet(tmp_path / "distances.parquet")
    assert distances.columns == ["source_id", "rgeo"]
    assert distances["source_id"].to_list() == expected


def test_lists_by_query_by_cone_and_from_files(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    assert gaia_archive.ids_by_adql("SELECT source_id FROM gaiadr3.gaia_source", services).tolist() == [11, 12]
    assert gaia_archive.ids_by_cone(10.0, 20.0, 0.1, services).dtype == np.int64
    (tmp_path / "ids.txt").write_text(f"source_id\n{BIG}\n")
    assert gaia_archive.read_ids(tmp_path / "ids.txt").tolist() == [BIG]
    (tmp_path / "ids.txt").write_text("5.9e18\n")
    with pytest.raises(UserError, match="not a list of source_ids"):
        gaia_archive.read_ids(tmp_path / "ids.txt")


def test_bulk_files_are_checked(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    content = b"spectra"
    archive.files = {"a.csv.gz": content, "b.csv.gz": b"changed on the way"}
    sums = hashlib.md5(content).hexdigest()
    archive.files["_MD5SUM.txt"] = f"{sums}  a.csv.gz\n{sums}  b.csv.gz\n".encode()
    (path,) = gaia_archive.fetch_bulk(["a.csv.gz"], tmp_path, services)
    assert path.read_bytes() == content
    with pytest.raises(UserError, match=r"b\.csv\.gz: its MD5"):
        gaia_archive.fetch_bulk(["b.csv.gz"], tmp_path, services)
    assert not (tmp_path / "b.csv.gz").exists()
    with pytest.raises(UserError, match="lists no file c"):
        gaia_archive.fetch_bulk(["c.csv.gz"], tmp_path, services)


def test_without_a_network_the_line_says_what_to_download(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    services = Services(nowhere, nowhere, nowhere, nowhere, timeout_s=0.2, tries=2, pause_s=0.01)
    with pytest.raises(UserError, match="without a network, download XP_CONTINUOUS"):
        gaia_archive.fetch_xp(IDS, tmp_path / "xp", services)
    with pytest.raises(UserError, match=r"download these stars of gaiadr3\.gaia_source"):
        gaia_archive.fetch_gaia_source(IDS, tmp_path / "g.parquet", services)
    with pytest.raises(UserError, match="download B/pastel"):
        gaia_archive.fetch_pastel(tmp_path / "pastel.csv", services)
    with pytest.raises(UserError, match=r"put _MD5SUM\.txt into"):
        gaia_archive.fetch_bulk(["a.csv.gz"], tmp_path, services)
