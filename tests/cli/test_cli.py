"""Commands as a user types them: what they print and write, and how they end; bad input is in `bad_input`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import requests
from astropy.io import fits
from astropy.table import Table
from xpfeh.cli.main import main
from xpfeh.cli.options import comparisons_of
from xpfeh.columns import made_by
from xpfeh.commands.promote import NotPromotedError
from xpfeh.errors import Notice
from xpfeh.experiments.gates import Gate
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


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".fits"])
def test_predict_writes_every_format(bundle: Path, tmp_path: Path, suffix: str) -> None:
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


@pytest.mark.parametrize("suffix", [".parquet", ".fits"])
def test_predict_by_another_dust_map_names_it(hint_bundle: Path, full_map: None, tmp_path: Path, suffix: str) -> None:
    source, out = datalink_file("csv", tmp_path), tmp_path / f"feh{suffix}"
    reddenings = []
    for options, used in ((["--dust-map", "sfd"], "sfd"), ([], "sfd-nside64")):
        with pytest.raises(SystemExit) as exit_info:
            main(["predict", str(source), "--model", str(hint_bundle), "--out", str(out), *options])
        assert exit_info.value.code == 0
        header = made_by(pq.read_schema(out)) if suffix == ".parquet" else {**fits.getheader(out, 1)}
        found = {name.lower(): value for name, value in header.items()}
        assert json.loads(found["settings"])["dust_map"] == used
        assert found["model"].startswith("hint-")
        assert "onnxruntime" in json.loads(found["versions"])
        assert found["cite"].startswith("Yang et al. 2025")
        reddenings.append((pl.read_parquet(out) if suffix == ".parquet" else Table.read(out))["EBV"][0])
    assert reddenings[0] != reddenings[1]


def test_predict_refuses_a_format_it_cannot_write(
    capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path
) -> None:
    assert ".parquet, .fits, .vot, .ecsv, .csv" in fails(
        capsys, "predict", NAME, "--model", bundle, "--out", tmp_path / "a.xls"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("mlflow_store")
def test_train_compare_validate(
    capsys: pytest.CaptureFixture[str], features_dir: Path, labels_file: Path, tmp_path: Path
) -> None:
    data = ["--features", str(features_dir), "--labels", str(labels_file)]
    with pytest.raises(SystemExit):
        main(["train", *data, "--out", str(tmp_path / "model"), "--recipe", "paper", "--set", "steps=500"])
    trained = capsys.readouterr().out
    assert "stars left" in trained
    with pytest.raises(SystemExit):
        main(["compare"])
    assert re.search(r"run (\w{8})", trained)[1] in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["validate", *data, "--model", str(tmp_path / "model"), "--out", str(tmp_path / "report")])
    assert "held-out stars" in capsys.readouterr().out
    assert (tmp_path / "report" / "metrics.json").is_file()


def test_cite_prints_bibtex(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cite"])
    printed = capsys.readouterr().out
    keys = re.findall(r"@\w+\{(\w+),\n", printed)
    assert keys == ["xpfeh", "Yang2025", "GaiaCollaboration2023", "DeAngeli2023"]
    assert printed.count("{") == printed.count("}")
    assert "Montegriffo, P. and others}" in printed


def test_flags_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["flags"])
    printed = capsys.readouterr().out
    assert re.search(r"NOT_GIANT\W+x\W", printed)
    assert "good: a giant with a sound spectrum" in printed


def test_without_a_network_fetch_says_what_to_put_where(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path))
    monkeypatch.setattr("requests.sessions.Session.request", _no_network)
    line = fails(capsys, "fetch", "sfd")
    assert "SFD_dust_4096_ngp.fits" in line
    assert str(tmp_path / "sfd") in line


def _no_network(*arguments: object, **options: object) -> None:
    raise requests.ConnectionError("no network")


@pytest.mark.parametrize("suffix", [".parquet", ".fits"])
def test_spectra_are_those_of_gaiaxpy(capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str) -> None:
    import gaiaxpy

    source, out = datalink_file("csv", tmp_path), tmp_path / f"spectra{suffix}"
    with pytest.raises(SystemExit) as exit_info:
        main(["spectra", str(source), "--out", str(out)])
    assert exit_info.value.code == 0
    assert "1 star written, 0 rejected -> " in capsys.readouterr().out
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
    assert columns["features"]["flux"][0].len() == 343
    capsys.readouterr()
    assert "calibrated, corrected, dereddened, features" in fails(
        capsys, "spectra", source, "--out", tmp_path / "x.fits", "--stage", "raw"
    )


def test_a_path_is_printed_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Rich would take brackets for colours, and words between colons for emoji."""
    source, out = datalink_file("csv", tmp_path), tmp_path / "run[red] :star:.parquet"
    with pytest.raises(SystemExit):
        main(["spectra", str(source), "--out", str(out)])
    assert f" -> {out}" in capsys.readouterr().out


def test_a_file_that_two_sources_name_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = datalink_file("csv", tmp_path)
    line = fails(capsys, "ingest", source, tmp_path / "*.csv", "--out", tmp_path / "features")
    assert f"{source}: given 2 times" in line
    assert not (tmp_path / "features").exists()


def test_a_demo_whose_model_fails_a_gate_exits_with_3(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object) -> None:
        raise NotPromotedError([Gate("bias: median, all", 0.3, -0.02, 0.02)])

    monkeypatch.setattr("xpfeh.commands.demo.run_demo", refused)
    with pytest.raises(SystemExit) as exit_info:
        main(["demo", "--out", str(tmp_path / "demo")])
    assert exit_info.value.code == 3
    output = capsys.readouterr().out
    assert "fails by 0.28" in output
    assert "not promoted: bias: median, all" in output


_SERVE = """
import contextlib, os, signal, sys, threading
from xpfeh.cli.main import main
from xpfeh.commands import serve

signal.signal(signal.SIGINT, signal.default_int_handler)  # if the tests run in a shell's background, it is ignored

@contextlib.contextmanager
def served(config, model):
    threading.Timer(1.0, os.kill, (os.getpid(), getattr(signal, sys.argv[1]))).start()
    try:
        yield "http://127.0.0.1:8000"
    finally:
        print("withdrawn")

serve.running_endpoint = served
main(["serve"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_stops_the_endpoint_in_order(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", _SERVE, name], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "withdrawn"


def test_the_catalogs_to_compare_with_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["references"])
    assert not stopped.value.code
    listed = capsys.readouterr().out
    assert "galah\nGALAH DR4" in listed
    assert "VizieR B/pastel" in listed
    assert listed.count("Download: ") == 10
    assert "any other name\nYour own table with source_id" in listed


def test_a_reference_without_cuts_is_reported() -> None:
    with pytest.warns(Notice) as notices:
        comparisons_of(["pastel=pastel.fits", "mine=stars.csv"], clusters=None)
    assert [str(each.message).partition(":")[0] for each in notices] == ["--reference mine"]
