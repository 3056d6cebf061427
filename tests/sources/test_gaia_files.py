"""Every format of Gaia's files, whole and broken."""

import gzip
import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.errors import UserError
from xpfeh.sources import gaia_tables, gaia_text, reader
from xpfeh.sources.coefficients import LIST_COLUMNS, NO_ID, RawBatch
from xpfeh.sources.gaia_files import GaiaFile
from xpfeh.sources.input_files import check_unchanged, find_files, fingerprint

from tests.genuine import datalink_file, shared
from tests.sources.reading import read_whole

ID = 5937083312263887616


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> pd.Series:
    """The genuine star as text cells."""
    return pd.read_csv(datalink_file("csv", tmp_path_factory.mktemp("star")), dtype=str).iloc[0]


def bulk(path: Path, rows: list[pd.Series]) -> Path:
    """Write rows as the bulk download is: gzip, a comment header, brackets, null."""
    lines = ["# %ECSV 1.0", "# ---", "# delimiter: ','", ",".join(rows[0].index)]
    for row in rows:
        cells = [str(cell).replace("(", "[").replace(")", "]").replace(" ", "") for cell in row.fillna("null")]
        lines.append(",".join(f'"{cell}"' if "," in cell else cell for cell in cells))
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def as_parquet(path: Path, row_group_size: int | None = None) -> Path:
    """Write the rows of a file of text as Parquet, those that would be rejected too."""
    tables = pa.concat_tables(GaiaFile(str(path))._tables())
    parquet = path.with_name("rows.parquet")
    pq.write_table(tables, parquet, row_group_size=row_group_size)
    return parquet


def changed(row: pd.Series, **cells: str) -> pd.Series:
    copy = row.copy()
    for name, value in cells.items():
        copy[name] = value
    return copy


def edited(row: pd.Series, name: str, change: Callable[[list[str]], list[str]]) -> pd.Series:
    """Change the numbers of a list cell."""
    return changed(row, **{name: "(" + ",".join(change(row[name].strip("()").split(","))) + ")"})


