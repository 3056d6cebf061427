"""Odd and broken files: read if their content is clear, else refused in one line; never a stack trace."""

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from xpfeh.errors import UserError
from xpfeh.sources import reader
from xpfeh.sources.coefficients import KINDS, LIST_COLUMNS, NO_ID, RawBatch
from xpfeh.sources.gaia_files import GaiaFile

from tests.genuine import datalink_file
from tests.sources.reading import read_whole

BIG = 5_937_083_312_263_887_616
HEADER = ",".join(("source_id", *LIST_COLUMNS))


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return datalink_file("csv", tmp_path_factory.mktemp("star"))


@pytest.fixture(scope="module")
def star(csv: Path) -> RawBatch:
    """One genuine star, by the reader that the other tests compare with GaiaXPy."""
    return read_whole(csv)


@pytest.fixture(scope="module")
def cells(csv: Path) -> dict[str, str]:
    """Its cells, as DataLink's CSV writes them."""
    return pd.read_csv(csv, dtype=str).iloc[0][["source_id", *LIST_COLUMNS]].to_dict()


def same(found: RawBatch, star: RawBatch) -> None:
    assert found.rejected == []
    for name, values in star.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)


# --- text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("gzip_named.csv", gzip.compress),
        ("text_named.csv.gz", lambda content: content),
        ("two_members.csv.gz", lambda content: gzip.compress(content[:5000]) + gzip.compress(content[5000:])),
        ("byte_order_mark.csv", lambda content: b"\xef\xbb\xbf" + content),
        ("comments_after_mark.csv", lambda content: b"\xef\xbb\xbf# from a colleague\n\n" + content),
        ("windows.csv", lambda content: content.replace(b"\n", b"\r\n")),
        ("no_last_line_break.CSV", lambda content: content.rstrip()),
        ("blanks_in_header.csv", lambda content: content.replace(b",", b", ", 5)),
    ],
)
def test_text_is_read_whatever_its_name(
    csv: Path, star: RawBatch, tmp_path: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    (tmp_path / name).write_bytes(change(csv.read_bytes()))
    (file,) = reader.find_spectra(str(tmp_path / name))
    assert isinstance(file, GaiaFile)
    same(read_whole(file.path), star)


def broken_gzip(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"\0" * 40
    return bytes(packed)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("utf16.csv", lambda content: content.decode().encode("utf-16"), "UTF-16 or binary, not text; save it as"),
        ("binary.csv", lambda content: bytes(range(256)) * 40, "UTF-16 or binary"),
        ("packed_twice.csv.gz", lambda content: gzip.compress(gzip.compress(content)), "UTF-16 or binary"),
        ("bzip2.csv", bz2.compress, "UTF-16 or binary|lacks source_id"),
        ("damaged.csv.gz", broken_gzip, "cannot be read to its end"),
        ("tail_lost.csv.gz", lambda content: gzip.compress(content)[:-9], "cannot be read to its end"),
        ("empty.csv", lambda content: b"", "is empty"),
        ("empty.csv.gz", lambda content: gzip.compress(b""), "is empty, or holds nothing but comments"),
        ("comments.ecsv", lambda content: b"# %ECSV 1.0\n# ---\n", "is empty, or holds nothing but comments"),
        ("no_columns.csv", lambda content: b",,,\n1,2,3,4\n", "lacks source_id, bp_coefficients"),
        ("photometry.csv", lambda content: b"source_id,ra\n1,2\n", "lacks bp_coefficients"),
        ("one_column_less.csv", lambda content: content.replace(b"rp_coefficient_errors", b"x", 1), "lacks rp_coef"),
        ("web_page.csv", lambda content: b"<html><body>404</body></html>\n", "lacks source_id"),
        ("no_rows.csv", lambda content: content.partition(b"\n")[0], "holds no star"),
        ("no_rows_but_a_break.csv", lambda content: content.partition(b"\n")[0] + b"\n", "holds no star"),
        (
            "twice.csv",
            lambda content: content.replace(b"rp_n_parameters", b"bp_coefficients", 1),
            "several columns named bp_coefficients",
        ),
        ("one_long_line.csv", lambda content: b"a" * (17 << 20), "no line of column names"),
    ],
)
def test_text_that_is_not_a_file_of_spectra_is_refused(
    csv: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes], message: str
) -> None:
    (tmp_path / name).write_bytes(change(csv.read_bytes()))
    refused(tmp_path / name, message)


