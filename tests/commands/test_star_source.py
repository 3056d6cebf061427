"""Stars, photometry and distances in every form that a user has them in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xpfeh
from astropy.table import Column, MaskedColumn, Table
from matplotlib import pyplot as plt
from xpfeh.archive.archives import Services
from xpfeh.archive.cache import bring
from xpfeh.commands.star_source import source_of
from xpfeh.sources.archive_stars import ArchiveStars
from xpfeh.sources.reader import NO_COMPANIONS, CompanionFiles, find_spectra, read

from tests.archive.archive_server import ArchiveServer
from tests.genuine import datalink_file

STAR = 5_937_083_312_263_887_616
BANDS = ("bp", "rp")


@pytest.fixture
def archived(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's functions query the archive on this machine."""
    monkeypatch.setattr("xpfeh.archive.cache.bring", lambda ids, release: bring(ids, release, services))


@pytest.mark.parametrize(
    "given",
    [
        STAR,
        str(STAR),
        f" {STAR}\n",
        np.int64(STAR),
        np.uint64(STAR),
        [STAR],
        (str(STAR),),
        [np.int64(STAR)],
        np.array([STAR]),
        np.array([str(STAR)]),
        np.array([str(STAR).encode()]),
        pd.Series([STAR]),
        pd.Series([str(STAR)]),
        pl.Series([STAR]),
        pl.Series([str(STAR)]),
        pa.array([STAR]),
        pa.chunked_array([[STAR]]),
        Column([STAR]),
        MaskedColumn([STAR], mask=[False]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_identifiers_in_every_form(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xpfeh.archive.cache.bring", lambda ids, release: (ids.dtype, ids.tolist(), release))
    assert source_of(given, "dr4") == (np.int64, [STAR], "dr4")


def wide(table: Table) -> Table:
    """The coefficients of a table, one column each."""
    columns = {"source_id": table["source_id"]}
    for band in BANDS:
        for kind, prefix in (("coefficients", ""), ("coefficient_errors", "e_")):
            values = np.asarray(table[f"{band}_{kind}"])
            columns |= {f"{prefix}{band}_coeff_{i}": values[:, i] for i in range(values.shape[1])}
    return Table(columns)


def without_correlations(folder: Path) -> Table:
    ((batch,),) = (file.read(0, None) for file in find_spectra(datalink_file("csv", folder)))
    return Table({name: values for name, values in batch.columns.items() if "correlations" not in name})


def lists(table: Table) -> dict[str, list]:
    return {name: [*table[name]] for name in table.colnames}


FORMS: dict[str, Callable[[Table, Path], Any]] = {
    "a file": lambda table, path: str(path),
    "a Path": lambda table, path: path,
    "a list of paths": lambda table, path: [path],
    "names in a tuple": lambda table, path: (str(path),),
    "astropy": lambda table, path: table,
    "an astropy Row": lambda table, path: table[0],
    "pandas": lambda table, path: pd.DataFrame(lists(table)),
    "a pandas row": lambda table, path: pd.DataFrame(lists(table)).iloc[0],
    "polars": lambda table, path: pl.DataFrame(lists(table)),
    "a polars row": lambda table, path: pl.DataFrame(lists(table)).row(0, named=True),
    "Arrow": lambda table, path: pa.table(lists(table)),
    "a mapping": lambda table, path: {name: np.asarray(table[name]) for name in table.colnames},
    "one column per coefficient": lambda table, path: wide(table),
    "one column per coefficient, pandas": lambda table, path: wide(table).to_pandas(),
    "a row with one column per coefficient": lambda table, path: wide(table)[0],
}


@pytest.mark.parametrize("form", FORMS)
def test_spectra_in_every_form_are_the_same(form: str, tmp_path: Path) -> None:
    table = without_correlations(tmp_path)
    table.write(tmp_path / "stars.fits")
    (file,) = find_spectra(source_of(FORMS[form](table, tmp_path / "stars.fits")))
    (batch,) = read(file, 0, None, NO_COMPANIONS)
    assert (batch.rejected, batch.columns["source_id"].tolist()) == ([], [STAR])
    for band in BANDS:
        for kind in ("coefficients", "coefficient_errors"):
            np.testing.assert_array_equal(batch.columns[f"{band}_{kind}"], table[f"{band}_{kind}"])


def test_a_wide_table_is_read_like_its_file(tmp_path: Path) -> None:
    table = wide(without_correlations(tmp_path))
    table.write(tmp_path / "wide.fits")
    (in_memory,), (from_file,) = (
        find_spectra(source_of(given))[0].read(0, None) for given in (table, tmp_path / "wide.fits")
    )
    for name, values in from_file.columns.items():
        np.testing.assert_array_equal(in_memory.columns[name], values, err_msg=name)
    del table["rp_coeff_7"]
    with pytest.raises(xpfeh.InputError, match="one column per coefficient, but without rp_coeff_7"):
        xpfeh.preprocess(table)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "no stars in NoneType; give identifiers, names of files, or a table"),
        (True, "no stars in bool"),
        ([], "there are no stars; give"),
        (5.9e18, "identifiers are float64, which loses digits"),
        ([1.5, 2.5], "identifiers are float64, which loses digits"),
        ([[STAR]], "not a list of identifiers or files: list"),
        (MaskedColumn([STAR, 1], mask=[False, True]), "not a list of identifiers or files: MaskedColumn"),
        ([str(STAR), "stars.csv"], "'stars.csv' is not an identifier, but others are"),
        ("9" * 30, "an identifier is negative, or has more than 63 bits"),
        (-5, "an identifier is negative, or has more than 63 bits"),
        (np.uint64(2**63), "an identifier is negative, or has more than 63 bits"),
        ([[STAR], [STAR, 1]], "not a list of identifiers or files: list"),
        (list(Table({"source_id": [STAR, 1]})), "not a list of identifiers or files: list"),
        (np.zeros(2, [("source_id", "i8")]), "not a list of identifiers or files: ndarray"),
        (pd.Series({"source_id": float(STAR), "bp_coeff_0": 1.0}), r"source_id is a float.*stars.iloc\[\[0\]\]"),
        (object(), "no stars in object"),
    ],
)
def test_what_is_not_stars_is_refused_in_one_line(given: Any, message: str) -> None:
    with pytest.raises(xpfeh.InputError, match=message):
        source_of(given)


def test_every_function_takes_an_identifier(archive: ArchiveServer, archived: None) -> None:
    archive.absent = {77}
    for given in (STAR, str(STAR), [STAR, STAR + 1], pd.Series([STAR])):
        assert xpfeh.predict(given)["source_id"][0] == STAR
    with pytest.warns(UserWarning, match=r"1 row was rejected .*not a source of Gaia DR3"):
        answer = xpfeh.predict([STAR, 77, STAR + 1])
    assert answer["source_id"].tolist() == [STAR, STAR + 1]
    assert answer.meta["rejected"] == ["the archive of Gaia DR3: row 1, source_id 77: not a source of Gaia DR3"]
    assert xpfeh.preprocess(STAR)["source_id"].tolist() == [STAR]
    assert xpfeh.sensitivity(STAR)["source_id"].tolist() == [STAR]
    assert xpfeh.calibrate([STAR])[0]["source_id"].tolist() == [STAR]
    plt.close(xpfeh.plot(STAR))
    plt.close(xpfeh.plot([STAR, STAR + 1], source_id=str(STAR)))
    assert isinstance(source_of(STAR), ArchiveStars)


PHOTOMETRY = {
    "source_id": [STAR],
    "ra": [251.0],
    "dec": [-53.0],
    "phot_g_mean_mag": [14.25],
    "phot_bp_mean_mag": [15.0],
    "phot_rp_mean_mag": [13.5],
}
TABLES: dict[str, Callable[[Path], Any]] = {
    "a name": lambda path: str(path),
    "a Path": lambda path: path,
    "names": lambda path: [str(path)],
    "Paths": lambda path: (path,),
    "pandas": lambda path: pd.DataFrame(PHOTOMETRY),
    "astropy": lambda path: Table(PHOTOMETRY),
    "polars": lambda path: pl.DataFrame(PHOTOMETRY),
    "Arrow": lambda path: pa.table(PHOTOMETRY),
    "a mapping": lambda path: PHOTOMETRY,
    "a list of two kinds": lambda path: [Table({**PHOTOMETRY, "source_id": [5]}), path],
}


@pytest.mark.parametrize("form", TABLES)
def test_photometry_and_distances_in_every_form(form: str, tmp_path: Path) -> None:
    pl.DataFrame(PHOTOMETRY).write_csv(tmp_path / "gaia.csv")
    distances = Table({"source_id": [STAR], "rgeo": [1.25]}, units={"rgeo": "kpc"})
    companions = CompanionFiles.find(TABLES[form](tmp_path / "gaia.csv"), distances)
    (file,) = find_spectra(source_of(datalink_file("csv", tmp_path)))
    (batch,) = read(file, 0, None, companions)
    assert (batch.columns["phot_g_mean_mag"][0], batch.columns["rgeo"][0]) == (14.25, 1250.0)
    assert batch.matched == {"photometry": 1, "distances": 1}


def test_invalid_photometry_is_refused_by_its_name(tmp_path: Path) -> None:
    star = datalink_file("csv", tmp_path)
    for given, message in (
        (7, "no table in int; give a file's name"),
        ("no.csv", "no.csv: no such file"),
        (pd.DataFrame({"source_id": [1.5]}), "the table of photometry: source_id is Float64"),
        ({"source_id": [STAR], "ra": [1.0, 2.0]}, "the table of photometry: its columns .* one row per star"),
        (Table({"source_id": [STAR]}), "the table of photometry: no column ra"),
        (Table({**PHOTOMETRY, "source_id": [5]}), "photometry: the one star is not in the table of photometry"),
    ):
        with pytest.raises(xpfeh.InputError, match=message):
            xpfeh.preprocess(star, photometry=given)
