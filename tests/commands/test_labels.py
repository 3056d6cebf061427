"""Labels from the literature for Gaia stars, on synthetic tables."""

from pathlib import Path

import polars as pl
import pytest
from xpfeh.commands.labels import write_labels
from xpfeh.errors import UserError
from xpfeh.labels.label_table import read_labels

from tests.genuine import shared


@pytest.fixture
def gaia(tmp_path: Path) -> Path:
    path = tmp_path / "gaia.parquet"
    rows = {"source_id": [11, 12, 13], "ra": [10.0, 20.0, 30.0], "dec": [1.0, 2.0, 3.0], "pmra": [None, 0.0, 0.0]}
    pl.DataFrame({**rows, "pmdec": [None, 0.0, 0.0]}, schema_overrides={"source_id": pl.Int64}).write_parquet(path)
    return path


def test_a_compilation_becomes_labels_of_gaia_stars(tmp_path: Path, gaia: Path) -> None:
    table = tmp_path / "pastel.csv"
    table.write_text(
        "name,ra,dec,feh,logg\nA,10.0,1.0,-1.0,2.0\nA,10.0,1.0,-1.2,2.1\nB,20.0,2.0,-2.0,1.0\nC,99,9,0,1\n"
    )
    counts = write_labels("pastel", table, gaia, tmp_path / "labels.parquet")
    assert counts["matched with Gaia"] == 2
    labels = read_labels(tmp_path / "labels.parquet")
    assert labels.source_id.tolist() == [11, 12]
    assert labels.feh.tolist() == [-1.1, -2.0]


def test_gaia_stars_of_vizier(tmp_path: Path) -> None:
    (tmp_path / "pastel.csv").write_text("name,ra,dec,feh\nA,10.0,1.0,-1.0\n")
    gaia = tmp_path / "I355.tsv"
    gaia.write_text(
        "# VizieR\nSource;RA_ICRS;DE_ICRS;pmRA;pmDE\n ;deg;deg;mas/yr;mas/yr\n---;---;---;---;---\n11;10;1;0;0\n"
    )
    assert write_labels("pastel", tmp_path / "pastel.csv", gaia, tmp_path / "labels.parquet")["matched with Gaia"] == 1


def test_positions_of_gaia_stars_at_j2000_are_not_moved_back(tmp_path: Path) -> None:
    """VizieR's RAJ2000 of a Gaia star is its position in 2000; its proper motion here is 16 arcsec in 16 years."""
    (tmp_path / "pastel.csv").write_text("name,ra,dec,feh\nA,10.0,1.0,-1.0\n")
    (tmp_path / "gaia.csv").write_text("Source,RAJ2000,DEJ2000,pmRA,pmDE\n11,10,1,0,1000\n")
    counts = write_labels("pastel", tmp_path / "pastel.csv", tmp_path / "gaia.csv", tmp_path / "labels.parquet")
    assert counts["matched with Gaia"] == 1


def test_a_test_sample_leaves_the_training_stars_out(tmp_path: Path, gaia: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("name,ra,dec,feh\nA,10.0,1.0,-1.0\nB,20.0,2.0,-2.0\n")
    write_labels("pastel", table, gaia, tmp_path / "train.parquet")
    table.write_text("name,ra,dec,feh\nB,20.0,2.0,-2.1\nC,30.0,3.0,-3.0\n")
    counts = write_labels("saga", table, gaia, tmp_path / "test.parquet", without=tmp_path / "train.parquet")
    assert counts["not among the stars to leave out"] == 1
    assert read_labels(tmp_path / "test.parquet").source_id.tolist() == [13]
    with pytest.raises(UserError, match="no stars left"):
        write_labels("saga", table, _elsewhere(tmp_path), tmp_path / "none.parquet")


def test_jinabase_with_limits(tmp_path: Path, gaia: Path) -> None:
    table = tmp_path / "jinabase.tsv"
    table.write_text("Name\tRA\tDEC\tFe/H\nA\t00:40:00\t+01:00:00\t-3.5\nB\t01:20:00\t+02:00:00\t<-4.0\n")
    assert write_labels("jinabase", table, gaia, tmp_path / "labels.parquet")["[Fe/H] not a limit"] == 1
    labels = read_labels(tmp_path / "labels.parquet")
    assert (labels.source_id.tolist(), labels.feh.tolist(), labels.reference.tolist()) == ([11], [-3.5], ["JINAbase"])


def _elsewhere(folder: Path) -> Path:
    path = folder / "elsewhere.parquet"
    pl.DataFrame({"source_id": [1], "ra": [200.0], "dec": [-80.0]}).write_parquet(path)
    return path


def test_the_real_pastel_table(tmp_path: Path) -> None:
    counts = write_labels("pastel", shared("pastel/pastel_v1.2.fits"), _library(tmp_path), tmp_path / "labels.parquet")
    assert counts["rows"] == 17_922
    assert counts["matched with Gaia"] > 20


def _library(folder: Path) -> Path:
    """Positions of the library's real stars, as a table of Gaia stars."""
    from xpfeh.sources.library import NAME, library_path, read_spectra

    stars = read_spectra(library_path(NAME), 0, 39_851)
    path = folder / "library.parquet"
    pl.DataFrame({name: stars[name] for name in ("source_id", "ra", "dec")}).write_parquet(path)
    return path