def refused(path: Path, message: str) -> None:
    """Check the one line, and that it begins with the file's name."""

    def read() -> None:
        for file in reader.find_spectra(str(path)):
            _ = file.releases  # as every command does first
            for rows in file.ranges():
                list(reader.read(file, *rows, reader.NO_COMPANIONS))

    with pytest.raises(UserError, match=message) as caught:
        read()
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text


def test_a_line_too_long_for_a_star_is_refused(tmp_path: Path) -> None:
    """Its fields would take fifty times its bytes in memory."""
    (path := tmp_path / "xp.csv").write_bytes(f"{HEADER}\n".encode() + b'"' * (17 << 20))
    with pytest.raises(UserError, match=r"xp\.csv: has a line of more than 16 MB, which cannot be a star's"):
        read_whole(path)


def test_a_coefficient_too_few_in_all_rows_names_the_file(tmp_path: Path) -> None:
    row = ",".join(["7", *(f'"[{",".join(["1"] * n)}]"' for n in (54, 54, 54 * 53 // 2, 55, 55, 55 * 54 // 2))])
    (tmp_path / "short.csv").write_text(f"{HEADER}\n{row}\n")
    refused(tmp_path / "short.csv", "54 BP and 55 RP coefficients belong to no known release")


# --- sources ----------------------------------------------------------------------------------------------------


def test_an_invalid_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "folder.csv").mkdir()
    for source, message in (
        ("none.csv", "no such file or folder"),
        ("none.fits", "no such file or folder"),
        ("*.csv", "no file here|no file matches"),
        ("[ab].csv", "no file matches"),
        ("readme.txt", "no file here of a kind that can be read: .csv"),
        (".", "no file here of a kind that can be read: .csv"),
        ("folder.csv", "no file here of a kind that can be read"),
    ):
        with pytest.raises(UserError, match=message):
            reader.find_spectra(str(tmp_path / source))
    for name in ("none.csv", "none.fits", "none.parquet"):
        with pytest.raises(UserError, match=f"{name}: no such file"):
            reader.open_spectra(str(tmp_path / name))
        with pytest.raises(UserError, match=f"{name}: no such file"):
            list(GaiaFile(str(tmp_path / name)).read())


# --- Parquet ----------------------------------------------------------------------------------------------------


def list_table(star: RawBatch, kind: pa.DataType) -> pa.Table:
    lists = {name: pa.array(star.columns[name].tolist(), pa.list_(pa.float64())).cast(kind) for name in LIST_COLUMNS}
    return pa.table({"source_id": star.columns["source_id"], **lists})


@pytest.mark.parametrize("brackets", ["()", "[]"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_text_of_datalink_in_parquet_is_read_as_in_csv(
    cells: dict[str, str], star: RawBatch, tmp_path: Path, brackets: str, kind: pa.DataType
) -> None:
    texts = {name: cells[name].translate(str.maketrans("()", brackets)) for name in LIST_COLUMNS}
    columns = {name: pa.array([text, None, text]).cast(kind) for name, text in texts.items()}
    ids = pa.array([str(BIG), "7", "5.9e18"])
    pq.write_table(pa.table({"source_id": ids, **columns}), tmp_path / "text.parquet")
    found = read_whole(tmp_path / "text.parquet")
    reasons = [(r.row, r.source_id, r.reason) for r in found.rejected]
    assert reasons == [(1, 7, "both bands are missing"), (2, None, NO_ID)]
    same(RawBatch(found.columns), star)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float64()),
        pa.large_list(pa.float64()),
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
    ],
)
def test_lists_of_any_kind_in_parquet(star: RawBatch, tmp_path: Path, kind: pa.DataType) -> None:
    table = list_table(star, pa.list_(pa.float64()))
    for place, name in enumerate(LIST_COLUMNS, start=1):
        values = [[repr(x) for x in row] if "string" in str(kind) else row for row in table[name].to_pylist()]
        table = table.set_column(place, name, pa.array(values, kind))
    nested = pa.array([{"bp_coefficients": [1.0], "source_id": 3}])
    table = table.append_column("a_struct", nested).append_column("nested", pa.array([[[1.0], [2.0]]]))
    pq.write_table(table, tmp_path / "lists.parquet")
    same(read_whole(tmp_path / "lists.parquet"), star)


def test_arrays_of_a_fixed_width_in_parquet(star: RawBatch, tmp_path: Path) -> None:
    for name, missing in (("whole", ""), ("gap", "bp_coefficients")):
        columns = {}
        for column in LIST_COLUMNS:
            row = star.columns[column][0].tolist()
            columns[column] = pa.array([row, None if column == missing else row], pa.list_(pa.float64(), len(row)))
        pq.write_table(pa.table({"source_id": [BIG, 2], **columns}), tmp_path / f"{name}.parquet")
    found = read_whole(tmp_path / "whole.parquet")
    assert found.columns["source_id"].tolist() == [BIG, 2]
    for column in LIST_COLUMNS:
        np.testing.assert_array_equal(found.columns[column], np.tile(star.columns[column], (2, 1)))
    refused(tmp_path / "gap.parquet", "an array of a fixed width is null, .* write the columns as lists")


def test_a_word_in_a_list_rejects_its_row_alone(star: RawBatch, tmp_path: Path) -> None:
    table = list_table(star, pa.list_(pa.float64()))
    words = [str(x) for x in star.columns["rp_coefficients"][0]]
    both = pa.concat_tables([table, table.set_column(0, "source_id", pa.array([7]))])
    both = both.set_column(4, "rp_coefficients", pa.array([words, ["twelve", *words[1:]]]))
    pq.write_table(both, tmp_path / "words.parquet")
    found = read_whole(tmp_path / "words.parquet")
    assert [(r.source_id, r.reason) for r in found.rejected] == [(7, "rp_coefficients: not all finite numbers")]
    same(RawBatch(found.columns), star)


def test_identifiers_of_other_types_in_parquet(star: RawBatch, tmp_path: Path) -> None:
    table = list_table(star, pa.list_(pa.float64()))
    path = tmp_path / "ids.parquet"
    pq.write_table(table.set_column(0, "source_id", table["source_id"].cast(pa.uint64())), path)
    same(read_whole(path), star)
    pq.write_table(table.set_column(0, "source_id", pa.array([2**63 + 5], pa.uint64())), path)
    assert [r.reason for r in read_whole(path).rejected] == [NO_ID]
    for wrong in (pa.array([5.9e18]), pa.array([[1]]), pa.array([{"id": 1}]), pa.array([True])):
        pq.write_table(table.set_column(0, "source_id", wrong), path)
        refused(path, "source_id is .*64-bit integer")


def parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


PARQUET_FAULTS: dict[str, tuple[Callable[[pa.Table], bytes], str]] = {
    "text": (lambda table: b"hello, this is not Parquet", "cannot be read to its end"),
    "empty": (lambda table: b"", "is empty"),
    "cut": (lambda table: parquet_bytes(table)[:-20], "cannot be read to its end"),
    "damaged": (lambda table: parquet_bytes(table)[:500] + b"\0" * 900 + parquet_bytes(table)[1400:], "cannot be read"),
    "no list": (lambda table: parquet_bytes(table.drop(["bp_coefficients"])), "lacks bp_coefficients"),
    "no source_id": (lambda table: parquet_bytes(table.drop(["source_id"])), "lacks source_id"),
    "twice": (
        lambda table: parquet_bytes(table.append_column("source_id", table["source_id"])),
        "several columns named source_id",
    ),
    "no rows": (lambda table: parquet_bytes(table[:0]), "holds no star"),
    "nested": (
        lambda table: parquet_bytes(table.set_column(1, "bp_coefficients", pa.array([[[1.0]]]))),
        "bp_coefficients is list<.*list<.*; a list of numbers per star is needed",
    ),
    "struct": (
        lambda table: parquet_bytes(table.set_column(1, "bp_coefficients", pa.array([{"a": 1.0}]))),
        "bp_coefficients is struct<.*; a list of numbers per star is needed",
    ),
    "number": (
        lambda table: parquet_bytes(table.set_column(1, "bp_coefficients", pa.array([1.0]))),
        "bp_coefficients is double; a list of numbers per star is needed",
    ),
    "truths": (
        lambda table: parquet_bytes(table.set_column(1, "bp_coefficients", pa.array([[True] * 55]))),
        "bp_coefficients is list<.*bool>; a list of numbers",
    ),
}


@pytest.mark.parametrize("fault", PARQUET_FAULTS)
def test_parquet_that_is_not_a_file_of_spectra_is_refused(star: RawBatch, tmp_path: Path, fault: str) -> None:
    change, message = PARQUET_FAULTS[fault]
    (tmp_path / "spectra.parquet").write_bytes(change(list_table(star, pa.list_(pa.float64()))))
    refused(tmp_path / "spectra.parquet", message)


# --- FITS -------------------------------------------------------------------------------------------------------


def wide_table(star: RawBatch) -> Table:
    """The layout with one column per coefficient, of three times the same star."""
    table = Table({"source_id": [BIG, 2, 3]})
    for band in ("bp", "rp"):
        for kind, prefix in zip(KINDS[:2], ("", "e_"), strict=True):
            for i, value in enumerate(star.columns[f"{band}_{kind}"][0]):
                table[f"{prefix}{band}_coeff_{i}"] = [value] * 3
    return table


def test_the_wide_layout(star: RawBatch, tmp_path: Path) -> None:
    table = wide_table(star)
    for name in table.colnames:
        if "bp_coeff" in name:
            table[name][1] = np.nan
    table["e_rp_coeff_54"][2] = np.nan
    table.write(tmp_path / "wide.fits")
    (tmp_path / "wide.fits.gz").write_bytes(gzip.compress((tmp_path / "wide.fits").read_bytes()))
    for name in ("wide.fits", "wide.fits.gz"):
        (file,) = reader.find_spectra(str(tmp_path / name))
        found = read_whole(file.path)
        assert [(r.row, r.reason) for r in found.rejected] == [(2, "rp_coefficient_errors: not all finite numbers")]
        assert found.columns["source_id"].tolist() == [BIG, 2]
        assert np.isnan(found.columns["bp_coefficients"]).all(axis=1).tolist() == [False, True]
        assert np.isnan(found.columns["bp_coefficient_correlations"]).all()
        np.testing.assert_array_equal(found.columns["rp_coefficients"][1], star.columns["rp_coefficients"][0])


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        ("source_id", "lacks source_id"),
        ("rp_", r"without rp_coeff_0, e_rp_coeff_0"),
        ("bp_coeff_7", r"without bp_coeff_7, e_bp_coeff_7"),
        ("e_bp_coeff_54", r"without e_bp_coeff_54"),
        ("e_bp_", r"without e_bp_coeff_0, e_bp_coeff_1, e_bp_coeff_2 and 52 more"),
        ("bp_coeff_0", r"without bp_coeff_0, e_bp_coeff_0"),
    ],
)
def test_a_wide_table_without_a_column_is_refused(star: RawBatch, tmp_path: Path, drop: str, message: str) -> None:
    table = wide_table(star)
    exactly = drop[-1].isdigit()
    table.remove_columns([n for n in table.colnames if (n in (drop, f"e_{drop}") if exactly else drop in n)])
    table.write(tmp_path / "wide.fits")
    refused(tmp_path / "wide.fits", message)


