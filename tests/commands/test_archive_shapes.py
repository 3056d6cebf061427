"""`xpfeh predict --ids` of twelve stars gives the same answers whatever the archive's names, and when it is down."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.archive import archives, cache
from xpfeh.archive.archives import Services, ServiceState
from xpfeh.archive.star_lists import ids_by_cone
from xpfeh.cli.main import main
from xpfeh.errors import Notice

from tests.archive.archive_server import ArchiveServer
from tests.archive.shapes import AWAY, SHAPES, draft, excess_factor_gone
from tests.conftest import services_of
from tests.genuine import datalink_file

IDS = 5_937_083_312_263_887_616 + np.arange(12)
Shape = Callable[[ArchiveServer], None]
ANSWERING = [shape for shape in SHAPES if shape not in AWAY]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
each_answering_shape = pytest.mark.parametrize("shape", ANSWERING, ids=lambda shape: shape.__name__)


@pytest.fixture
def everyone(archive: ArchiveServer, services: Services, tmp_path: Path) -> Iterator[tuple[ArchiveServer, Services]]:
    """ESA's archive and one mirror; each test changes ESA's."""
    mirror = ArchiveServer(datalink_file("csv", tmp_path).read_text())
    yield archive, services_of(archive, mirror)
    mirror.close()


def predict(out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[pl.DataFrame, str]:
    (out.parent / "stars.txt").write_text("\n".join(map(str, IDS)))
    with pytest.raises(SystemExit) as end:
        main(["predict", "--ids", str(out.parent / "stars.txt"), "--out", str(out), *more])
    captured = capsys.readouterr()
    assert (end.value.code or 0) == 0, captured.err
    return pl.read_parquet(out), captured.err


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(["predict", "--ids", str(folder / "stars.txt"), "--out", str(folder / "feh.csv"), *more])
    assert end.value.code == 2
    return capsys.readouterr().err


@each_shape
def test_predict_by_identifiers(
    everyone: tuple[ArchiveServer, Services],
    shape: Shape,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    archive, services = everyone
    monkeypatch.setattr(archives, "PUBLIC", services)
    usual, printed = predict(tmp_path / "usual.parquet", capsys)
    assert (usual["source_id"].to_list(), printed) == (IDS.tolist(), "")
    cache.forget("dr3")
    shape(archive)
    monkeypatch.setattr(archives, "PUBLIC", replace(services, state=ServiceState()))  # as another process has it
    found, printed = predict(tmp_path / "found.parquet", capsys)
    # Where the archive has no excess factor it is computed, and a flag follows from it.
    computed = ["phot_bp_rp_excess_factor", "flags"] if shape in (draft, excess_factor_gone) else []
    assert found.drop(computed).equals(usual.drop(computed))
    assert found["FEH"].null_count() == 0
    lines = printed.splitlines()
    assert len(lines) == (2 if shape in AWAY else 0)
    assert all(line.startswith("xpfeh: warning: ") and "from ARI Heidelberg" in line for line in lines)
    archive.log.clear()
    again, _ = predict(tmp_path / "again.parquet", capsys)
    assert again.equals(found)
    assert archive.log == []


@each_answering_shape
def test_stars_of_dr4_are_downloaded(archive: ArchiveServer, services: Services, shape: Shape) -> None:
    """From ESA's archive alone: no mirror will have DR4 on the first day."""
    shape(archive)
    archive.not_best = {int(IDS[3])}
    (batch,) = cache.bring(IDS, "dr4", services).read(0, None)
    assert batch.columns["source_id"].tolist() == IDS.tolist()
    assert batch.columns["bp_coefficients"].shape == (12, 51)
    assert np.isfinite(batch.columns["phot_g_mean_mag"]).all()


@each_answering_shape
@pytest.mark.parametrize("release", ["dr3", "dr4"])
def test_a_cone_is_searched(archive: ArchiveServer, services: Services, shape: Shape, release: str) -> None:
    shape(archive)
    assert ids_by_cone(10.0, 20.0, 0.1, release, services).tolist() == [11, 12]
    asked = len(archive.queries)
    assert ids_by_cone(10.0, 20.0, 0.1, release, services_of(archive)).tolist() == [11, 12]
    assert len(archive.queries) == asked + 1  # the condition that was accepted is remembered


def test_distances_are_fetched_in_the_same_call_and_once(
    everyone: tuple[ArchiveServer, Services],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    archive, services = everyone
    monkeypatch.setattr(archives, "PUBLIC", services)
    found, _ = predict(tmp_path / "feh.parquet", capsys, "--distances", "fetch")
    assert found["rgeo"].to_list() == [1.5] * 12
    assert "--distances: either fetch, or your own tables" in refused(
        tmp_path, capsys, "--distances", "fetch", "--distances", "x"
    )
    asked = len(archive.log)
    predict(tmp_path / "feh.parquet", capsys, "--distances", "fetch")
    assert len(archive.log) == asked


def test_a_single_archive_can_be_chosen(
    everyone: tuple[ArchiveServer, Services],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    archive, services = everyone
    monkeypatch.setattr(archives, "PUBLIC", services)
    found, printed = predict(tmp_path / "feh.parquet", capsys, "--archive", "ari")
    assert (len(found), printed, archive.log) == (12, "", [])
    with pytest.raises(SystemExit):
        main(["predict", "spectra.csv", "--archive", "ari", "--out", str(tmp_path / "feh.csv")])
    assert "--archive need --ids" in capsys.readouterr().err


def test_a_notice_is_a_warning_in_python(
    everyone: tuple[ArchiveServer, Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, services = everyone
    archive.always = "page"
    with pytest.warns(Notice) as notices:
        cache.bring(IDS, "dr3", services)
    spectra, photometry = (str(each.message) for each in notices)
    assert spectra.startswith("spectra from ARI Heidelberg, since ESA's Gaia archive: ")
    assert photometry.startswith("photometry from ARI Heidelberg")


def test_identifiers_on_the_command_line_are_answered(
    everyone: tuple[ArchiveServer, Services],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(archives, "PUBLIC", everyone[1])
    with pytest.raises(SystemExit) as end:
        main(["predict", str(IDS[0]), f"Gaia DR3 {IDS[1]}", "--out", str(tmp_path / "feh.parquet")])
    assert (end.value.code or 0) == 0, capsys.readouterr().err
    assert pl.read_parquet(tmp_path / "feh.parquet")["source_id"].to_list() == IDS[:2].tolist()