@pytest.mark.parametrize("kind", ["csv", "ecsv", "fits", "vot"])
def test_every_datalink_format_gives_the_same_numbers(kind: str, tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    first = read_whole(datalink_file("csv", tmp_path / "csv"))
    other = read_whole(datalink_file(kind, tmp_path))
    assert other.columns["source_id"].tolist() == [ID]
    assert other.columns["source_id"].dtype == np.int64
    for name in LIST_COLUMNS:
        np.testing.assert_allclose(other.columns[name], first.columns[name], rtol=1e-6)


def test_a_votable_is_read_by_the_names_of_its_fields(tmp_path: Path) -> None:
    path = datalink_file("vot", tmp_path)
    head, *fields = path.read_text().split("<FIELD ")
    path.write_text(head + "".join(f'<FIELD ID="column_{i}" {field}' for i, field in enumerate(fields)))
    assert read_whole(path).columns["source_id"].tolist() == [ID]


def test_bulk_and_parquet_give_the_same_numbers_as_datalink(row: pd.Series, tmp_path: Path) -> None:
    expected = read_whole(datalink_file("csv", tmp_path))
    from_bulk = read_whole(bulk(tmp_path / "bulk.csv.gz", [row]))
    lists = {name: pa.array(expected.columns[name].tolist(), pa.list_(pa.float64())) for name in LIST_COLUMNS}
    pq.write_table(pa.table({"source_id": expected.columns["source_id"], **lists}), tmp_path / "star.parquet")
    from_parquet = read_whole(tmp_path / "star.parquet")
    for name, values in expected.columns.items():
        np.testing.assert_array_equal(from_bulk.columns[name], values)
        np.testing.assert_array_equal(from_parquet.columns[name], values)


def test_a_genuine_bulk_file() -> None:
    path = shared("gaia_bulk/XpContinuousMeanSpectrum_000000-003111.csv.gz")
    assert GaiaFile(str(path)).releases == ("dr3",)
    batch = read_whole(path)
    assert (batch.columns["source_id"].tolist(), batch.rejected) == ([4295806720], [])
    assert batch.columns["bp_coefficients"][0, 0] == 102.93398893929992


def test_two_thousand_genuine_stars_without_correlations() -> None:
    batch = read_whole(shared("xp_chunk0/xp_continuous_combined_chunk0.fits"))
    assert len(batch.columns["source_id"]) == 2000
    assert np.isnan(batch.columns["bp_coefficient_correlations"]).all()
    assert (batch.columns["rp_coefficient_errors"] > 0).all()


@pytest.mark.parametrize("kind", ["csv", "ecsv", "fits", "xml"])
def test_a_missing_band_survives_in_every_format(kind: str) -> None:
    batch = read_whole(shared(f"gaia_continuous/XP_CONTINUOUS_RAW_with_missing_BP.{kind}"))
    assert np.isnan(batch.columns["bp_coefficients"]).any(axis=1).tolist() == [False, True, False]
    assert np.isfinite(batch.columns["rp_coefficients"]).all()
    assert batch.rejected == []


BROKEN = {
    "bp_coefficients: 54 numbers, not 55": ("bp_coefficients", lambda v: v[:-1]),
    "rp_coefficient_correlations: 1484 numbers, not 1485": ("rp_coefficient_correlations", lambda v: v[1:]),
    "rp_coefficients: not all finite numbers": ("rp_coefficients", lambda v: ["twelve", *v[1:]]),
    "bp_coefficients: not all finite numbers": ("bp_coefficients", lambda v: ["NaN", *v[1:]]),
    "bp_coefficient_errors: not all finite numbers": ("bp_coefficient_errors", lambda v: ["inf", *v[1:]]),
    "bp_coefficient_errors: zero or negative": ("bp_coefficient_errors", lambda v: [*v[:-1], "0.0"]),
    "rp_coefficient_errors: zero or negative": ("rp_coefficient_errors", lambda v: [*v[:-1], "-1"]),
    "bp_coefficient_correlations: beyond 1": ("bp_coefficient_correlations", lambda v: ["1.5", *v[1:]]),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_broken_row_is_rejected_with_its_reason(row: pd.Series, tmp_path: Path, reason: str) -> None:
    name, change = BROKEN[reason]
    good = changed(row, source_id="17")
    batch = read_whole(bulk(tmp_path / "bulk.csv.gz", [good, edited(row, name, change)]))
    assert batch.columns["source_id"].tolist() == [17]
    assert [(r.row, r.source_id, r.reason) for r in batch.rejected] == [(1, ID, reason)]
    assert batch.rows_read == 2


def test_invalid_or_repeated_identifiers_are_rejected(row: pd.Series, tmp_path: Path) -> None:
    rows = [row, changed(row, source_id="1.5e18"), row, changed(row, source_id="null"), changed(row, source_id="18")]
    batch = read_whole(bulk(tmp_path / "bulk.csv.gz", rows))
    assert batch.columns["source_id"].tolist() == [ID, 18]
    reasons = [(r.row, r.reason) for r in batch.rejected]
    assert reasons == [
        (1, NO_ID),
        (2, "repeated source_id"),
        (3, NO_ID),
    ]


def test_a_broken_row_does_not_exclude_a_valid_one_of_the_same_star(row: pd.Series, tmp_path: Path) -> None:
    broken = edited(row, "bp_coefficients", lambda values: values[:-1])
    batch = read_whole(bulk(tmp_path / "bulk.csv.gz", [broken, row, row]))
    assert batch.columns["source_id"].tolist() == [ID]
    reasons = [(r.row, r.reason) for r in batch.rejected]
    assert reasons == [(0, "bp_coefficients: 54 numbers, not 55"), (2, "repeated source_id")]


def test_a_star_without_any_band_is_rejected(row: pd.Series, tmp_path: Path) -> None:
    none = changed(row, **dict.fromkeys(LIST_COLUMNS, "null"))
    batch = read_whole(bulk(tmp_path / "bulk.csv.gz", [changed(row, source_id="1"), none]))
    assert [r.reason for r in batch.rejected] == ["both bands are missing"]


@hypothesis_settings(max_examples=20)
@given(block=st.integers(500, 200_000))
def test_the_blocks_a_file_is_read_in_do_not_matter(many: tuple[Path, RawBatch], block: int) -> None:
    path, expected = many
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaia_text, "_BLOCK_BYTES", block)
        batch = read_whole(path)
    assert batch.rejected == expected.rejected
    for name, values in expected.columns.items():
        assert batch.columns[name].tobytes() == values.tobytes()


@pytest.fixture(scope="module")
def many(row: pd.Series, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RawBatch]:
    rows = [changed(row, source_id=str(100 + i)) for i in range(12)]
    rows[3] = edited(rows[3], "bp_coefficients", lambda v: v[:-1])
    rows[7] = changed(rows[7], **{name: "null" for name in LIST_COLUMNS if name.startswith("bp")})
    path = bulk(tmp_path_factory.mktemp("bulk") / "bulk.csv.gz", rows)
    return path, read_whole(path)


@pytest.mark.slow
def test_memory_stays_flat(row: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaia_text, "_BLOCK_BYTES", 1 << 20)
    peaks = []
    for count in (60, 600):
        path = bulk(tmp_path / f"{count}.csv.gz", [changed(row, source_id=str(i)) for i in range(count)])
        tracemalloc.start()
        assert sum(batch.rows_read for batch in GaiaFile(str(path)).read()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_a_truncated_gzip_is_refused(row: pd.Series, tmp_path: Path) -> None:
    path = bulk(tmp_path / "bulk.csv.gz", [changed(row, source_id=str(i)) for i in range(20)])
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match="cannot be read to its end"):
        read_whole(path)


def test_a_checksum_file_is_honoured(row: pd.Series, tmp_path: Path) -> None:
    path = bulk(tmp_path / "XpContinuousMeanSpectrum_000000-003111.csv.gz", [row])
    listing = tmp_path / "_MD5SUM.txt"
    listing.write_text(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.name}\n")
    assert fingerprint(str(path)) == f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"
    check_unchanged(str(path), fingerprint(str(path)))
    listing.write_text(f"{'0' * 32}  {path.name}\n")
    with pytest.raises(UserError, match="its MD5 is not the listed one"):
        check_unchanged(str(path), fingerprint(str(path)))
    listing.write_text(f"{'0' * 32}  another.csv.gz\n")
    assert fingerprint(str(path)) == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    planned = fingerprint(str(path))
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match="has changed since planned"):
        check_unchanged(str(path), planned)