def test_a_wide_table_of_no_known_release_is_refused(star: RawBatch, tmp_path: Path) -> None:
    table = wide_table(star)
    table.remove_columns(["bp_coeff_54", "e_bp_coeff_54"])
    table.write(tmp_path / "wide.fits")
    refused(tmp_path / "wide.fits", "54 BP and 55 RP coefficients belong to no known release")


@pytest.mark.parametrize(
    ("card", "name"),
    [
        (b"NAXIS   =                    0", "NAXIS"),
        (b"NAXIS   =                    2", "NAXIS"),
        (b"NAXIS   =                    2", "naxis"),
        (b"TFIELDS =", "TFIELDS"),
    ],
)
def test_a_fits_file_of_a_billion_axes_or_columns_is_refused_at_once(
    star: RawBatch, tmp_path: Path, card: bytes, name: str
) -> None:
    path = tmp_path / "wide.fits"
    fits.BinTableHDU.from_columns(fits_columns(star)).writeto(path)
    content = path.read_bytes()
    assert content.count(card) == 1
    path.write_bytes(content.replace(card, f"{name:8}=           9999999990".encode().ljust(len(card))))
    refused(path, f"{name} is above 999")


def fits_columns(star: RawBatch) -> list[fits.Column]:
    """Three times the same star, with arrays of a fixed width."""
    columns = [fits.Column("source_id", "K", array=np.array([BIG, 2, 3]))]
    for name in LIST_COLUMNS:
        values = np.tile(star.columns[name], (3, 1))
        columns.append(fits.Column(name, f"{values.shape[1]}D", array=values))
    return columns


