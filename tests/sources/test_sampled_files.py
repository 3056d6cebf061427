"""Files of sampled spectra: the archive's own samples of its one genuine star, in the layouts with a row for each star.

astroquery carries them with a row for each sample; the archive's structure RAW and its bulk files have lists.
"""

import gzip
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import xpfeh
from astropy.table import Table
from xpfeh.commands import spectra
from xpfeh.commands.spectra import Stage, write_spectra
from xpfeh.errors import UserError
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.coefficients import Reject
from xpfeh.sources.input_files import find_files
from xpfeh.sources.reader import NO_COMPANIONS, open_spectra

from tests.genuine import datalink_file

ID = 5937083312263887616
KINDS = ["csv", "csv.gz", "ecsv", "fits", "xml", "parquet"]


@pytest.fixture
def samples(tmp_path: Path) -> Table:
    """The genuine star, with a row for each sample."""
    (folder := tmp_path / "samples").mkdir()
    return Table.read(datalink_file("csv", folder, "XP_SAMPLED"))


def write(kind: str, folder: Path, ids: list[int], flux: np.ndarray, flux_error: np.ndarray) -> Path:
    """Write a row for each star, as the archive does in this format."""
    path = folder / f"XP_SAMPLED_RAW.{kind}"
    if kind in ("csv", "csv.gz"):
        brackets = "()" if kind == "csv" else "[]"
        lines = ["source_id,solution_id,ra,dec,flux,flux_error"]
        for source_id, *both in zip(ids, flux, flux_error, strict=True):
            cells = (f'"{brackets[0]}{", ".join(map(repr, each.tolist()))}{brackets[1]}"' for each in both)
            lines.append(f"{source_id},4545469030156206081,251.5,-51.5,{','.join(cells)}")
        text = "\n".join(lines) + "\n"
        if kind == "csv":
            path.write_text(text)
        else:
            path.write_bytes(gzip.compress(f"# %ECSV 1.0\n# ---\n# delimiter: ','\n{text}".encode()))
        return path
    table = Table({"source_id": ids, "flux": flux, "flux_error": flux_error})
    names = {"xml": "votable", "ecsv": "ascii.ecsv", "fits": "fits", "parquet": "parquet"}
    table.write(path, format=names[kind])
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_archives_samples(kind: str, samples: Table, tmp_path: Path) -> None:
    flux, flux_error = (np.asarray(samples[name], dtype=np.float32)[None] for name in ("flux", "flux_error"))
    file = open_spectra(str(write(kind, tmp_path, [ID], flux, flux_error)))
    (batch,) = file.read()
    assert (file.releases, batch.rejected) == ((), [])
    assert batch.columns["source_id"].tolist() == [ID]
    np.testing.assert_array_equal(batch.columns["flux"].astype(np.float32), flux)
    np.testing.assert_array_equal(batch.columns["flux_error"].astype(np.float32), flux_error)
    assert [ids.to_pylist() for ids in file.source_ids()] == [[ID]]


def test_the_archives_samples_are_our_calibration_of_its_coefficients(samples: Table, tmp_path: Path) -> None:
    ours, wavelength_nm = xpfeh.calibrate(str(datalink_file("csv", tmp_path)))
    np.testing.assert_array_equal(samples["wavelength"], wavelength_nm)
    for name in ("flux", "flux_error"):  # float32 in the file
        np.testing.assert_allclose(samples[name], ours[name][0], rtol=1e-5)


def test_both_products_give_the_same_metallicity(samples: Table, tmp_path: Path) -> None:
    flux, flux_error = (np.asarray(samples[name])[None] for name in ("flux", "flux_error"))
    sampled = xpfeh.predict(str(write("csv", tmp_path, [ID], flux, flux_error)))
    continuous = xpfeh.predict(str(datalink_file("csv", tmp_path)))
    for name in ("FEH", "FEH_err", "TEFF", "LOGG"):
        np.testing.assert_allclose(sampled[name], continuous[name], rtol=2e-4, atol=1e-3)


def test_invalid_and_repeated_rows_are_rejected(samples: Table, tmp_path: Path) -> None:
    flux, flux_error = (np.tile(np.asarray(samples[name]), (3, 1)) for name in ("flux", "flux_error"))
    path = write("csv", tmp_path, [ID, ID, 17], flux, flux_error)
    path.write_text(path.read_text() + '18,4545469030156206081,251.5,-51.5,"(1.0, 2.0)","(1.0, 2.0)"\n')
    (batch,) = open_spectra(str(path)).read()
    assert batch.columns["source_id"].tolist() == [ID, 17]
    assert batch.rejected == [Reject(1, ID, "repeated source_id"), Reject(3, 18, "flux: 2 numbers, not 343")]


