"""The rule on made tables, and on the packaged labels."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.commands.labels import merge_labels, write_literature
from xpfeh.errors import UserError
from xpfeh.labels.label_table import read_labels
from xpfeh.labels.literature import METAL_POOR, SURVEY_ERROR, Merged, merge, read_literature
from xpfeh.sources.library import NAME, library_path, read_apogee_labels

from tests.genuine import shared
from tests.labels.making_metal_poor import metal_poor_csv

MADE_SURVEY = pl.DataFrame(
    {
        "source_id": [1, 2, 3, 4, 5], "feh": [-1.7, -2.0, -2.3, -2.1, None], "feh_err": [0.01] * 4 + [None],
        "logg": [1.0, 2.0, 3.0, 4.0, 5.0], "teff": 4500.0, "alpha_m": [0.2, 0.2, 0.2, 0.2, float("nan")],
        "reference": "survey",
    }
)  # fmt: skip


def made(*rows: tuple[int, float | None, str], **columns: object) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema={"source_id": pl.Int64, "feh": pl.Float64, "reference": pl.String}, orient="row")
    return frame.with_columns(pl.Series(name, values) for name, values in columns.items())


def star(merged: Merged, source_id: int) -> dict:
    return merged.labels.row(by_predicate=pl.col("source_id") == source_id, named=True)


def test_the_literature_wins_below_minus_two_and_where_the_survey_has_nothing() -> None:
    merged = merge(MADE_SURVEY, [made((2, -2.01, "a"), (3, -2.0, "a"), (4, -3.0, "b"), (5, -1.0, "b"), (9, -1.5, "c"))])
    assert merged.labels["source_id"].to_list() == [1, 2, 3, 4, 5, 9]
    assert merged.labels["feh"].to_list() == [-1.7, -2.01, -2.3, -3.0, -1.0, -1.5]
    assert merged.labels["reference"].to_list() == ["survey", "a", "survey", "b", "b", "c"]
    assert merged.labels["logg"].to_list() == [1.0, 2.0, 3.0, 4.0, 5.0, None]
    assert star(merged, 5)["alpha_m"] is None
    counts = merged.counts
    assert counts["stars requested"] == counts["stars delivered"] == counts["of the literature"] + 2


def test_the_error_of_a_survey_grows_towards_the_end_of_its_grid() -> None:
    errors = dict(merge(MADE_SURVEY, [made()]).labels.select("source_id", "feh_err").iter_rows())
    expected = [0.01, np.hypot(0.01, 0.125), np.hypot(0.01, 0.25), np.hypot(0.01, 0.1875)]
    np.testing.assert_allclose([errors[i] for i in (1, 2, 3, 4)], expected)


def test_rows_that_say_nothing_are_dropped_and_counted() -> None:
    rows = made((7, -3.0, "a"), (8, -9.0, "a"), (8, None, "a"), (9, -4.0, "a"), limit=[None, None, None, "<"])
    merged = merge(MADE_SURVEY.clear(), [rows])
    assert merged.labels["source_id"].to_list() == [7]
    rejected = {name: n for name, n in merged.counts.items() if name.startswith("rejected")}
    assert list(rejected.values()) == [1, 1, 1]
    assert merged.counts["stars requested"] == 3 == merged.counts["stars delivered"] + merged.counts["stars rejected"]


def test_rows_of_a_reference_are_one_value_and_copies_count_once() -> None:
    rows = made((7, -3.0, "a"), (7, -3.1, "a"), (7, -3.8, "a"), (7, -3.105, "b"), (7, -2.7, "c"))
    merged = merge(MADE_SURVEY.clear(), [rows])
    assert star(merged, 7)["feh"] == pytest.approx((-3.1025 - 2.7) / 2)
    assert star(merged, 7)["feh_err"] == pytest.approx(0.4025 / 2)
    assert star(merged, 7)["reference"] == "a; b; c"
    assert merged.counts["copies that count once"] == 1


def test_the_error_of_one_value_and_the_least_of_several() -> None:
    rows = made((7, -3.0, "a"), (8, -3.0, "a"), (8, -3.02, "b"), (9, -3.0, "a"), feh_err=[None, None, None, 0.2])
    assert merge(MADE_SURVEY.clear(), [rows]).labels["feh_err"].to_list() == [0.15, 0.1, 0.2]


@pytest.mark.parametrize(("stars", "scatter", "applied"), [(5, 0.0, True), (4, 0.0, False), (5, 1.0, False)])
def test_a_zero_point_is_applied_where_stars_enough_show_it(stars: int, scatter: float, applied: bool) -> None:
    offsets = 0.3 + scatter * np.linspace(-1, 1, stars)
    rows = [row for i in range(stars) for row in ((i, -3.0, "a"), (i, -3.0 + offsets[i], "b"))]
    merged = merge(MADE_SURVEY.clear(), [made(*rows, (99, -2.5, "b"))])
    points = {row["reference"]: row for row in merged.zero_points.iter_rows(named=True)}
    assert points["b"]["offset"] == pytest.approx(0.3)
    assert points["b"]["stars"] == stars
    assert points["b"]["applied"] is applied
    assert star(merged, 99)["feh"] == pytest.approx(-2.8 if applied else -2.5)


def test_carbon_rich_stars_are_kept_with_a_large_error() -> None:
    rows = made((7, -3.0, "x (CEMP)"), (8, -3.0, "a"), (9, -3.0, "a"), carbon_rich=[None, True, False])
    labels = merge(MADE_SURVEY.clear(), [rows]).labels
    assert labels["carbon_rich"].to_list() == [True, True, False]
    assert labels["feh_err"].to_list() == [0.3, 0.3, 0.15]


def test_the_order_of_rows_and_tables_does_not_matter() -> None:
    rows = made((7, -3.0, "a"), (7, -3.1, "b"), (8, -3.0, "c"), (1, -2.5, "b"))
    one, other = merge(MADE_SURVEY, [rows]), merge(MADE_SURVEY.reverse(), [rows[2:].reverse(), rows[:2].reverse()])
    assert one.labels.equals(other.labels)
    assert one.counts == other.counts


def test_the_error_that_a_survey_gains_is_what_apogee_differs_by() -> None:
    apogee = pl.DataFrame(read_apogee_labels(library_path(NAME))).filter(pl.col("feh") < -2.0)
    both = apogee.join(read_literature(METAL_POOR), on="source_id", suffix="_literature")
    rms = np.sqrt(((both["feh"] - both["feh_literature"]) ** 2).mean())
    assert both.height == 41
    assert rms == pytest.approx(SURVEY_ERROR, abs=0.02)


def test_the_packaged_labels(tmp_path: Path) -> None:
    merged = write_literature(tmp_path / "labels.parquet")
    assert merged.counts["of the literature"] == 60
    assert merged.counts["stars delivered"] == 35_385
    labels = read_labels(tmp_path / "labels.parquet")
    without = np.isnan(labels.feh)
    assert without.sum() == merged.counts["stars without [Fe/H], kept for their other labels"] == 4466
    assert np.isfinite(labels.teff[without]).all()
    literature = labels.reference != "APOGEE"
    assert literature.sum() == 60
    assert np.isfinite(labels.logg[literature]).all()
    assert np.isfinite(labels.teff[literature]).all()
    assert np.nanmin(labels.feh) == -3.73


def test_the_packaged_table_is_made_by_this_code() -> None:
    assert metal_poor_csv(read_literature(shared("metal_poor/library_metal_poor.csv"))) == METAL_POOR.read_text()


def test_files_are_merged_and_rows_without_a_reference_are_the_files(tmp_path: Path) -> None:
    (tmp_path / "survey.csv").write_text("source_id,feh\n1,-1.0\n2,-2.4\n")
    (tmp_path / "mine.csv").write_text("source_id,feh,carbon_rich\n2,-2.9,true\n3,-2.2,\n")
    merge_labels(tmp_path / "survey.csv", [tmp_path / "mine.csv"], tmp_path / "labels.parquet")
    labels = read_labels(tmp_path / "labels.parquet")
    assert labels.feh.tolist() == [-1.0, -2.9, -2.2]
    assert labels.reference.tolist() == ["", "mine", "mine"]
    assert labels.feh_err[1:].tolist() == [0.3, 0.15]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("source_id,x\n1,2\n", "no column feh"),
        ("source_id,feh\n1,poor\n", "feh of row 0 is 'poor'"),
        ("source_id,feh\n", "empty"),
        ("source_id,feh,carbon_rich\n1,-3,maybe\n", "carbon_rich of row 0 is 'maybe'; write true, false or nothing"),
    ],
)
def test_a_wrong_table_gets_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(UserError, match=f"mine.csv: .*{message}"):
        read_literature(tmp_path / "mine.csv")