def test_ragged_arrays_reject_their_row(star: RawBatch, tmp_path: Path) -> None:
    columns = fits_columns(star)
    cells = np.empty(3, dtype=object)
    cells[:] = [star.columns["bp_coefficients"][0], star.columns["bp_coefficients"][0][:50], np.empty(0)]
    columns[1] = fits.Column("bp_coefficients", "PD()", array=cells)
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "ragged.fits")
    found = read_whole(tmp_path / "ragged.fits")
    assert [(r.row, r.reason) for r in found.rejected] == [(1, "bp_coefficients: 50 numbers, not 55")]
    assert found.columns["source_id"].tolist() == [BIG, 3]
    assert np.isnan(found.columns["bp_coefficients"]).all(axis=1).tolist() == [False, True]


def test_masked_identifiers_are_not_stars(star: RawBatch, tmp_path: Path) -> None:
    columns = fits_columns(star)
    columns[0] = fits.Column("source_id", "K", array=np.array([BIG, -1, 3]), null=-1)
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "masked.fits")
    table = Table.read(tmp_path / "masked.fits")
    assert table["source_id"].mask.tolist() == [False, True, False]
    table.write(tmp_path / "masked.xml", format="votable")
    for name in ("masked.fits", "masked.xml"):
        found = read_whole(tmp_path / name)
        assert [(r.row, r.source_id, r.reason) for r in found.rejected] == [(1, None, NO_ID)]
        assert found.columns["source_id"].tolist() == [BIG, 3]