@pytest.mark.parametrize("kind", ["csv", "ecsv", "fits", "vot"])
def test_a_row_for_each_sample_is_refused_with_advice(kind: str, tmp_path: Path) -> None:
    path = datalink_file(kind, tmp_path, "XP_SAMPLED")
    with pytest.raises(UserError, match=r"one sample in each row; download XP_CONTINUOUS or XP_SAMPLED with .* RAW"):
        list(open_spectra(str(path)).read(0, None))


@pytest.mark.parametrize("kind", ["parquet", "fits", "xml", "ecsv"])
@pytest.mark.parametrize("stage", ["corrected", "dereddened", "features"])
def test_spectra_that_were_processed_are_not_processed_again(stage: Stage, kind: str, tmp_path: Path) -> None:
    out = tmp_path / f"spectra.{kind}"
    settings = PreprocessSettings()
    write_spectra(str(datalink_file("csv", tmp_path)), out, Stage.CALIBRATED, settings, NO_COMPANIONS)
    assert len(xpfeh.predict(str(out))) == 1
    if stage == "corrected":  # our correction tables are made up: what it would write, without them
        with patch.object(spectra, "correct_spectra", spectra.sample_spectra):
            write_spectra(str(tmp_path / "star.csv"), out, Stage(stage), settings, NO_COMPANIONS)
    else:
        write_spectra(str(tmp_path / "star.csv"), out, Stage(stage), settings, NO_COMPANIONS)
    with pytest.raises(UserError, match=f"holds {stage}.*; give .* that they were made from"):
        xpfeh.predict(str(out))


def test_samples_of_a_later_release_are_refused(samples: Table, tmp_path: Path) -> None:
    path = write("csv", tmp_path, [ID], *(np.asarray(samples[name])[None] for name in ("flux", "flux_error")))
    path.write_text(f"# RELEASE: Gaia DR4\n{path.read_text()}")
    file = open_spectra(str(path))
    with pytest.raises(UserError, match="sampled spectra of Gaia DR4 are not supported; use coefficients"):
        list(file.read(0, None))
    with pytest.raises(UserError, match="Gaia DR4"):
        _ = open_spectra(str(path)).releases


def test_coefficients_take_precedence_over_samples(samples: Table, tmp_path: Path) -> None:
    table = Table.read(datalink_file("fits", tmp_path))
    for name in ("flux", "flux_error"):
        table[name] = np.asarray(samples[name])[None]
    table.write(path := tmp_path / "both.fits")
    (batch,) = open_spectra(str(path)).read(0, None)
    assert {"bp_coefficients", "rp_coefficients"} < set(batch.columns)


def test_a_library_that_has_source_ids_is_still_a_library(tmp_path: Path) -> None:
    table = Table({"gaiaedr3_source_id": [ID], "source_id": [ID], "flux": np.ones((1, 343)), "medflux": [1e-16]})
    table["flux_error"] = table["flux"]
    table.write(path := tmp_path / "library.fits")
    with pytest.raises(UserError, match="not of the apogee-library layout, these columns are missing: alpha_m"):
        list(open_spectra(str(path)).read(0, None))


@pytest.mark.parametrize(
    ("continuous", "sampled"),
    [
        ("XP_CONTINUOUS_RAW.csv", "XP_SAMPLED_RAW.csv"),
        ("XpContinuousMeanSpectrum_000000-003111.csv.gz", "XpSampledMeanSpectrum_000000-003111.csv.gz"),
    ],
)
def test_a_folder_of_both_products_counts_each_star_once(continuous: str, sampled: str, tmp_path: Path) -> None:
    def found() -> list[list[str]]:
        return [[Path(file).name for file in find_files(f"{tmp_path}{glob}")] for glob in ("", "/*.csv*")]

    for name in (sampled, "readme.txt", "MCMC_MSC-Gaia DR3 17.csv"):
        (tmp_path / name).touch()
    assert found() == [[sampled]] * 2
    (tmp_path / continuous).touch()
    assert found() == [[continuous]] * 2
    assert find_files(str(tmp_path / sampled)) == [str(tmp_path / sampled)]
