"""Identifiers in, answers out, against a local archive with a genuine star."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.archive.archives import Services
from xpfeh.archive.cache import forget
from xpfeh.commands.choose_stars import StarChoice
from xpfeh.commands.predict import predict_file, predict_stars
from xpfeh.errors import UserError
from xpfeh.experiments.models import bundle_folder
from xpfeh.flags import Flag
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.reader import NO_COMPANIONS, CompanionFiles
from xpfeh.tables.reading import read_table

from tests.archive.archive_server import ArchiveServer
from tests.genuine import datalink_file

STAR = 5_937_083_312_263_887_616
PRETRAINED = bundle_folder("pretrained")


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
    photometry = (
        tmp_path / "gaia_source.csv"
    )  # as the server gives it: all magnitudes 1.5, and the identifier's position
    bands = ",".join(f"phot_{band}_mean_mag" for band in ("g", "bp", "rp"))
    photometry.write_text(f"source_id,ra,dec,{bands},phot_bp_rp_excess_factor\n{STAR},," + ",1.5" * 4 + "\n")
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


def test_a_model_answers_only_for_its_own_release(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text(f"{STAR}\n")
    choice, out = StarChoice(ids=tmp_path / "ids.txt"), tmp_path / "feh.csv"
    with pytest.raises(UserError, match=r"--release dr4: the model best-\w+ answers only for DR3 spectra"):
        predict_stars(choice, PRETRAINED, out, NO_COMPANIONS, "dr4", services)
    with pytest.raises(UserError, match="give one of --ids, --adql, --cone, --around"):
        predict_stars(StarChoice(), PRETRAINED, out, NO_COMPANIONS, services=services)
    assert archive.log == []
    assert predict_stars(choice, PRETRAINED, out, NO_COMPANIONS, "dr3", services).stars == 1


def test_csv_has_the_flags_in_words(archive: ArchiveServer, services: Services, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text(f"{STAR}\n")
    rows = {}
    for suffix in (".csv", ".parquet", ".fits"):
        out = tmp_path / f"feh{suffix}"
        predict_stars(StarChoice(ids=tmp_path / "ids.txt"), PRETRAINED, out, NO_COMPANIONS, services=services)
        rows[suffix] = read_table(out).row(0, named=True)
    csv = rows[".csv"]
    assert csv["flag_names"].split() == [flag.name for flag in Flag if int(csv["flags"]) & flag]
    assert csv.keys() - rows[".parquet"].keys() == {"flag_names"}
    assert csv["good"] == str(rows[".parquet"]["good"]).lower()
    assert rows[".fits"]["good"] is rows[".parquet"]["good"]


RED_GIANT = {"phot_g_mean_mag": 12.0, "phot_bp_mean_mag": 12.6, "phot_rp_mean_mag": 11.3, "parallax_over_error": 20.0}


@pytest.mark.parametrize(
    ("release_values", "parallax"),
    [
        ({"nu_eff_used_in_astrometry": 1.5, "ecl_lat": 20.0, "astrometric_params_solved": 31}, 0.5),
        ({"tentative_parallax_bias": -0.04, "nu_eff_used_in_astrometry": 1.5, "astrometric_params_solved": 31}, 0.5),
    ],
    ids=["Lindegren's zero point", "the archive's own bias"],
)
def test_without_a_distance_the_giant_cut_is_made_by_the_parallax(
    archive: ArchiveServer, services: Services, tmp_path: Path, release_values: dict[str, float], parallax: float
) -> None:
    """The zero point is subtracted, so the star is nearer and fainter than by 1/parallax."""
    if "tentative_parallax_bias" in release_values:
        archive.tables["gaiadr3.gaia_source"]["tentative_parallax_bias"] = "double"
    archive.values = {**RED_GIANT, **release_values, "parallax": parallax, "ra": 200.0, "dec": 60.0}
    (tmp_path / "ids.txt").write_text(f"{STAR}\n")
    choice, out = StarChoice(ids=tmp_path / "ids.txt"), tmp_path / "feh.parquet"
    predict_stars(choice, PRETRAINED, out, NO_COMPANIONS, services=services)
    star = pl.read_parquet(out).row(0, named=True)
    flags = Flag(star["flags"])
    assert Flag.PARALLAX_DISTANCE in flags
    assert not flags & (Flag.CUT_NOT_EVALUATED | Flag.NOT_GIANT | Flag.NEAR_PLANE)
    bias = release_values.get("tentative_parallax_bias", -0.0336)  # of G = 12, 1.5 um^-1, beta = 20 deg, by the package
    without_bias = 12.0 + 5 * np.log10(parallax / 100)
    expected = without_bias + 5 * np.log10((parallax - bias) / parallax)
    a_g = PreprocessSettings().r_g * star["EBV"]
    assert star["M_G"] + a_g == pytest.approx(expected, abs=0.03)
    assert star["M_G"] + a_g > without_bias + 0.05
    archive.values["parallax_over_error"] = 4.9
    forget("dr3")
    predict_stars(choice, PRETRAINED, out, NO_COMPANIONS, services=services)
    flags = Flag(pl.read_parquet(out)["flags"][0])
    assert Flag.GIANT_BY_SPECTRUM in flags
    assert Flag.PARALLAX_DISTANCE not in flags


_CHILD = """
import sys
from xpfeh.cli.main import main
from xpfeh.archive import archive_requests, archives
archive_requests.IDS_PER_REQUEST = 10
url, ids, out = sys.argv[1:]
esa = archives.GaiaArchive("esa", "ESA", f"{url}/tap", data=f"{url}/data", links=f"{url}/datalink/links")
archives.PUBLIC = archives.Services((esa,))
main(["predict", "--ids", ids, "--out", out])
"""


@pytest.mark.slow
def test_a_killed_call_is_resumed_and_requests_nothing_twice(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    ids, out = tmp_path / "ids.txt", tmp_path / "feh.csv"
    ids.write_text("\n".join(str(STAR + i) for i in range(35)))
    archive.faults = ["", "", "", "", "stall"]  # two requests of spectra and photometry, and a third of spectra
    command = [sys.executable, "-c", _CHILD, archive.url, str(ids), str(out)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while archive.faults:
        assert time.monotonic() < end
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert not out.exists()
    while len(archive.log) < 5:  # what the third request would have brought
        assert time.monotonic() < end
        time.sleep(0.01)
    archive.log.clear()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert archive.log == [("/data", 10), ("/tap/sync", 10), ("/data", 5), ("/tap/sync", 5)]
    assert len(out.read_text().splitlines()) == 36
    archive.log.clear()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert archive.log == []


def test_another_dust_map_for_identifiers(
    archive: ArchiveServer, services: Services, hint_bundle: Path, full_map: None, tmp_path: Path
) -> None:
    archive.values = {"ra": 200.0, "dec": 60.0}
    (tmp_path / "ids.txt").write_text(f"{STAR}\n{STAR + 1}\n")
    own = tmp_path / "own.csv"
    bands = ",".join(f"phot_{band}_mean_mag" for band in ("g", "bp", "rp"))
    own.write_text(f"source_id,ra,dec,{bands},EBV\n{STAR + 1},200,60,12,12.5,11.4,0.07\n")
    choice, companions = StarChoice(ids=tmp_path / "ids.txt"), CompanionFiles.find([str(own)])
    rows = {}
    for dust_map in ("sfd", "sfd-nside64"):
        out = tmp_path / f"{dust_map}.parquet"
        predict_stars(choice, hint_bundle, out, companions, services=services, dust_map=dust_map)
        rows[dust_map] = pl.read_parquet(out)
    by_map, given = zip(*(table["EBV"] for table in rows.values()), strict=True)
    assert by_map[0] != by_map[1]
    assert given == (0.07, 0.07)
    assert [bool(flags & Flag.OWN_EBV) for flags in rows["sfd"]["flags"]] == [False, True]


def test_an_impossible_dust_map_is_refused_before_the_archive_is_queried(
    archive: ArchiveServer, services: Services, bundle: Path, hint_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_text(f"{STAR}\n")
    choice, out = StarChoice(ids=tmp_path / "ids.txt"), tmp_path / "feh.csv"
    for model, message in ((bundle, "recipe paper dereddens with the map"), (hint_bundle, "xpfeh fetch sfd")):
        with pytest.raises(UserError, match=message):
            predict_stars(choice, model, out, NO_COMPANIONS, services=services, dust_map="sfd")
    assert archive.log == []
    assert not out.exists()


def test_a_star_of_several_files_is_answered_once(tmp_path: Path) -> None:
    files = [str(datalink_file(kind, tmp_path)) for kind in ("csv", "ecsv", "fits", "vot")]
    written = predict_file(files, PRETRAINED, tmp_path / "feh.CSV", NO_COMPANIONS)
    assert (written.stars, written.rejected, written.repeated) == (1, 3, 3)
    rejected = pl.read_csv(written.listing)
    assert rejected["source"].to_list() == files[1:]
    assert rejected["row"].to_list() == [0, 0, 0]
    assert "flag_names" in pl.read_csv(tmp_path / "feh.CSV").columns


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    spectra = datalink_file("csv", tmp_path)
    before = spectra.read_bytes()
    ids = tmp_path / "ids.csv"
    ids.write_text(f"source_id\n{STAR}\n")
    with pytest.raises(UserError, match=r"star\.csv: is one of the inputs; choose another --out"):
        predict_file(str(spectra), PRETRAINED, tmp_path / "." / "star.csv", NO_COMPANIONS)
    with pytest.raises(UserError, match=r"ids\.csv: is one of the inputs"):
        predict_stars(StarChoice(ids=ids), PRETRAINED, ids, NO_COMPANIONS)
    photometry = CompanionFiles.find([str(ids)])
    with pytest.raises(UserError, match=r"ids\.csv: is one of the inputs"):
        predict_file(str(spectra), PRETRAINED, ids, photometry)
    assert spectra.read_bytes() == before


def test_a_file_whose_every_star_lacks_a_band_is_answered(tmp_path: Path) -> None:
    """As DataLink gives them, one star a file."""
    spectra = datalink_file("csv", tmp_path)
    table = pl.read_csv(spectra, infer_schema=False)
    without = [name for name in table.columns if name.startswith("bp_coefficient")]
    table.with_columns(pl.lit("").alias(name) for name in without).write_csv(tmp_path / "rp_alone.csv")
    written = predict_file(str(tmp_path / "rp_alone.csv"), PRETRAINED, tmp_path / "feh.parquet", NO_COMPANIONS)
    assert (written.stars, written.rejected) == (1, 0)
    assert pl.read_parquet(tmp_path / "feh.parquet")["flags"][0] & Flag.MISSING_BAND
