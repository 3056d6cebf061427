"""Exports here are made up; the names of stars are real, their values are not."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.errors import UserError
from xpfeh.labels.crossmatch import without_common
from xpfeh.labels.pastel import read_pastel
from xpfeh.labels.saga import read_saga

EXPORT = """Object\tReference\tRA\tDecl\tTeff\tlog g\t[Fe/H]\td(Fe)\t[C/Fe]
HE0107-5240\tChristlieb+ Müller 2004\t01:09:29.1\t-52:24:34\t5100\t2.20\t-5.20+-0.2\t0.2\t3.7
HE0107-5240\tAoki+ 2010\t01:09:29.1\t-52:24:34\t5100\t2.40\t-5.60\t\t3.7
CS22892-052\tSneden+ 2003\t22:17:01.6\t-16:39:27\t4800\t\t-3.10\t0.1\t<0.9
CS22892-052\tSneden+ 2009\t22:17:01.6\t-16:39:27\t4800\t\t<-3.50\t0.1\t0.9
SDSSJ1029\tCaffau+ 2011\t10:29:15.1\t+17:29:28\t5811\t4.0\t<-5.00\t\t
BS16033-008\tnobody\t\t\t5300\t2.8\t-2.80\t\t
G64-12\tnobody\t13:40:02.5\t-00:02:19\t6500\t4.2\t\t\t
"""


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
def test_an_export_of_tabs(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "saga.tsv"
    path.write_text(EXPORT, encoding=encoding)
    saga = read_saga(path)
    assert saga.counts == {
        "rows": 7, "with a position": 6, "with [Fe/H]": 5, "[Fe/H] not a limit": 3,
        "[Fe/H] within -6.0 to 1.5": 3, "stars": 2,
    }  # fmt: skip
    assert saga.stars["name"].to_list() == ["HE0107-5240", "CS22892-052"]
    np.testing.assert_allclose(saga.stars["ra"], [17.37125, 334.256667], atol=1e-6)
    np.testing.assert_allclose(saga.stars["dec"], [-52.409444, -16.6575], atol=1e-6)
    np.testing.assert_allclose(saga.stars["feh"], [-5.4, -3.1])
    assert saga.stars["feh_err"].to_list() == [pytest.approx(0.4 / np.sqrt(2)), None]
    assert saga.stars["logg"].to_list() == [pytest.approx(2.3), None]
    assert saga.stars["n_rows"].to_list() == [2, 1]


def test_an_export_of_commas_degrees_and_a_column_of_limits(tmp_path: Path) -> None:
    path = tmp_path / "saga.csv"
    path.write_text('Name,RA (deg),DE (deg),l_[Fe/H],[Fe/H],logg\n"A, b",10.5,-0.5,,−3.2 ± 0.1,1\nC,11.5,0.5,<,-4,1\n')
    saga = read_saga(path)
    assert saga.counts["[Fe/H] not a limit"] == 1
    assert saga.stars.row(0) == ("A, b", 10.5, -0.5, -3.2, None, 1.0, 1)


JINABASE = """Ref,Name,Sci_key,C_key,Loc,Type,RA,DEC,Vel,V_mag,Teff,logg,Fe/H,Vmic,Simbad_Identifier,Ba/Fe,C/Fe
AAA01,S10-14,*,*,DW,RG,"10 13 34.7","'-2 7 57.9",'-33.5,17.6,4600,1.2,'-2.71,2.2,[AAS2009]_S_10-14,'-1.3,
BBB02,S10-14,*,*,DW,RG,"10 13 34.7","'-2 7 57.9",,17.6,4700,1.4,'-2.51,2.2,[AAS2009]_S_10-14,<-1.3,0.4
AAA01,HE1,R2,CR,HA,SG,"0 8 6.772","'-0 14 8.93",12.1,14.5,5100,'-0.2,<-4.0,1.8,2MASS_J00080677-0014089,0.5,1.9
AAA01,HE2,*,*,HA,SG,"0 8 51.825","5 26 17.15",,14.4,6190,3.86,0.05,1.5,*_del_Lep,,
CCC03,UMi1,*,*,DW,RG,,,,17.9,4625,1.3,'-2.16,1.7,[V67]_1,0.1,
"""


def test_jinabases_own_export(tmp_path: Path) -> None:
    """Negative numbers have an apostrophe, coordinates are sexagesimal with blanks, ``*`` means nothing."""
    path = tmp_path / "tableExport.txt"
    path.write_text(JINABASE)
    jinabase = read_saga(path)
    assert jinabase.counts == {
        "rows": 5, "with a position": 4, "with [Fe/H]": 4, "[Fe/H] not a limit": 3,
        "[Fe/H] within -6.0 to 1.5": 3, "stars": 2,
    }  # fmt: skip
    assert jinabase.stars["name"].to_list() == ["S10-14", "HE2"]
    np.testing.assert_allclose(jinabase.stars["ra"], [153.394583, 2.2159375], atol=1e-6)
    np.testing.assert_allclose(jinabase.stars["dec"], [-2.132750, 5.438097], atol=1e-6)
    np.testing.assert_allclose(jinabase.stars["feh"], [-2.61, 0.05])
    np.testing.assert_allclose(jinabase.stars["logg"], [1.3, 3.86])


@pytest.mark.parametrize(
    ("mark", "is_limit"), [("1", True), ("1.00", True), ("<", True), ("*", False), ("", False), ("0", False)]
)
@pytest.mark.parametrize("column", ["ulFe", "l_[Fe/H]"])
def test_a_limit_that_is_marked_next_to_its_value(tmp_path: Path, column: str, mark: str, is_limit: bool) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"Name,RA_hms,RA_deg,DEC_deg,Fe/H,{column}\nA,x,10,'-0.5,'-3.2,{mark}\nB,x,20,0.5,*,*\n")
    jinabase = read_saga(path)
    assert (jinabase.counts["with [Fe/H]"], jinabase.counts["[Fe/H] not a limit"]) == (1, int(not is_limit))


@pytest.mark.parametrize("cell", ["'<-4.0", "<'-4.0", "<-4.0"])
def test_an_apostrophe_does_not_hide_a_limit(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"Name,RA,DEC,Fe/H\nA,10,'-0 30 00,{cell}\nB,20,1,'-3.5\n")
    jinabase = read_saga(path)
    assert jinabase.counts["[Fe/H] not a limit"] == 1
    assert jinabase.stars["feh"].to_list() == [-3.5]


def test_a_small_declination_keeps_its_sign(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("Name,RA,DEC,Fe/H\nA,0 8 6,'-0 30 0,'-3.5\n")
    assert read_saga(path).stars["dec"].to_list() == [-0.5]


def test_an_export_without_positions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "saga.tsv"
    path.write_text("Object\tTeff\t[Fe/H]\nG64-12\t6500\t-3.3\n")
    with pytest.raises(UserError, match=r"saga.tsv: no column for RA and Dec.*Object, Teff, \[Fe/H\]"):
        read_saga(path)


def test_stars_in_common_with_pastel_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "saga.tsv").write_text(EXPORT)
    (tmp_path / "pastel.csv").write_text("RA,DEC,FEH\n334.2567,-16.6576,-3.0\n")
    saga, pastel = read_saga(tmp_path / "saga.tsv"), read_pastel(tmp_path / "pastel.csv")
    assert without_common(saga.stars, pastel.stars)["name"].to_list() == ["HE0107-5240"]
    assert isinstance(without_common(saga.stars, pastel.stars), pl.DataFrame)