def test_masked_numbers_reject_their_row_and_a_masked_band_is_missing(star: RawBatch, tmp_path: Path) -> None:
    table = Table({"source_id": [BIG, 2, 3]})
    for name in LIST_COLUMNS:
        values = np.ma.array(np.tile(star.columns[name], (3, 1)))
        if name == "rp_coefficients":
            values[1, 4] = np.ma.masked
        if name.startswith("bp"):
            values[2] = np.ma.masked
        table[name] = values
    table.write(tmp_path / "masked.xml", format="votable")
    found = read_whole(tmp_path / "masked.xml")
    assert [(r.row, r.reason) for r in found.rejected] == [(1, "rp_coefficients: not all finite numbers")]
    assert np.isnan(found.columns["bp_coefficients"]).all(axis=1).tolist() == [False, True]


def test_text_lists_in_fits_and_votable(cells: dict[str, str], star: RawBatch, tmp_path: Path) -> None:
    table = Table({name: [text] for name, text in cells.items()})
    table.write(tmp_path / "text.fits")
    table.write(tmp_path / "text.vot", format="votable")
    same(read_whole(tmp_path / "text.fits"), star)
    same(read_whole(tmp_path / "text.vot"), star)


def as_fits(columns: list[fits.Column]) -> list[fits.hdu.base._BaseHDU]:
    return [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]


