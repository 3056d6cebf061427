"""Identifiers in, answers out, against a local archive with a genuine star."""

from pathlib import Path

import polars as pl
import pytest
import xpfeh
from xpfeh.commands.choose_stars import StarChoice
from xpfeh.commands.models import bundle_of
from xpfeh.commands.predict import predict_file, predict_stars
from xpfeh.download.archives import Services
from xpfeh.download.cache import bring
from xpfeh.errors import UserError
from xpfeh.sources.reader import NO_COMPANIONS, CompanionFiles

from tests.download.archive_server import ArchiveServer
from tests.genuine import datalink_file

STAR = 5_937_083_312_263_887_616
PRETRAINED = bundle_of("pretrained")


def test_an_identifier_gets_the_bytes_that_its_file_gets(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    ids, out = tmp_path / "ids.txt", tmp_path / "feh.parquet"
    archive.absent = {77}
    ids.write_text(f"{STAR + 3}\n77\n{STAR}\n")
    written = predict_stars(StarChoice(ids=ids), PRETRAINED, out, NO_COMPANIONS, services=services)
    assert (written.stars, written.rejected) == (2, 1)
    rejected = pl.read_csv(written.listing).row(0)
    assert rejected == ("the archive of Gaia DR3", 1, 77, "not a source of Gaia DR3")
    rows = pl.read_parquet(out)
    assert rows["source_id"].to_list() == [STAR + 3, STAR]
    photometry = tmp_path / "gaia_source.csv"  # as the server gives it: all numbers 1.5
    bands = ",".join(f"phot_{band}_mean_mag" for band in ("g", "bp", "rp"))
    photometry.write_text(f"source_id,ra,dec,{bands},phot_bp_rp_excess_factor\n{STAR}" + ",1.5" * 6 + "\n")
    companions = CompanionFiles.find([str(photometry)])
    predict_file(str(datalink_file("csv", tmp_path)), PRETRAINED, tmp_path / "file.parquet", companions)
    assert pl.read_parquet(tmp_path / "file.parquet").rows() == rows.filter(pl.col("source_id") == STAR).rows()


def test_positions_get_answers_and_a_table_of_which_is_which(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.sky = [(STAR, 10.0, 0.0001)]
    table, out = tmp_path / "names.csv", tmp_path / "feh.fits"
    table.write_text("name,ra,dec\nHD 1,10,0\nHD 2,20,0\n")
    written = predict_stars(StarChoice(around=table), PRETRAINED, out, NO_COMPANIONS, services=services)
    assert (written.stars, written.rejected) == (1, 0)
    matched = pl.read_csv(tmp_path / "feh.fits.matched.csv")
    assert matched.select("name", "source_id").rows() == [("HD 1", STAR)]


def test_a_model_answers_for_its_own_release_alone(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text(f"{STAR}\n")
    choice, out = StarChoice(ids=tmp_path / "ids.txt"), tmp_path / "feh.csv"
    with pytest.raises(UserError, match=r"--release dr4: the model best-\w+ answers for DR3 spectra alone"):
        predict_stars(choice, PRETRAINED, out, NO_COMPANIONS, "dr4", services)
    with pytest.raises(UserError, match="give one of --ids, --adql, --cone, --around"):
        predict_stars(StarChoice(), PRETRAINED, out, NO_COMPANIONS, services=services)
    assert archive.log == []
    assert predict_stars(choice, PRETRAINED, out, NO_COMPANIONS, "dr3", services).stars == 1


def test_python_takes_identifiers(archive: ArchiveServer, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xpfeh.commands.in_memory.bring", lambda ids, release: bring(ids, release, services))
    archive.absent = {77}
    with pytest.warns(UserWarning, match=r"1 rows were rejected.*not a source of Gaia DR3"):
        answer = xpfeh.predict([STAR, 77, STAR + 1])
    assert answer["source_id"].tolist() == [STAR, STAR + 1]
    assert answer.meta["rejected"] == [("the archive of Gaia DR3", 1, 77, "not a source of Gaia DR3")]
    with pytest.raises(UserError):
        xpfeh.predict([1.5, 2.5])
