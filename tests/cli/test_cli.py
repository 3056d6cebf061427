"""Bad input at the command line: one clear line, exit code 2, nothing left behind."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import requests
from astropy.table import Table
from xpfeh.cli.main import main
from xpfeh.dataset.dataset import Dataset
from xpfeh.sources.library import NAME

from tests.genuine import datalink_file


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail as a user's mistake, and return its one line."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(a) for a in arguments])
    assert exit_info.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("xpfeh: ")
    return lines[0]


def test_help_is_a_tour() -> None:
    text = subprocess.run([sys.executable, "-m", "xpfeh", "--help"], capture_output=True, text=True, check=True).stdout
    for command in (
        "ingest",
        "train",
        "tune",
        "compare",
        "promote",
        "rollback",
        "catalog",
        "predict",
        "validate",
        "serve",
    ):
        assert re.search(rf"\b{command}\b", text)


def test_help_starts_without_the_heavy_libraries() -> None:
    script = "import sys, xpfeh.cli.main; print(sorted({'ray', 'mlflow', 'keras', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_missing_spectra(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "features"
    assert "no such file" in fails(capsys, "ingest", tmp_path / "none.fits", "--out", out)
    assert not out.exists()


def test_spectra_of_another_layout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Table({"a": [1]}).write(tmp_path / "other.fits")
    told = fails(capsys, "ingest", tmp_path / "other.fits", "--out", tmp_path / "features")
    assert "columns are missing" in told
    assert not (tmp_path / "features").exists()


def test_an_unknown_setting(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = fails(capsys, "ingest", NAME, "--out", tmp_path / "features", "--set", "pixels=60")
    assert "n_pixels" in told


def test_an_empty_selection(capsys: pytest.CaptureFixture[str], features_dir: Path, tmp_path: Path) -> None:

    ids = Dataset.at(features_dir).read(["source_id"])["source_id"].to_pylist()
    pl.DataFrame({"source_id": ids, "feh": [0.0] * len(ids), "logg": [4.5] * len(ids)}).write_csv(
        tmp_path / "dwarfs.csv"
    )
    arguments = ("--features", features_dir, "--labels", tmp_path / "dwarfs.csv", "--out", tmp_path / "model")
    assert "no star passes the cuts" in fails(capsys, "train", *arguments)
    assert not (tmp_path / "model").exists()


def test_labels_without_source_id(capsys: pytest.CaptureFixture[str], features_dir: Path, tmp_path: Path) -> None:
    pl.DataFrame({"id": [1], "feh": [0.0]}).write_csv(tmp_path / "labels.csv")
    arguments = ("--features", features_dir, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "model")
    assert "source_id" in fails(capsys, "train", *arguments)


def test_a_model_that_is_none(capsys: pytest.CaptureFixture[str], features_dir: Path, tmp_path: Path) -> None:
    arguments = ("--features", features_dir, "--model", tmp_path, "--out", tmp_path / "catalog")
    assert "not a model bundle" in fails(capsys, "catalog", "run", *arguments)
    assert not (tmp_path / "catalog").exists()


@pytest.mark.usefixtures("mlflow_store")
def test_a_registry_without_a_champion(capsys: pytest.CaptureFixture[str], features_dir: Path, tmp_path: Path) -> None:
    told = fails(capsys, "catalog", "run", "--features", features_dir, "--out", tmp_path / "catalog")
    assert "promote a run first" in told
    assert "no experiment" in fails(capsys, "compare", "nonesuch")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".fits"])
def test_predict_writes_every_format(bundle: Path, tmp_path: Path, suffix: str) -> None:
    from astropy.io import fits
    from xpfeh.sources.library import library_path

    Table(fits.getdata(library_path(NAME), 1)[:20]).write(tmp_path / "stars.fits")
    out = tmp_path / f"answer{suffix}"
    with pytest.raises(SystemExit) as exit_info:
        main(["predict", str(tmp_path / "stars.fits"), "--model", str(bundle), "--out", str(out)])
    assert exit_info.value.code == 0
    read = {".parquet": pl.read_parquet, ".csv": pl.read_csv}.get(suffix)
    ids = read(out)["source_id"].to_list() if read else Table.read(out)["source_id"].tolist()
    expected = fits.getdata(tmp_path / "stars.fits", 1)["gaiaedr3_source_id"].tolist()
    assert sorted(ids) == sorted(set(expected))
    assert [p.name for p in tmp_path.iterdir() if "tmp" in p.name] == []


def test_predict_refuses_a_format_it_cannot_write(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path
) -> None:
    assert ".parquet, .fits, .csv" in fails(capsys, "predict", NAME, "--model", bundle, "--out", tmp_path / "a.xls")


@pytest.mark.usefixtures("mlflow_store")
def test_train_compare_validate(
    capsys: pytest.CaptureFixture[str], features_dir: Path, labels_file: Path, tmp_path: Path
) -> None:
    data = ["--features", str(features_dir), "--labels", str(labels_file)]
    with pytest.raises(SystemExit):
        main(["train", *data, "--out", str(tmp_path / "model"), "--set", "steps=500"])
    trained = capsys.readouterr().out
    assert "stars left" in trained
    with pytest.raises(SystemExit):
        main(["compare"])
    assert re.search(r"run (\w{8})", trained)[1] in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["validate", *data, "--model", str(tmp_path / "model"), "--out", str(tmp_path / "report")])
    assert "held-out stars" in capsys.readouterr().out
    assert (tmp_path / "report" / "metrics.json").is_file()


def test_flags_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["flags"])
    assert "NOT_GIANT" in capsys.readouterr().out


def test_without_a_network_fetch_says_what_to_put_where(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path))
    monkeypatch.setattr("requests.sessions.Session.request", _no_network)
    told = fails(capsys, "fetch", "sfd")
    assert "SFD_dust_4096_ngp.fits" in told
    assert str(tmp_path / "sfd") in told


def test_the_full_dust_map_that_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xpfeh.xp import dust

    dust._load_full.cache_clear()
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path))
    told = fails(capsys, "ingest", NAME, "--out", tmp_path / "features", "--set", "dust_map=sfd")
    assert "xpfeh fetch sfd" in told
    assert not (tmp_path / "features").exists()


def _no_network(*arguments: object, **options: object) -> None:
    raise requests.ConnectionError("no network")


@pytest.mark.parametrize("suffix", [".parquet", ".fits"])
def test_spectra_are_those_of_gaiaxpy(capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str) -> None:
    import gaiaxpy

    source, out = datalink_file("csv", tmp_path), tmp_path / f"spectra{suffix}"
    with pytest.raises(SystemExit) as exit_info:
        main(["spectra", str(source), "--out", str(out)])
    assert exit_info.value.code == 0
    assert "1 stars written, 0 rows rejected" in capsys.readouterr().out
    theirs, _ = gaiaxpy.calibrate(str(source), save_file=False)
    ours = pl.read_parquet(out)["flux"][0].to_numpy() if suffix == ".parquet" else Table.read(out)["flux"][0]
    np.testing.assert_allclose(ours, theirs["flux"][0], rtol=1e-10)


def test_spectra_at_every_stage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = str(datalink_file("csv", tmp_path))
    columns = {}
    for stage in ("calibrated", "dereddened", "features"):
        with pytest.raises(SystemExit):
            main(["spectra", source, "--out", str(tmp_path / f"{stage}.parquet"), "--stage", stage])
        columns[stage] = pl.read_parquet(tmp_path / f"{stage}.parquet")
    assert (columns["dereddened"]["flux"][0] >= columns["calibrated"]["flux"][0]).mean() > 0.95
    assert columns["features"]["flux"][0].len() == 60
    capsys.readouterr()
    assert "calibrated, corrected, dereddened, features" in fails(
        capsys, "spectra", source, "--out", tmp_path / "x.fits", "--stage", "raw"
    )


def test_fetch_says_what_a_person_must_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path))
    assert "untruc_interC2_CM.csv" in fails(capsys, "fetch", "corrections")
    assert "saga.sci.hokudai.ac.jp" in fails(capsys, "fetch", "saga")
    assert "--ids, --adql, --cone, --bulk" in fails(capsys, "fetch", "xp", "--out", tmp_path / "xp")