FITS_FAULTS: dict[str, tuple[Callable[[list[fits.Column]], list], str]] = {
    "no table": (lambda columns: [fits.PrimaryHDU()], "a FITS file, but without a table"),
    "an image": (lambda columns: [fits.PrimaryHDU(), fits.ImageHDU(np.ones((9, 9)))], "without a table"),
    "no list": (lambda columns: as_fits(columns[:1] + columns[2:]), "lacks bp_coefficients"),
    "no source_id": (lambda columns: as_fits(columns[1:]), "lacks source_id"),
    "float": (
        lambda columns: as_fits([fits.Column("source_id", "D", array=np.array([5.9e18, 2, 3])), *columns[1:]]),
        "source_id is Float64",
    ),
    "no rows": (
        lambda columns: [fits.PrimaryHDU(), fits.BinTableHDU(as_fits(columns)[1].data[:0])],
        "holds no star",
    ),
}


@pytest.mark.parametrize("fault", FITS_FAULTS)
def test_fits_that_is_not_a_file_of_spectra_is_refused(star: RawBatch, tmp_path: Path, fault: str) -> None:
    change, message = FITS_FAULTS[fault]
    fits.HDUList(change(fits_columns(star))).writeto(tmp_path / "spectra.fits")
    refused(tmp_path / "spectra.fits", message)


@pytest.mark.parametrize("part", [0, 1, 3000, 9000])
def test_fits_that_is_cut_or_junk_is_refused(star: RawBatch, tmp_path: Path, part: int) -> None:
    fits.HDUList(as_fits(fits_columns(star))).writeto(tmp_path / "whole.fits")
    content = (tmp_path / "whole.fits").read_bytes()
    for name, broken in (("cut.fits", content[: len(content) - part]), ("junk.fits", b"hello" * part)):
        if broken != content:
            (tmp_path / name).write_bytes(broken)
            refused(tmp_path / name, "is empty|not a FITS file|not a file of|cannot be read to its end")


# --- VOTable ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n<!DOCTYPE html>\n<html><body>503 Service unavailable</body></html>", "is a web page, not a VOTable"),
        (b"<html></html>", "is a web page, not a VOTable"),
        (b"hello", "not a VOTable"),
        (b"", "is empty"),
        (b"<?xml version='1.0'?><VOTABLE version='1.4'></VOTABLE>", "not a VOTable"),
        (b"<?xml version='1.0'?><VOTABLE version='1.4'><RESOURCE><TABLE>", "not a VOTable"),
    ],
)
def test_what_is_not_a_votable_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "spectra.xml").write_bytes(content)
    refused(tmp_path / "spectra.xml", message)


def test_companions_are_joined_to_the_odd_formats_too(cells: dict[str, str], tmp_path: Path) -> None:
    """By the names of the files, as commands read them."""
    table = pa.table({name: [text] for name, text in cells.items()})
    pq.write_table(table, tmp_path / "text.parquet")
    pl.DataFrame({"source_id": [BIG], "r_med_geo": [2500.0]}).write_parquet(tmp_path / "distances.parquet")
    companions = reader.CompanionFiles.find([], [str(tmp_path / "distances.parquet")])
    (file,) = reader.find_spectra(str(tmp_path / "text.parquet"))
    (batch,) = reader.read(file, *file.ranges()[0], companions)
    assert batch.columns["rgeo"].tolist() == [2500.0]
