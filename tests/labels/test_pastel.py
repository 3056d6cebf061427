"""Tables here are made up except one: the real PASTEL, where it is next to the repository."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.table import MaskedColumn, Table
from xpfeh.errors import UserError
from xpfeh.labels.compilation import to_labels
from xpfeh.labels.crossmatch import crossmatch
from xpfeh.labels.pastel import read_pastel

from tests.genuine import shared

ONE_STAR = {"source_id": np.array([1]), "ra": np.array([0.0]), "dec": np.array([0.0])}
VIZIER = """#
#   VizieR Astronomical Server, made up
#Name: B/pastel/pastel

ID\tRAJ2000\tDEJ2000\tTeff\tlogg\t[Fe/H]\tbibcode
 \t"h:m:s"\t"d:m:s"\tK\t\t\t
-----\t---\t---\t---\t----\t----\t---
HD 1\t00 00 01.0\t-00 30 00.0\t5000\t2.0\t-1.00\t1990A&A...1....1X
HD 1\t00 00 01.0\t-00 30 00.0\t5000\t2.4\t-1.60\t2005A&A...1....1X
HD 1\t00 00 01.0\t-00 30 00.0\t5000\t\t-1.10\t2005ApJ...1....1X
HD 1\t00 00 01.0\t-00 30 00.0\t5000\t2.0\t-9.99\t2010A&A...1....1X
HD 1\t00 00 01.0\t-00 30 00.0\t5000\t2.0\t-3.00\t1986A&A...1....1X
HD 2\t12 30 00.0\t+10 30 00.0\t6000\t4.0\t\t2001A&A...1....1X
HD 3\t12 30 00.0\t+10 30 00.5\t6000\t\t+0.20\t
HD 4\t\t\t6000\t\t+0.20\t2001A&A...1....1X
"""


@pytest.fixture
def vizier(tmp_path: Path) -> Path:
    path = tmp_path / "pastel.tsv"
    path.write_text(VIZIER)
    return path


def test_rows_of_a_star_become_their_median(vizier: Path) -> None:
    pastel = read_pastel(vizier)
    assert list(pastel.counts.values()) == [8, 7, 6, 5, 4, 1, 2]
    assert pastel.counts["published after 1986, or in an unknown year"] == 4
    assert pastel.counts["of these in an unknown year"] == 1
    first, third = pastel.stars.rows(named=True)
    assert (first["name"], first["n_rows"]) == ("HD 1", 3)
    assert first["ra"] == pytest.approx(15 / 3600)
    assert first["dec"] == pytest.approx(-0.5)
    assert first["feh"] == -1.1
    assert first["feh_err"] == pytest.approx(np.std([-1.0, -1.6, -1.1], ddof=1))
    assert first["logg"] == pytest.approx(2.2)
    position = {"ra": pytest.approx(187.5), "dec": pytest.approx(10.5 + 0.5 / 3600)}
    assert third == {"name": "HD 3", **position, "feh": 0.2, "feh_err": None, "logg": None, "n_rows": 1}


def test_rows_without_names_are_one_star_where_they_are_close(tmp_path: Path) -> None:
    """Across right ascension 0 and at the pole; 3 arcsec apart is another star."""
    path = tmp_path / "made_up.csv"
    path.write_text(
        "RA,DEC,FEH\n359.9999,0,-1.0\n40,89.9999,-2.0\n0.0001,0,-1.2\n41,89.9999,-2.2\n0.0001,0.00083,0.1\n"
    )
    stars = read_pastel(path).stars
    assert stars["n_rows"].to_list() == [2, 2, 1]
    np.testing.assert_allclose(stars["feh"], [-1.1, -2.1, 0.1])
    assert stars["ra"].to_list() == [359.9999, 40.0, 0.0001]


def test_every_format_reads_alike(tmp_path: Path) -> None:
    ra, dec, feh = [10.25, 200.5], [-5.0, 60.0], [-1.5, -2.25]
    table = Table({"_RAJ2000": ra, "_DEJ2000": dec, "logg": MaskedColumn([1.0, 0.0], mask=[False, True])})
    table["Teff"] = np.array([5000, 4000], np.int16)
    table["bibcode"] = ["1999A&A...1....1X", "2000A&A...1....1X"]
    table["__Fe_H_"] = feh
    table.write(tmp_path / "a.fits")
    table.write(tmp_path / "a.vot", format="votable")
    table.rename_column("__Fe_H_", "[Fe/H]")
    table.write(tmp_path / "a.csv")
    for name in ("a.fits", "a.vot", "a.csv"):
        stars = read_pastel(tmp_path / name).stars
        assert stars["ra"].to_list() == ra, name
        assert stars["dec"].to_list() == dec
        assert stars["feh"].to_list() == feh
        assert stars["logg"].to_list() == [1.0, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RA,DEC\n1,1\n", r"no column for \[Fe/H\].*this has: RA, DEC"),
        ("Fe,FEH\n1,1\n", "no column for RA and Dec"),
        ("RA,DEC,FEH\n1,1,good\n", "feh of row 0 is 'good'"),
        ("RA,DEC,FEH\n1,1,0\n400,1,0\n", "ra of row 1 is 400, outside 0 to 360"),
        ("RA,DEC,FEH\n1,-91,0\n", "outside -90 to 90"),
        ("RA,DEC,FEH\nnorth,1,0\n", "ra of row 0 is 'north', neither degrees nor sexagesimal"),
        ("RA,DEC,FEH\n1,1,0\n25:00:00,1,0\n", "ra of row 1 is '25:00:00', neither"),
        ("RA,DEC,FEH\n1,5 pc,0\n", "dec of row 0 is '5 pc', neither"),
        ("RA,DEC,FEH,year\n1,1,0,late\n", "year of row 0 is 'late'"),
        ("", "is empty"),
    ],
)
def test_a_wrong_table_gets_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "made_up.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_pastel(path)


def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_pastel(tmp_path / "none.fits")
    for name, message in {"a.fits": "not a FITS file", "a.vot": "not a VOTable", "a.doc": "not a kind of"}.items():
        (tmp_path / name).write_bytes(b"no table")
        with pytest.raises(UserError, match=message):
            read_pastel(tmp_path / name)


def test_a_table_of_no_rows_has_no_stars(tmp_path: Path) -> None:
    path = tmp_path / "made_up.csv"
    path.write_text("RA,DEC,FEH\n")
    pastel = read_pastel(path)
    assert pastel.stars.height == pastel.counts["rows"] == 0
    assert crossmatch(pastel.stars["ra"].to_numpy(), pastel.stars["dec"].to_numpy(), ONE_STAR).in_gaia.size == 0


def test_the_real_catalogue() -> None:
    pastel = read_pastel(shared("pastel/pastel_v1.2.fits"))
    assert pastel.counts["rows"] == pastel.counts["with [Fe/H]"] == 17_922
    assert pastel.counts["stars"] == 17_913  # nine have [Fe/H] above 1.5
    assert pastel.stars["feh"].min() == pytest.approx(-4.7)
    assert (pastel.stars["n_rows"] == 1).all()  # merged by its author; nowhere two stars within 2 arcsec
    assert pastel.stars["ra"].max() > 359  # degrees, not hours
    hd140283 = pastel.stars.filter((pl.col("ra") - 235.76).abs() < 0.02, (pl.col("dec") + 10.93).abs() < 0.02)
    assert hd140283["feh"].to_list() == pytest.approx([-2.45], abs=0.1)

    rng = np.random.default_rng(2)
    shuffled = rng.permutation(17_913)[:5000]
    source_id = rng.permutation(5000) + 2**60
    stars = {"source_id": source_id, **{name: pastel.stars[name].to_numpy()[shuffled] for name in ("ra", "dec")}}
    match = crossmatch(pastel.stars["ra"].to_numpy(), pastel.stars["dec"].to_numpy(), stars)
    assert match.in_gaia.size == 5000
    assert not match.ambiguous.any()
    labels = to_labels(pastel.stars, match, source_id).sort("source_id")
    want = pl.DataFrame({"source_id": source_id, "feh": pastel.stars["feh"].to_numpy()[shuffled]}).sort("source_id")
    assert labels.select("source_id", "feh").equals(want)
