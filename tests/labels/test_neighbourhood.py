"""Labels carried from one release's identifiers to the next's, on made tables."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.commands.labels import move_labels
from xpfeh.errors import UserError
from xpfeh.evaluate.paired import star_by_star
from xpfeh.labels.label_table import read_labels
from xpfeh.labels.neighbourhood import Neighbourhood

OLD, NEW = 5_937_083_312_263_887_616, 5_937_083_312_263_900_000
MADE = [
    (OLD, NEW, 0.2, 0.01),
    (OLD, NEW + 50, 900.0, 0.0),  # too far
    (OLD + 1, OLD + 1, 0.1, 3.0),  # the same number, another star
    (OLD + 2, NEW + 2, 1.0, 0.0),  # split into two
    (OLD + 2, NEW + 3, 80.0, 0.2),
    (OLD + 3, NEW + 4, 1.0, 0.0),  # merged with the next
    (OLD + 4, NEW + 4, 2.0, 0.1),
    (OLD + 5, NEW + 5, 1.0, None),  # no magnitude to judge by
    (OLD + 6, NEW, 900.0, 0.0),  # too far to make NEW ambiguous
    (OLD + 7, OLD, 0.3, 0.0),  # has the number that was another's
    (OLD + 7, OLD, 0.3, 0.0),
]


def pairs(rows: list[tuple[int, int, float, float | None]], path: Path) -> Path:
    names = ("dr3_source_id", "dr4_source_id", "angular_distance", "magnitude_difference")
    pl.DataFrame(rows, schema=names, orient="row").write_csv(path)
    return path


def test_labels_move_one_to_one_and_the_others_are_counted(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    columns = {"source_id": [OLD + i for i in (7, 0, 1, 2, 3, 4, 5, 6, 9)], "feh": np.linspace(-2, 0, 9)}
    pl.DataFrame(columns | {"reference": [f"r{i}" for i in range(9)]}).write_csv(labels)
    counts = move_labels(labels, pairs(MADE, tmp_path / "pairs.csv"), tmp_path / "moved.parquet")
    assert counts == {"rows": 9, "moved": 2, "ambiguous": 3, "without counterpart": 4}
    moved = pl.read_parquet(tmp_path / "moved.parquet")
    assert moved.select("source_id", "dr3_source_id", "feh", "reference").rows() == [
        (OLD, OLD + 7, -2.0, "r0"),
        (NEW, OLD, -1.75, "r1"),
    ]
    assert read_labels(tmp_path / "moved.parquet").source_id.tolist() == [OLD, NEW]


def test_labels_of_which_none_can_be_moved_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"source_id,feh\n{OLD + 2},-1\n{OLD + 9},-1\n")
    with pytest.raises(UserError, match="no labels can be moved: rows 2, moved 0, ambiguous 1, without counterpart 1"):
        move_labels(tmp_path / "labels.csv", pairs(MADE, tmp_path / "pairs.csv"), tmp_path / "moved.parquet")
    (tmp_path / "other.csv").write_text("dr3_source_id,dr4_source_id\n1,2\n")
    with pytest.raises(UserError, match=r"other.csv: no column angular_distance and magnitude_difference"):
        move_labels(tmp_path / "labels.csv", tmp_path / "other.csv", tmp_path / "moved.parquet")


MARKED = [
    (OLD, NEW, 0.2, 0.01, True),
    (OLD, NEW + 1, 80.0, 0.2, False),  # loses against the first, and is free for the next
    (OLD + 1, NEW + 1, 9.0, 0.0, False),
    (OLD + 2, NEW + 2, 1.0, 0.0, True),  # two probable matches: which?
    (OLD + 2, NEW + 3, 1.0, 0.0, True),
    (OLD + 3, NEW + 4, 700.0, 0.0, True),  # marked, but beyond our limits
    (OLD + 4, NEW + 5, 1.0, 0.9, True),
    (OLD + 5, NEW + 6, 1.0, 0.0, True),
    (OLD + 6, NEW + 6, 0.1, 0.0, False),  # nearer, but its star is another's probable match
    (OLD + 7, NEW + 7, 1.0, 0.0, None),  # no opinion
    (OLD + 8, NEW + 8, 600.0, 0.0, True),  # what is beyond our limits wins over nothing
    (OLD + 8, NEW + 9, 1.0, 0.0, False),
]
DRAFT = ("dr3_source_id", "source_id", "angular_distance", "magnitude_difference", "probable_match")


@pytest.mark.parametrize(
    ("true", "false"), [(True, False), ("true", "false"), ("t", "f"), ("T", "F"), (1, 0), ("True", "False")]
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_draft_of_dr4_with_probable_matches(tmp_path: Path, true: object, false: object, suffix: str) -> None:
    spelt = {True: true, False: false, None: None}
    frame = pl.DataFrame([(*row[:4], spelt[row[4]]) for row in MARKED], schema=list(DRAFT), orient="row")
    path = tmp_path / f"dr3_neighbourhood{suffix}"
    (frame.write_csv if suffix == ".csv" else frame.write_parquet)(path)
    moved = Neighbourhood(path).move(pl.DataFrame({"source_id": [OLD + i for i in range(9)]}))
    assert moved.table["source_id"].to_list() == [NEW, NEW + 1, NEW + 6, NEW + 7, NEW + 9]
    assert moved.counts == {"rows": 9, "moved": 5, "ambiguous": 1, "without counterpart": 3}


def test_a_probable_match_that_is_neither_true_nor_false(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(f"{','.join(DRAFT)}\n1,2,0.1,0.0,perhaps\n")
    with pytest.raises(UserError, match=r"probable_match of row 0 is 'perhaps'; write true, false or nothing"):
        Neighbourhood(tmp_path / "pairs.csv")


def test_both_names_of_the_newer_star(tmp_path: Path) -> None:
    """Joined with a table of DR3 stars, source_id may be theirs: the name that tells the release is taken."""
    text = "source_id,dr3_source_id,dr4_source_id,angular_distance,magnitude_difference\n1,1,2,0.1,0.0\n"
    (tmp_path / "pairs.csv").write_text(text)
    moved = Neighbourhood(tmp_path / "pairs.csv").move(pl.DataFrame({"source_id": [1]}))
    assert moved.table["source_id"].to_list() == [2]
    (tmp_path / "pairs.csv").write_text("dr3_source_id,GaiaDR3,angular_distance,magnitude_difference\n1,1,0.1,0.0\n")
    with pytest.raises(UserError, match="no column dr4_source_id; there are: dr3_source_id, GaiaDR3"):
        Neighbourhood(tmp_path / "pairs.csv")


def test_reports_of_two_releases_are_compared_star_by_star(tmp_path: Path) -> None:
    old, new = np.arange(400) * 2**49 + 7, np.arange(400) * 2**49 + 9
    path = pairs([(a, b, 0.1, 0.0) for a, b in zip(old.tolist(), new.tolist(), strict=True)], tmp_path / "pairs.csv")
    for name, ids, scatter in (("a", old, 0.1), ("b", new, 0.3)):
        (tmp_path / name).mkdir()
        stars = {"source_id": ids, "feh_true": np.zeros(400), "FEH": scatter * np.sin(np.arange(400))}
        pl.DataFrame(stars).write_parquet(tmp_path / name / "stars.parquet")
    with pytest.raises(UserError, match="no star in common"):
        star_by_star(tmp_path / "a", tmp_path / "b")
    found = star_by_star(tmp_path / "a", tmp_path / "b", Neighbourhood(path))
    assert [(each.n, each.verdict()) for each in found] == [(400, "A is better")] * 3
