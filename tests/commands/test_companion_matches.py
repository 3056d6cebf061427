"""Photometry and distances of other stars: an error if none match, a warning if few do."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xpfeh
from astropy_healpix import HEALPix
from xpfeh.cli.main import main
from xpfeh.commands.predict import predict_file, sensitivity_file
from xpfeh.errors import UserError
from xpfeh.sources.reader import CompanionFiles

from tests.genuine import datalink_file
from tests.sources.test_gaia_files import bulk, changed

ID = 5_937_083_312_263_887_616
NAMES = ("source_id", "ra", "dec", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")


@pytest.fixture(scope="module")
def five_stars(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("gaia")
    row = pd.read_csv(datalink_file("csv", folder), dtype=str).iloc[0]
    return str(bulk(folder / "stars.csv.gz", [changed(row, source_id=str(ID + i)) for i in range(5)]))


def position(source_id: int) -> tuple[float, float]:
    lon, lat = HEALPix(4096, order="nested").healpix_to_lonlat(source_id >> 35)
    return lon.deg, lat.deg


def photometry(path: Path, ids: list[int]) -> str:
    rows = [(i, *position(i), 12.0, 12.7, 11.2) for i in ids]
    pl.DataFrame(rows, schema=list(NAMES), orient="row").write_csv(path)
    return str(path)


def distances(path: Path, ids: list[int]) -> str:
    pl.DataFrame({"Source": ids, "rgeo": [900.0] * len(ids)}).write_csv(path)
    return str(path)


@pytest.mark.parametrize("command", ["spectra", "predict", "sensitivity"])
def test_a_file_of_other_stars_is_refused_and_nothing_is_written(
    five_stars: str, bundle: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gaia, out = photometry(tmp_path / "gaia.csv", [1, 2]), tmp_path / "new" / "out.parquet"
    model = [] if command == "spectra" else ["--model", str(bundle)]
    with pytest.raises(SystemExit) as exit_:
        main([command, five_stars, "--photometry", gaia, "--out", str(out), *model])
    assert exit_.value.code == 2
    same = "are these the same stars, from the same data release?"
    assert capsys.readouterr().err == f"xpfeh: photometry: none of 5 stars is in {gaia}; {same}\n"
    assert not out.parent.exists()


def test_distances_of_other_stars_are_refused(five_stars: str, bundle: Path, tmp_path: Path) -> None:
    files = [distances(tmp_path / f"d{i}.csv", [i]) for i in (1, 2)]
    companions = CompanionFiles((photometry(tmp_path / "gaia.csv", [ID]),), tuple(files))
    for write in (predict_file, sensitivity_file):
        with pytest.raises(UserError, match=r"^distances: none of 5 stars is in 2 files \(the first is .*d1\.csv\)"):
            write(five_stars, bundle, tmp_path / "out.parquet", companions)
    with pytest.raises(UserError, match=r"^distances: none of 5 stars is in"):
        xpfeh.predict(five_stars, model=bundle, photometry=companions.photometry, distances=files)
    assert not (tmp_path / "out.parquet").exists()


def test_a_file_of_few_of_the_stars_gives_a_warning(
    five_stars: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.parquet"
    half = distances(tmp_path / "half.csv", [ID, ID + 1, ID + 2])
    few = photometry(tmp_path / "few.csv", [ID, ID + 3, 7])
    with pytest.raises(SystemExit) as exit_:
        main(["spectra", five_stars, "--photometry", few, "--distances", half, "--out", str(out)])
    assert exit_.value.code == 0
    line = f"photometry: 2 of 5 stars are in {few}; the others get colour and magnitude from their spectra"
    assert capsys.readouterr().err == f"xpfeh: warning: {line}\n"
    assert pl.read_parquet(out).height == 5


def test_python_warns(spectra: dict[str, np.ndarray], bundle: Path, tmp_path: Path) -> None:
    given = {name: spectra[name][:5] for name in ("source_id", "flux", "flux_error")}
    ids = given["source_id"].tolist()
    gaia = photometry(tmp_path / "gaia.csv", ids)
    assert len(xpfeh.predict(given, model=bundle, photometry=[gaia])) == 5
    with pytest.warns(UserWarning, match=r"^distances: 1 of 5 stars is in .*; the others have no distance") as warned:
        features = xpfeh.preprocess(given, photometry=[gaia], distances=[distances(tmp_path / "d.csv", ids[:1])])
    assert len(features) == 5
    assert warned[0].filename == __file__
    one = {name: values[5:6] for name, values in spectra.items() if name in given}
    with pytest.raises(UserError, match=r"^photometry: the one star is not in .*gaia\.csv; are these the same stars"):
        xpfeh.preprocess(one, photometry=[gaia])
