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