def test_a_large_parquet_file_is_read_in_ranges(
    row: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaia_tables, "_RANGE_ROWS", 5)
    path = bulk(tmp_path / "bulk.csv.gz", [changed(row, source_id=str(i)) for i in range(13)])
    assert GaiaFile(str(path)).ranges() == [(0, None)]
    whole = as_parquet(path, row_group_size=3)
    file = reader.open_spectra(str(whole))
    ranges = file.ranges()
    assert ranges == [(0, 6), (6, 6), (12, 1)]
    apart = [batch.columns for rows in ranges for batch in reader.read(file, *rows, reader.NO_COMPANIONS)]
    together = read_whole(whole).columns
    for name, values in together.items():
        np.testing.assert_array_equal(np.concatenate([columns[name] for columns in apart]), values)
    ids = [value for rows in ranges for array in file.source_ids(*rows) for value in array.to_pylist()]
    assert ids == list(range(13))


@pytest.mark.parametrize("suffix", ["csv.gz", "parquet"])
def test_identifiers_alone_are_those_of_all_rows(row: pd.Series, tmp_path: Path, suffix: str) -> None:
    rows = [changed(row, source_id=value) for value in ("5", "x", "7", "5")]
    path = bulk(tmp_path / "bulk.csv.gz", rows)
    if suffix == "parquet":
        path = as_parquet(path)
    file = reader.open_spectra(str(path))
    assert pa.concat_arrays(file.source_ids(*file.ranges()[0])).to_pylist() == [5, None, 7, 5]
    (batch,) = reader.read(file, *file.ranges()[0], reader.NO_COMPANIONS)
    assert len(batch.columns["source_id"]) + len(batch.rejected) == 4


def test_files_of_a_folder_a_glob_and_a_uri(row: pd.Series, tmp_path: Path) -> None:
    for name in ("b.csv.gz", "a.csv.gz"):
        bulk(tmp_path / name, [row])
    (tmp_path / "readme.txt").touch()
    expected = [str(tmp_path / name) for name in ("a.csv.gz", "b.csv.gz")]
    for source in (str(tmp_path), f"{tmp_path}/*.csv.gz", tmp_path.as_uri()):
        assert find_files(source) == expected
    with pytest.raises(UserError, match="no file here of a kind that can be read"):
        find_files(str(tmp_path / "readme.txt"))
    with pytest.raises(UserError, match="no such file or folder"):
        find_files(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="no file matches"):
        find_files(f"{tmp_path}/*.fits")


def test_names_with_brackets_and_a_home_folder(row: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are taken for globs only where no such file or folder exists."""
    folder = tmp_path / "run[1]"
    folder.mkdir()
    expected = [str(bulk(folder / name, [row])) for name in ("a.csv.gz", "b[?].csv.gz")]
    assert find_files(expected[1]) == expected[1:]
    assert find_files(str(folder)) == find_files(f"{folder}/*.csv.gz") == expected
    assert find_files(f"{tmp_path}/run[[]1]/[a-z].csv.gz") == expected[:1]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_files("~/run[1]") == find_files("~/run[1]/*") == expected


def test_a_dr4_file_is_read_with_51_and_55(row: pd.Series, tmp_path: Path) -> None:
    """Made-up: a DR3 star with its BP cut to 51 coefficients, as DR4 will have."""
    dr4 = row
    for name, count in (("coefficients", 51), ("coefficient_errors", 51), ("coefficient_correlations", 51 * 50 // 2)):
        dr4 = edited(dr4, f"bp_{name}", lambda v, n=count: v[:n])
    path = bulk(tmp_path / "dr4.csv.gz", [dr4])
    assert GaiaFile(str(path)).releases == ("dr4",)
    assert read_whole(path).columns["bp_coefficients"].shape == (1, 51)
