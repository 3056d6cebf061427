"""What a user installs: the wheel alone, in its own environment."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.table import Table
from xpfeh.cli.main import main
from xpfeh.sources.library import NAME, library_path

ROOT = Path(__file__).parents[1]


def test_type_hints_are_shipped() -> None:
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["xpfeh"]
    assert "py.typed" in shipped
    assert (ROOT / "platform" / "xpfeh" / "py.typed").exists()


@pytest.mark.slow
def test_the_wheel_alone_predicts_30_stars_and_reports_what_it_lacks(tmp_path: Path) -> None:
    Table(fits.getdata(library_path(NAME), 1)[:30]).write(tmp_path / "stars.fits")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT], check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("xpfeh-*.whl")
    shipped = zipfile.ZipFile(wheel)
    assert "xpfeh/py.typed" in shipped.namelist()
    assert shipped.getinfo("xpfeh/serving/haproxy.sh").external_attr >> 16 & 0o111  # pip keeps it executable
    # Weights to train on, 2.5 MB; nobody predicts by them.
    assert not [name for name in shipped.namelist() if name.endswith(".h5")]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "empty"], check=True)
    there = tmp_path / "empty" / "bin"
    constraints = str(ROOT / "constraints.txt")
    subprocess.run([there / "pip", "install", "-q", "-c", constraints, wheel], check=True, capture_output=True)

    def run(command: str) -> subprocess.CompletedProcess[str]:
        words = [there / "xpfeh", *command.split()]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run("predict stars.fits --out feh.csv")
    assert (done.returncode, "30 stars: " in done.stdout) == (0, True), done.stderr
    with pytest.raises(SystemExit):
        main(["predict", str(tmp_path / "stars.fits"), "--out", str(tmp_path / "here.csv")])
    assert (tmp_path / "feh.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()

    for command, extra in (("ingest apogee-library --out a", "cluster"), ("demo", "demo"), ("serve", "serve"),
                           ("predict stars.fits --model models:/xpfeh@champion --out b.csv", "train")):  # fmt: skip
        done = run(command)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert f"which is not installed: pip install 'xpfeh[{extra}]'" in done.stderr
