"""A star is requested once, whatever happens in between."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from xpfeh.archive import cache
from xpfeh.archive.archives import Services
from xpfeh.errors import Notice, UserError
from xpfeh.sources import archive_stars
from xpfeh.sources.archive_stars import ArchiveStars

from tests.archive.archive_server import ArchiveServer
from tests.conftest import services_of

BIG = 5_937_083_312_263_887_617
IDS = BIG + np.arange(25)


def answered(stars: ArchiveStars) -> list[int]:
    return [i for first, n in stars.ranges() for batch in stars.read(first, n) for i in batch.columns["source_id"]]


def spectra_asked(archive: ArchiveServer) -> list[int]:
    return [count for path, count in archive.log if path == "/data"]


def test_a_second_call_requests_only_what_is_new(archive: ArchiveServer, services: Services) -> None:
    assert answered(cache.bring(IDS[:5], "dr3", services)) == IDS[:5].tolist()
    archive.log.clear()
    assert answered(cache.bring(IDS[:5], "dr3", services)) == IDS[:5].tolist()
    assert archive.log == []
    assert answered(cache.bring(IDS, "dr3", services)) == IDS.tolist()
    assert spectra_asked(archive) == [10, 10]
    size = cache.sizes()["dr3"]
    assert (size.asked, size.with_spectrum) == (25, 25)
    assert size.bytes == sum(path.stat().st_size for path in size.folder.rglob("*") if path.is_file())


def test_an_interrupted_call_resumes(archive: ArchiveServer, services: Services) -> None:
    archive.faults = ["", "", *["500"] * 99]  # spectra and photometry of the first ten
    with pytest.raises(UserError, match=r"ESA's Gaia archive: no usable response in 3 attempts \(HTTP 500"):
        cache.bring(IDS, "dr3", services)
    assert cache.sizes()["dr3"].asked == 10
    archive.log.clear()
    archive.faults.clear()
    services = services_of(archive)  # as another process has it
    assert answered(cache.bring(IDS, "dr3", services)) == IDS.tolist()
    assert spectra_asked(archive) == [10, 5]


def test_damaged_answers_are_requested_again(archive: ArchiveServer, services: Services) -> None:
    cache.bring(IDS[:10], "dr3", services)
    (file,) = cache.sizes()["dr3"].folder.glob("*/spectra.parquet")
    for damage in (file.read_bytes()[:-9], b""):
        file.write_bytes(damage)
        archive.log.clear()
        assert answered(cache.bring(IDS[:10], "dr3", services)) == IDS[:10].tolist()
        assert spectra_asked(archive) == [10]


def test_releases_are_kept_apart(archive: ArchiveServer, services: Services) -> None:
    for release, n_bp in (("dr3", 55), ("dr4", 51)):
        stars = cache.bring(IDS[:3], release, services)
        (batch,) = stars.read(0, None)
        assert batch.columns["bp_coefficients"].shape == (3, n_bp)
        assert stars.releases == (release,)
    cache.forget("dr3")
    assert {name: size.asked for name, size in cache.sizes().items()} == {"dr3": 0, "dr4": 3}


def test_every_star_is_answered_in_its_place_or_rejected_with_a_reason(
    archive: ArchiveServer, services: Services
) -> None:
    archive.absent = {BIG + 1}
    asked = np.array([BIG + 4, BIG + 1, BIG, BIG + 4, BIG + 2])
    (batch,) = cache.bring(asked, "dr3", services).read(0, None)
    assert batch.columns["source_id"].tolist() == [BIG + 4, BIG, BIG + 2]
    assert batch.rejected == [(1, BIG + 1, "not a source of Gaia DR3"), (3, BIG + 4, "repeated source_id")]
    archive.absent = set(IDS.tolist())
    (batch,) = cache.bring(IDS[10:13], "dr3", services).read(0, None)
    assert (len(batch.columns["source_id"]), len(batch.rejected)) == (0, 3)


def test_a_star_that_is_requested_twice_is_answered_once_however_far_apart(
    archive: ArchiveServer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_stars, "_STARS", 2)
    stars = cache.bring(IDS[[0, 1, 2, 0, 3]], "dr3", services)
    assert answered(stars) == IDS[[0, 1, 2, 3]].tolist()
    rejected = [each for first, n in stars.ranges() for batch in stars.read(first, n) for each in batch.rejected]
    assert rejected == [(3, int(IDS[0]), "repeated source_id")]


def test_a_damaged_record_is_requested_again(archive: ArchiveServer, services: Services) -> None:
    cache.bring(IDS[:3], "dr3", services)
    (record,) = cache.sizes()["dr3"].folder.glob("*/asked.json")
    half = json.dumps({"format": 2, "asked": IDS[:3].tolist(), "complete": []})
    for damage in ("{", "{}", "[]", half):
        record.write_text(damage)
        assert answered(cache.bring(IDS[:3], "dr3", services)) == IDS[:3].tolist()


def test_a_folder_that_is_incomplete_is_not_an_answer(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    cache.bring(IDS[:3], "dr3", services)
    (answer,) = (path for path in (tmp_path / "xpfeh" / "cache" / "dr3").iterdir() if path.is_dir())
    answer.rename(answer.with_name(f".{answer.name}.0a1b.tmp"))
    assert cache.sizes()["dr3"].asked == 0


def test_that_a_star_has_nothing_is_believed_for_a_day(
    archive: ArchiveServer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.absent = {BIG + 1}
    assert set(cache.bring(IDS[:5], "dr3", services).missing) == {BIG + 1}
    archive.log.clear()
    assert set(cache.bring(IDS[:5], "dr3", services).missing) == {BIG + 1}
    assert archive.log == []
    later = time.time() + 25 * 3600
    monkeypatch.setattr("xpfeh.archive.ledger.time.time", lambda: later)
    archive.absent = set()
    stars = cache.bring(IDS[:5], "dr3", services)
    assert (answered(stars), stars.missing) == (IDS[:5].tolist(), {})
    assert spectra_asked(archive) == [1]


def test_what_a_mirror_lacks_is_requested_again(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    mirror = ArchiveServer(f"{archive.head}\n1,{archive.rest}")
    mirror.absent, archive.always = {BIG + 1}, "page"
    with pytest.warns(Notice):
        stars = cache.bring(IDS[:5], "dr3", services_of(archive, mirror))
    mirror.close()
    assert set(stars.missing) == {BIG + 1}
    archive.always = ""
    assert answered(cache.bring(IDS[:5], "dr3", services_of(archive))) == IDS[:5].tolist()
    assert spectra_asked(archive) == [1]


def test_answers_of_an_earlier_version_are_requested_again(archive: ArchiveServer, services: Services) -> None:
    cache.bring(IDS[:3], "dr3", services)
    (record,) = cache.sizes()["dr3"].folder.glob("*/asked.json")
    record.write_text(record.read_text().replace('"format": 2, ', ""))
    cache.bring(IDS[:3], "dr3", services)
    assert spectra_asked(archive) == [3, 3]


def test_without_a_folder_for_a_cache_stars_are_answered(
    archive: ArchiveServer, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XPFEH_DATA", str(file))
    with pytest.warns(Notice, match="file/cache/dr3: cannot be written"):
        assert answered(cache.bring(IDS[:5], "dr3", services)) == IDS[:5].tolist()
