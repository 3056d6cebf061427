"""Ray Data on Gaia's own files: a folder of bulk files made of a genuine star, good rows and broken ones."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from xpfeh.cluster.run_plan import run_plan
from xpfeh.columns import to_arrays
from xpfeh.commands.ingest import ingest, make_work, plan_features
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.verify import verify
from xpfeh.errors import UserError
from xpfeh.flags import Flag
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import gaia_files
from xpfeh.sources.companions import PHOTOMETRY
from xpfeh.sources.reader import CompanionFiles

from tests.genuine import datalink_file
from tests.sources.test_gaia_files import bulk, changed, edited

pytestmark = pytest.mark.usefixtures("ray_cluster")

ID = 5937083312263887616


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> pd.Series:
    return pd.read_csv(datalink_file("csv", tmp_path_factory.mktemp("star")), dtype=str).iloc[0]


@pytest.fixture(scope="module")
def folder(row: pd.Series, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gaia")
    broken = edited(row, "bp_coefficients", lambda v: v[:-1])
    no_bp = {name: "null" for name in row.index if name.startswith("bp_")}
    bulk(path / "a.csv.gz", [row, changed(broken, source_id=str(ID + 1)), changed(row, source_id=str(ID + 2))])
    bulk(path / "b.csv.gz", [changed(row, source_id=str(ID + 3)), changed(row, source_id=str(ID + 4), **no_bp)])
    return path


def test_a_bulk_folder_becomes_features(folder: Path, tmp_path: Path) -> None:
    stars = {"source_id": [ID, ID + 2], "ra": [249.6] * 2, "dec": [-52.0] * 2, "phot_g_mean_mag": [12.0] * 2}
    stars |= {"phot_bp_mean_mag": [12.7] * 2, "phot_rp_mean_mag": [11.2] * 2}
    pl.DataFrame(stars).write_parquet(tmp_path / "gaia_source.parquet")
    pl.DataFrame({"source_id": [ID], "r_med_geo": [3000.0]}).write_parquet(tmp_path / "distances.parquet")
    companions = CompanionFiles((str(tmp_path / "gaia_source.parquet"),), (str(tmp_path / "distances.parquet"),))
    with pytest.warns(UserWarning, match=r"^distances: 1 of 4 stars is in .*distances\.parquet; the others"):
        records = ingest([str(folder)], tmp_path / "features", PreprocessSettings(), companions)
    assert [(r.rows_read, r.rows_written) for r in records] == [(3, 2), (2, 2)]
    assert [r.matched for r in records] == [{"photometry": 2, "distances": 1}, {"photometry": 0, "distances": 0}]
    assert records[0].rejected == {"bp_coefficients: 54 numbers, not 55": 1}
    features = to_arrays(Dataset.at(tmp_path / "features").read())
    assert features["source_id"].tolist() == [ID, ID + 2, ID + 3, ID + 4]
    flagged = {flag: ((features["flags"] & np.uint32(flag)) > 0).tolist() for flag in Flag}
    assert flagged[Flag.NO_PHOTOMETRY] == [False, False, True, True]
    assert flagged[Flag.MISSING_BAND] == [False, False, False, True]
    assert flagged[Flag.CUT_NOT_EVALUATED] == [False, False, False, True]
    assert np.isfinite(features["m_g"]).tolist() == [True, False, False, False]
    np.testing.assert_array_equal(features["flux"][0], features["flux"][1])
    assert np.isnan(features["flux"][3]).all()


@pytest.mark.slow
def test_photometry_of_other_stars_is_an_error_at_the_end(folder: Path, tmp_path: Path) -> None:
    """The features exist, flagged; and the same call reports it again, without making them again."""
    columns = {name: [1.0] for name in PHOTOMETRY}
    pl.DataFrame({"source_id": [7], **columns}).write_parquet(tmp_path / "other.parquet")
    companions = CompanionFiles((str(tmp_path / "other.parquet"),))
    for _ in range(2):
        with pytest.raises(UserError, match=r"^photometry: none of 4 stars is in .*other\.parquet; are these the same"):
            ingest([str(folder)], tmp_path / "features", PreprocessSettings(), companions)
    features = to_arrays(Dataset.at(tmp_path / "features").read())
    assert ((features["flags"] & np.uint32(Flag.NO_PHOTOMETRY)) > 0).all()


def test_a_file_that_breaks_off_stops_the_run_with_its_line(
    folder: Path, row: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in folder.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    whole = bulk(source / "c.csv.gz", [changed(row, source_id=str(i)) for i in range(60)]).read_bytes()
    (source / "c.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"c\.csv\.gz: cannot be read to its end"):
        ingest([str(source)], tmp_path / "features", PreprocessSettings())
    assert not (tmp_path / "features").exists()
    # Found only while the parts are made: the others are finished, and the line is the same.
    monkeypatch.setattr(gaia_files.GaiaFile, "releases", ("dr3",))
    with pytest.raises(UserError, match=r"c\.csv\.gz: cannot be read to its end.*the other parts are done"):
        ingest([str(source)], tmp_path / "features", PreprocessSettings())
    with pytest.raises(UserError, match="1 of 3 parts are missing"):
        Dataset.at(tmp_path / "features").read()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda path: path.unlink(), r"b\.csv\.gz: no such file"),
        (lambda path: path.write_bytes(path.read_bytes() * 2), r"b\.csv\.gz: has changed since planned"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), r"b\.csv\.gz: cannot be read to its end"),
    ],
    ids=["vanishes", "grows", "shrinks"],
)
@pytest.mark.slow  # three runs on Ray
def test_a_file_that_is_not_what_was_planned(
    folder: Path, tmp_path: Path, fault: Callable[[Path], object], message: str
) -> None:
    source = Path(shutil.copytree(folder, tmp_path / "source"))
    settings, out = PreprocessSettings(), tmp_path / "features"
    plan = plan_features([str(source)], settings)
    fault(source / "b.csv.gz")
    with pytest.raises(UserError, match=f"{message}.*the other parts are done"):
        run_plan(out, plan, partial(make_work, settings))
    assert [failure.shard for failure in Dataset.at(out).failures()] == ["part-00001"]
    assert [record.shard for record in Dataset.at(out).records()] == ["part-00000"]
    if (source / "b.csv.gz").exists() and "changed" in message:
        with pytest.raises(UserError, match=r"holds another run: .*b\.csv\.gz has changed"):
            ingest([str(source)], out, settings)
    shutil.copy(folder / "b.csv.gz", source)
    ingest([str(source)], out, settings)
    account = verify(out)
    assert (account.problems, account.requested, account.written, account.rejected) == ([], 5, 4, 1)


def test_two_releases_are_not_mixed(folder: Path, row: pd.Series, tmp_path: Path) -> None:
    dr4 = row
    for name, count in (("coefficients", 51), ("coefficient_errors", 51), ("coefficient_correlations", 51 * 50 // 2)):
        dr4 = edited(dr4, f"bp_{name}", lambda v, n=count: v[:n])
    bulk(tmp_path / "dr4.csv.gz", [dr4])
    (tmp_path / "dr3.csv.gz").write_bytes((folder / "a.csv.gz").read_bytes())
    with pytest.raises(
        UserError, match=r"dr4.csv.gz: holds DR4 spectra, but the settings are for DR3.*each release separately"
    ):
        ingest([str(tmp_path)], tmp_path / "features", PreprocessSettings())
    with pytest.raises(UserError, match=r"dr3.csv.gz: holds DR3 spectra, but the settings are for DR4"):
        ingest([str(tmp_path / "dr3.csv.gz")], tmp_path / "features", PreprocessSettings(release="dr4"))
    with pytest.raises(UserError, match="no bases for Gaia DR4"):
        ingest([str(tmp_path / "dr4.csv.gz")], tmp_path / "features", PreprocessSettings(release="dr4"))
    assert not (tmp_path / "features").exists()
