"""Against a server on this machine that speaks the archive's protocols with a genuine star, and misbehaves."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from xpfeh.archive import gaia_archive, ledger, star_lists
from xpfeh.archive.archives import ESA, Services
from xpfeh.archive.bulk_files import fetch_bulk
from xpfeh.archive.gaia_archive import Tally
from xpfeh.errors import Notice, UserError
from xpfeh.files import package_file
from xpfeh.labels.neighbourhood import Neighbourhood
from xpfeh.sources import reader

from tests.archive.archive_server import ArchiveServer
from tests.conftest import services_of
from tests.sources.reading import read_whole

BIG = 5_937_083_312_263_887_617
IDS = BIG + np.arange(25)


def test_spectra_come_in_requests_and_can_be_ingested(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    out = tmp_path / "xp"
    assert gaia_archive.fetch_xp(IDS, out, services=services) == Tally(25, 25, 0)
    assert [count for _, count in archive.log] == [10, 10, 5]
    assert len(reader.find_spectra(str(out))) == 3
    ids = [read_whole(path).columns["source_id"] for path in sorted(out.glob("xp-*.csv"))]
    assert np.concatenate(ids).tolist() == IDS.tolist()


@pytest.mark.parametrize("fault", ["500", "cut", "stall"])
def test_a_server_that_fails_half_way_is_queried_again(
    archive: ArchiveServer, services: Services, tmp_path: Path, fault: str
) -> None:
    archive.faults = ["", fault]
    assert gaia_archive.fetch_xp(IDS, tmp_path / "xp", services=services) == Tally(25, 25, 0)


def test_fewer_spectra_than_requested_are_accounted_for(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.absent = {BIG + 3, BIG + 20}
    assert gaia_archive.fetch_xp(IDS, tmp_path / "xp", services=services) == Tally(25, 23, 2)
    missing = pl.read_csv(tmp_path / "xp" / "_xpfeh" / "missing.csv")
    assert missing["source_id"].to_list() == [BIG + 3, BIG + 20]


def test_a_second_call_requests_only_what_is_left(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    out = tmp_path / "xp"
    archive.faults = ["", *["500"] * 99]
    with pytest.raises(UserError, match="no usable response in 3 attempts"):
        gaia_archive.fetch_xp(IDS, out, services=services)
    assert sorted(p.name for p in out.iterdir()) == ["_xpfeh", f"xp-{BIG}.csv"]
    archive.log.clear()
    archive.faults.clear()
    services = services_of(archive)  # as another process has it
    assert gaia_archive.fetch_xp(IDS, out, services=services) == Tally(25, 25, 0)
    assert [count for _, count in archive.log] == [10, 5]
    with pytest.raises(UserError, match="begun with other stars"):
        gaia_archive.fetch_xp(IDS[:3], out, services=services)


_CHILD = """
import sys, numpy as np
from xpfeh.archive import gaia_archive
from xpfeh.archive.archives import GaiaArchive, Services
gaia_archive.IDS_PER_REQUEST = 10
url, out, first = sys.argv[1:]
esa = GaiaArchive("esa", "ESA", f"{url}/tap", data=f"{url}/data", links=f"{url}/datalink/links")
gaia_archive.fetch_xp(int(first) + np.arange(25), out, services=Services((esa,), timeout_s=60))
"""


@pytest.mark.slow
def test_a_killed_download_resumes(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    out = tmp_path / "xp"
    archive.faults = ["", "stall"]
    child = subprocess.Popen([sys.executable, "-c", _CHILD, archive.url, str(out), str(BIG)], stdout=subprocess.DEVNULL)
    try:
        _wait_for(lambda: not archive.faults)  # the second request has come
    finally:
        child.kill()
        child.wait()
    _wait_for(lambda: len(archive.log) == 2)
    archive.log.clear()
    assert gaia_archive.fetch_xp(IDS, out, services=services) == Tally(25, 25, 0)
    assert [count for _, count in archive.log] == [10, 5]
    assert sorted(path.name for path in out.glob("*.csv")) == [f"xp-{BIG + first}.csv" for first in (0, 10, 20)]


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("response", ["line of names", "empty zip"])
def test_a_request_for_stars_without_spectra_leaves_no_file(
    archive: ArchiveServer, services: Services, tmp_path: Path, response: str
) -> None:
    out = tmp_path / "xp"
    archive.absent = set(IDS[10:20].tolist())
    archive.empty_zip = response == "empty zip"
    assert gaia_archive.fetch_xp(IDS, out, services=services) == Tally(25, 15, 10)
    assert sorted(path.name for path in out.glob("*.csv")) == [f"xp-{BIG}.csv", f"xp-{BIG + 20}.csv"]
    assert len(reader.find_spectra(str(out))) == 2
    missing = pl.read_csv(out / "_xpfeh" / "missing.csv")
    assert missing["source_id"].to_list() == IDS[10:20].tolist()
    archive.log.clear()
    assert gaia_archive.fetch_xp(IDS, out, services=services) == Tally(25, 15, 10)
    assert archive.log == []


def test_stars_that_were_not_requested_are_a_bad_response(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.faults = ["stranger"]
    assert gaia_archive.fetch_xp(IDS, tmp_path / "xp", services=services) == Tally(25, 25, 0)
    archive.faults = ["stranger"] * 3
    with pytest.raises(UserError, match="no usable response in 3 attempts"):
        gaia_archive.fetch_xp(IDS, tmp_path / "other", services=services)


def test_that_a_star_is_absent_is_believed_for_a_day(
    archive: ArchiveServer, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.absent = {BIG + 3}
    out, table = tmp_path / "xp", tmp_path / "gaia.parquet"

    def fetch() -> list[Tally]:
        archive.log.clear()
        fetched = (gaia_archive.fetch_xp, out), (gaia_archive.fetch_gaia_source, table)
        return [run(IDS, path, services=services) for run, path in fetched]

    assert fetch() == fetch() == [Tally(25, 24, 1)] * 2
    assert archive.log == []
    archive.absent, tomorrow = set(), time.time() + 25 * 3600
    monkeypatch.setattr(ledger, "time", SimpleNamespace(time=lambda: tomorrow))
    assert fetch() == [Tally(25, 25, 0)] * 2
    assert [count for _, count in archive.log] == [1, 1]
    assert pl.read_parquet(table)["source_id"].to_list() == IDS.tolist()


def test_photometry_that_is_not_whole_is_requested_again(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.not_best = {BIG + 3}
    archive.forbidden = "gaiadr4.all_source_photometry"
    table = tmp_path / "gaia.parquet"
    with pytest.warns(Notice, match="no magnitudes for 1 source"):
        assert gaia_archive.fetch_gaia_source(IDS, table, "dr4", services) == Tally(25, 24, 1)
    archive.forbidden = ""
    assert gaia_archive.fetch_gaia_source(IDS, table, "dr4", services_of(archive)) == Tally(25, 25, 0)
    assert pl.read_parquet(table)["source_id"].to_list() == IDS.tolist()


def test_a_download_of_an_earlier_version_is_refused(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    for run, place in ((gaia_archive.fetch_xp, "_xpfeh"), (gaia_archive.fetch_gaia_source, "../xp.parts")):
        record = tmp_path / "xp" / place / "asked.json"
        record.parent.mkdir(parents=True)
        record.write_text("{}")
        with pytest.raises(UserError, match="was begun by an earlier version; choose another --out"):
            run(IDS, tmp_path / "xp", services=services)
    assert archive.log == []


def test_an_answer_that_was_damaged_is_requested_again(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    gaia_archive.fetch_xp(IDS, tmp_path / "xp", services=services)
    gaia_archive.fetch_gaia_source(IDS, tmp_path / "gaia.parquet", services=services)
    (tmp_path / "xp" / f"xp-{BIG + 10}.csv").write_text("")
    (first, *_) = sorted((tmp_path / "gaia.parquet.parts").glob("*/table.parquet"))
    first.write_text("{")
    archive.log.clear()
    assert gaia_archive.fetch_xp(IDS, tmp_path / "xp", services=services) == Tally(25, 25, 0)
    assert [count for _, count in archive.log] == [10]
    ids = [read_whole(path).columns["source_id"] for path in sorted((tmp_path / "xp").glob("xp-*.csv"))]
    assert np.concatenate(ids).tolist() == IDS.tolist()
    assert gaia_archive.fetch_gaia_source(IDS, tmp_path / "gaia.parquet", services=services) == Tally(25, 25, 0)
    assert pl.read_parquet(tmp_path / "gaia.parquet")["source_id"].to_list() == IDS.tolist()


def test_a_query_without_a_star_is_not_a_list(archive: ArchiveServer, services: Services) -> None:
    archive.absent = {11, 12}
    with pytest.raises(UserError, match="the query finds no star"):
        star_lists.ids_by_adql("SELECT source_id FROM gaiadr3.gaia_source", services=services)


@pytest.mark.parametrize("fault", ["500", "cut", "stall"])
def test_a_query_that_fails_half_way_is_queried_again(
    archive: ArchiveServer, services: Services, tmp_path: Path, fault: str
) -> None:
    archive.faults = ["", fault]
    assert gaia_archive.fetch_gaia_source(IDS, tmp_path / "gaia.parquet", services=services) == Tally(25, 25, 0)


def test_a_response_that_the_service_cuts_is_not_taken_for_whole(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.most_rows = 4
    with pytest.raises(UserError, match="cuts its response after 4 rows"):
        gaia_archive.fetch_gaia_source(IDS, tmp_path / "gaia.parquet", services=services)
    assert not (tmp_path / "gaia.parquet").exists()


def test_a_query_that_is_refused_is_sent_once(archive: ArchiveServer, services: Services) -> None:
    archive.faults = ["refused"]
    with pytest.raises(UserError, match=r"the query: ESA's Gaia archive refuses it: .*unknown column nonsense"):
        star_lists.ids_by_adql("SELECT nonsense FROM gaiadr3.gaia_source", services=services)
    assert archive.log == []


def test_another_table_at_the_same_path_is_refused(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    gaia_archive.fetch_gaia_source(IDS, tmp_path / "table.parquet", services=services)
    with pytest.raises(UserError, match="another query"):
        gaia_archive.fetch_distances(IDS, tmp_path / "table.parquet", services=services)


def test_photometry_and_distances_are_joined_by_exact_identifiers(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.absent = {BIG + 7}
    account = gaia_archive.fetch_gaia_source(IDS, tmp_path / "gaia.parquet", services=services)
    assert account == Tally(25, 24, 1)
    assert gaia_archive.fetch_distances(IDS, tmp_path / "distances.parquet", services=services) == Tally(25, 24, 1)
    expected = [i for i in IDS.tolist() if i != BIG + 7]
    assert pl.read_parquet(tmp_path / "gaia.parquet")["source_id"].to_list() == expected
    distances = pl.read_parquet(tmp_path / "distances.parquet")
    assert distances.columns == ["source_id", "rgeo"]
    assert distances["source_id"].to_list() == expected


def test_the_neighbourhood_of_labels_is_fetched_and_moves_them(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.absent = {BIG + 7}
    account = gaia_archive.fetch_neighbourhood(IDS, tmp_path / "pairs.parquet", services=services)
    assert account == Tally(25, 24, 1)
    moved = Neighbourhood(tmp_path / "pairs.parquet").move(pl.DataFrame({"source_id": IDS[5:9]}))
    assert moved.table["source_id"].to_list() == [BIG + 6, BIG + 7, BIG + 9]
    pattern = archive.tables["gaiadr4.dr3_neighbourhood"]
    pattern["dr4_source_id"] = pattern.pop("source_id")
    gaia_archive.fetch_neighbourhood(IDS, tmp_path / "others.parquet", services=services_of(archive))
    assert Neighbourhood(tmp_path / "others.parquet").move(moved.table).counts["rows"] == 3
    with pytest.raises(UserError, match="Gaia DR3 has no table of matches with the previous release"):
        gaia_archive.fetch_neighbourhood(IDS, tmp_path / "pairs.parquet", "dr3", services)


def test_lists_by_query_by_cone_and_from_files(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    assert star_lists.ids_by_adql("SELECT source_id FROM gaiadr3.gaia_source", services=services).tolist() == [11, 12]
    assert star_lists.ids_by_cone(10.0, 20.0, 0.1, services=services).dtype == np.int64
    (tmp_path / "ids.txt").write_text(f"source_id\n{BIG}\n")
    assert star_lists.read_ids(tmp_path / "ids.txt").tolist() == [BIG]
    (tmp_path / "ids.csv").write_text(f"random_index,source_id\n5,{BIG}\n")
    assert star_lists.read_ids(tmp_path / "ids.csv").tolist() == [BIG]
    pl.DataFrame({"source_id": [BIG, None]}).write_parquet(tmp_path / "ids.parquet")
    with pytest.raises(UserError, match=r"ids\.parquet: source_id of row 1 is"):
        star_lists.read_ids(tmp_path / "ids.parquet")
    (tmp_path / "designations").write_text(f"Gaia DR3 {BIG}\n12\n")
    assert star_lists.read_ids(tmp_path / "designations").tolist() == [BIG, 12]
    (tmp_path / "list").write_text(f"{BIG}\r\n\r\n12 13\n")
    assert star_lists.read_ids(tmp_path / "list").tolist() == [BIG, 12, 13]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ids.txt", "5.9e18\n", "no column source_id"),
        ("ids.txt", f"source_id\n{BIG}\n5.9e18\n", "line 3 is '5.9e18', not a source_id"),
        ("ids.txt", f"Gaia DR3 {BIG}\n\nGaia DR2 {BIG}\n", f"line 3 is 'Gaia DR2 {BIG}', not a source_id"),
        ("ids.txt", f"{BIG}0\n", r"source_id of row 0 is"),
        ("ids.csv", "ra,dec\n1,2\n", "no column source_id; there are: ra, dec"),
        ("ids.csv", f"source_id\n{float(BIG)}\n", "loses digits"),
        ("ids.parquet", "junk", "cannot be read as a table"),
        ("ids", "a list of stars", "not a kind of table that can be read"),
    ],
)
def test_an_invalid_list_of_identifiers_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=rf"{name}.*({message})"):
        star_lists.read_ids(tmp_path / name)
    with pytest.raises(UserError, match="none: no such file"):
        star_lists.read_ids(tmp_path / "none")


def test_bulk_files_are_checked(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    content = b"spectra"
    archive.files = {"a.csv.gz": content, "b.csv.gz": b"changed on the way"}
    sums = hashlib.md5(content).hexdigest()
    archive.files["_MD5SUM.txt"] = f"{sums}  a.csv.gz\n{sums}  b.csv.gz\n".encode()
    (path,) = fetch_bulk(["a.csv.gz"], tmp_path, services=services)
    assert path.read_bytes() == content
    with pytest.raises(UserError, match=r"b\.csv\.gz: no usable response in \d attempts \(its MD5"):
        fetch_bulk(["b.csv.gz"], tmp_path, services=services)
    assert not (tmp_path / "b.csv.gz").exists()
    with pytest.raises(UserError, match="lists no file c"):
        fetch_bulk(["c.csv.gz"], tmp_path, services=services)


def test_bulk_files_of_a_release_whose_folder_is_not_known_come_from_a_url(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.files = dict.fromkeys(("a.csv.gz", "b.csv.gz"), b"spectra")
    sums = hashlib.md5(b"spectra").hexdigest()
    archive.files["_MD5SUM.txt"] = f"{sums}  a.csv.gz\n{sums}  b.csv.gz\n".encode()
    for number, names in enumerate(([f"{archive.url}/bulk/", "b.csv.gz"], [f"{archive.url}/bulk/b.csv.gz"])):
        (path,) = fetch_bulk(names, tmp_path / str(number), "dr4", services)
        assert (path.name, path.read_bytes()) == ("b.csv.gz", b"spectra")
    for names, message in (
        (["b.csv.gz"], "Gaia DR4's bulk files is not known: give its URL"),
        ([f"{archive.url}/bulk"], "add --bulk with a name or a range"),
        ([archive.url, archive.url + "/bulk"], "takes one URL"),
        ([f"{archive.url}/mistyped", "b.csv.gz"], "_MD5SUM.txt: the service refuses it: there is no http"),
        (["http://example.org/bulk", "b.csv.gz"], "not an https address"),
        (["ftp://example.org/bulk", "b.csv.gz"], "not an https address"),
    ):
        with pytest.raises(UserError, match=message):
            fetch_bulk(names, tmp_path, "dr4", services)


def test_a_list_of_bulk_files_names_no_other_places(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    sums = hashlib.md5(b"spectra").hexdigest()
    names = ["../x_000000-000001.csv.gz", "/etc/x_000000-000001.csv.gz", "..\\x_000000-000001.csv.gz", ".bashrc"]
    archive.files["_MD5SUM.txt"] = "".join(f"{sums}  {name}\n" for name in names).encode()
    for name in (*names, "000000-000003"):
        with pytest.raises(UserError, match="lists no file"):
            fetch_bulk([name], tmp_path / "bulk", services=services)


def test_bulk_files_keep_existing_files_and_clear_what_a_killed_download_left(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.files = dict.fromkeys(("a.csv.gz", "b.csv.gz"), b"spectra")
    sums = hashlib.md5(b"spectra").hexdigest()
    archive.files["_MD5SUM.txt"] = f"{sums}  a.csv.gz\n{sums} *b.csv.gz\n".encode()
    out = tmp_path / "bulk"
    out.mkdir()
    (out / "a.csv.gz").write_bytes(b"put here by hand")
    (out / ".b.csv.gz.0a1b2c.tmp").write_bytes(b"half")
    fetch_bulk(["a.csv.gz", "b.csv.gz"], out, services=services)
    assert (out / "a.csv.gz").read_bytes() == b"put here by hand"
    assert sorted(path.name for path in out.iterdir()) == ["_MD5SUM.txt", "a.csv.gz", "b.csv.gz"]


def test_bulk_files_of_a_range_are_fetched_and_a_cut_one_again(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    names = [f"XpContinuousMeanSpectrum_{r}.csv.gz" for r in ("000000-003111", "003112-005263", "005264-006601")]
    archive.files = dict.fromkeys(names, b"spectra")
    sums = hashlib.md5(b"spectra").hexdigest()
    archive.files["_MD5SUM.txt"] = "".join(f"{sums}  {name}\n" for name in names).encode()
    archive.faults = ["", "cut", "500"]
    out = tmp_path / "bulk"
    assert [path.name for path in fetch_bulk(["003200-005300"], out, services=services)] == names[1:]
    assert sorted(path.name for path in out.iterdir()) == [*names[1:], "_MD5SUM.txt"]
    with pytest.raises(UserError, match="lists no file 900000-900001"):
        fetch_bulk(["900000-900001"], out, services=services)


def test_the_archives_own_table_keeps_names_and_exact_identifiers(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    """Its VOTable has ID="SOURCE_ID" and name="source_id"."""
    archive.genuine_table = package_file("astroquery", "gaia/tests/data/1710099405832VAL-result.vot").read_bytes()
    ids = np.array([4583627001381815936, 5348723816842275584])
    assert gaia_archive.fetch_gaia_source(ids, tmp_path / "gaia.parquet", services=services) == Tally(2, 2, 0)


def test_without_a_network_the_error_names_what_to_download(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    esa = replace(ESA, tap=nowhere, data=nowhere, links=nowhere)
    services = Services((esa,), nowhere, timeout_s=0.2, attempts=2, pause_s=0.01)
    with pytest.raises(UserError, match=r"cannot be reached.*or download XP_CONTINUOUS"):
        gaia_archive.fetch_xp(IDS, tmp_path / "xp", services=services)
    with pytest.raises(UserError, match=r"download these stars of Gaia DR3's gaia_source"):
        gaia_archive.fetch_gaia_source(IDS, tmp_path / "g.parquet", services=services)
    with pytest.raises(UserError, match="download B/pastel"):
        gaia_archive.fetch_pastel(tmp_path / "pastel.csv", services)
    with pytest.raises(UserError, match=r"put _MD5SUM\.txt and the files"):
        fetch_bulk(["a.csv.gz"], tmp_path, services=services)
