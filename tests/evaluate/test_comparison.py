import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.cli.main import main
from xpfeh.errors import UserError
from xpfeh.evaluate.comparison.finalists import finalists_figure, rank_finalists
from xpfeh.evaluate.comparison.page import write_page
from xpfeh.evaluate.comparison.runs import Row, Run, varied
from xpfeh.evaluate.paired import bootstrap, star_by_star

from tests.evaluate.made_up import ONE_CELL, in_cells

VOID = {"meta", "img", "br", "hr", "link"}


class Checked(HTMLParser):
    """Checks that every tag that opens also closes, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def run(run_id: str, mae: float, **parameters: str) -> Run:
    known = {"learning_rate": "0.001", "activation": "relu", "weight_decay": "0.0"}
    return Run(run_id, "tuned", "0", known | parameters, {"mae": mae, "seconds": 12.0})


def report(folder: Path, ids: list[int], truth: np.ndarray, predicted: np.ndarray) -> Path:
    folder.mkdir()
    frame = pl.DataFrame({"source_id": ids, "feh_true": truth, "FEH": predicted.astype(np.float32)})
    frame.write_parquet(folder / "stars.parquet")
    return folder


def kept(n: int, scatter: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Return stars in separate cells, as a run keeps them."""
    rng = np.random.default_rng(seed)
    feh = rng.uniform(-2.5, 0.3, n).astype(np.float32)
    return {
        "source_id": np.arange(n) * ONE_CELL,
        "feh": feh,
        "FEH": feh + rng.normal(0, scatter, n).astype(np.float32),
        "FEH_err": np.full(n, scatter, np.float32),
    }


def written(tmp_path: Path, rows: list[Row], stars: dict[str, dict[str, np.ndarray]] | None = None) -> str:
    """Return the page of rows, without its scripts."""
    write_page(tmp_path / "new" / "page.html", rows, stars or {}, "xpfeh")
    page = (tmp_path / "new" / "page.html").read_text()
    checked = Checked()
    checked.feed(page)
    assert checked.open == []
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_a_page_is_one_file_with_every_recipe(tmp_path: Path) -> None:
    rows = [
        Row([run("a" * 32, 0.07, activation="<silu>"), run("b" * 32, 0.09, activation="<silu>")]),
        Row([run("c" * 32, 0.10, learning_rate="0.003", weight_decay="0.01")]),
    ]
    page = written(tmp_path, rows)
    assert not re.search(r"https?:|url\(|src=|<link", page)
    assert "0.0800 ± 0.0141" in page
    assert "activation <b>&lt;silu&gt;</b>" in page
    assert "weight_decay <b>0.01</b>" in page
    assert "finalist" not in page


def test_one_recipe_shows_no_differing_settings_and_a_folder_is_refused(tmp_path: Path) -> None:
    assert "differ" not in written(tmp_path, [Row([run("a" * 32, 0.07)])])
    with pytest.raises(UserError, match="is a folder; name a file"):
        write_page(tmp_path, [Row([run("a" * 32, 0.07)])], {}, "xpfeh")


def test_a_missing_number_is_a_dash(tmp_path: Path) -> None:
    rows = [Row([Run(name * 32, "tuned", "0", {}, numbers)]) for name, numbers in (
        ("a", {"mae": 0.07, "nll": float("nan")}), ("b", {"mae": 0.08, "nll": -1.0})
    )]  # fmt: skip
    assert (rows[0].text("nll"), rows[0].number("nll"), rows[1].number("nll")) == ("–", None, -1.0)
    write_page(tmp_path / "page.html", rows, {}, "xpfeh")
    page = (tmp_path / "page.html").read_text()
    assert '<td data-value="">–</td>' in page
    assert '<td data-value="-1.0">−1.00</td>' in page


def test_a_run_name_is_escaped(tmp_path: Path) -> None:
    named = Run("a" * 32, "</script><script>alert(1)</script>", "0", {}, {"mae": 0.07})
    write_page(tmp_path / "page.html", [Row([named])], {}, "xpfeh")
    assert "<script>alert" not in (tmp_path / "page.html").read_text()


def test_finalists_are_compared_with_their_trials_and_star_by_star(tmp_path: Path) -> None:
    def finalist(name: str, mae: float) -> Run:
        trial = Run(f"{name}1" * 16, "tuned", "0", {}, {"mae": mae - 0.01, "mae_error": 0.004})
        return replace(trial, run_id=f"{name}0" * 16, numbers={"mae": mae, "mae_error": 0.002}, trial=trial)

    rows = [Row([finalist(name, mae)]) for name, mae in (("a", 0.08), ("b", 0.081), ("c", 0.2), ("d", 0.3))]
    rows.append(Row([run("e" * 32, 0.05)]))
    same, worse = kept(400, 0.1), kept(400, 0.3)
    worse["FEH"] = worse["feh"] + 3 * (same["FEH"] - same["feh"])
    stars = {"a0" * 16: same, "b0" * 16: kept(400, 0.1), "c0" * 16: worse}
    best, other, third, unkept = rank_finalists(rows, stars)
    assert best.behind is None
    assert unkept.behind is None
    assert (other.behind.a - other.behind.b, other.behind.n) == (0, 400)
    assert "no significant difference" in other.behind.verdict()
    assert third.behind.verdict("it", "the best") == "the best is better"
    residual = [np.abs(each["FEH"] - each["feh"]).mean() for each in (worse, same)]
    np.testing.assert_allclose(third.behind.a - third.behind.b, residual[0] - residual[1], atol=1e-6)

    (axes,) = finalists_figure([best, other]).axes
    ensembles, trials = (bars.lines[2][0].get_segments() for bars in axes.containers)
    np.testing.assert_allclose([bar[:, 0] for bar in ensembles], [[0.078, 0.082], [0.079, 0.083]])
    np.testing.assert_allclose([bar[:, 0] for bar in trials], [[0.066, 0.074], [0.067, 0.075]])
    page = written(tmp_path, rows, stars)
    assert "Is the best finalist really better?" in page
    assert "0.0800 ± 0.0020" in page
    assert page.count("the best is better") == 1


def test_only_known_values_differ() -> None:
    rows = [Row([run("a", 0.1, noise="0.5")]), Row([run("b", 0.2, activation="silu")])]
    assert varied(rows) == ["activation"]


def test_the_same_predictions_show_no_difference() -> None:
    residual = np.random.default_rng(1).normal(0, 0.1, 300)
    for found in bootstrap(residual, residual, in_cells(300)):
        assert (found.a - found.b, found.low, found.high) == (0, 0, 0)
        assert found.verdict() == "no significant difference on these 300 stars"


def test_less_noise_is_better_and_swapping_the_models_swaps_the_verdict() -> None:
    rng = np.random.default_rng(1)
    good, bad = rng.normal(0, 0.1, 1000), rng.normal(0, 0.15, 1000)
    assert [found.verdict() for found in bootstrap(good, bad, in_cells(1000))] == ["A is better"] * 3
    assert [found.verdict() for found in bootstrap(bad, good, in_cells(1000))] == ["B is better"] * 3


def test_the_interval_of_the_mae_matches_that_of_a_mean_of_pairs() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(0, 0.1, 2000)
    b = 1.1 * a + rng.normal(0, 0.02, 2000)
    found = bootstrap(a, b, np.arange(2000) * ONE_CELL)[0]
    pairs = np.abs(a) - np.abs(b)
    expected = pairs.mean() + np.array([-1.96, 1.96]) * pairs.std() / np.sqrt(len(pairs))
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.1 * np.ptp(expected))


def test_the_mae_alone_is_that_of_all_three_numbers() -> None:
    a, b = np.random.default_rng(4).normal(0, 0.1, (2, 400))
    assert bootstrap(a, b, in_cells(400), ["mae"]) == bootstrap(a, b, in_cells(400))[:1]


def test_whole_cells_are_resampled_not_single_stars() -> None:
    """Four stars with the same difference are one piece of evidence: the interval is twice as long."""
    rng = np.random.default_rng(2)
    b = np.repeat(rng.normal(0, 0.1, 500), 4)
    a = b + np.repeat(rng.normal(0, 0.02, 500), 4)
    alone, together = (bootstrap(a, b, ids)[0] for ids in (np.arange(2000) * ONE_CELL, in_cells(2000)))
    np.testing.assert_allclose((together.high - together.low) / (alone.high - alone.low), 2, rtol=0.1)


def test_stars_in_few_cells_show_no_difference() -> None:
    found = bootstrap(np.full(400, 0.1), np.full(400, 0.2), np.arange(400))
    assert np.isnan(found[0].low)
    assert all("no significant difference" in each.verdict() for each in found)


def test_models_of_similar_quality_are_indistinguishable() -> None:
    rng = np.random.default_rng(3)
    found = bootstrap(rng.normal(0, 0.1, 500), rng.normal(0, 0.1, 500), in_cells(500))
    assert all("no significant difference" in each.verdict() for each in found)


def test_reports_are_matched_by_star_not_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    ids, truth = in_cells(400).tolist(), rng.uniform(-2, 0, 400)
    noise = rng.normal(0, 0.1, 400)
    a = report(tmp_path / "a", ids, truth, truth + noise)
    *order, rest = rng.permutation(400)[:301]  # the last is without [Fe/H] in B
    answers = np.r_[np.zeros(300), 0.0, np.nan]
    b = report(
        tmp_path / "b",
        [ids[i] for i in order] + [2**62, ids[rest]],
        np.r_[truth, 0.0][[*order, 400, rest]],
        answers,
    )
    found = star_by_star(a, b)
    assert {each.n for each in found} == {300}
    np.testing.assert_allclose(found[0].a, np.abs(noise[order]).mean(), atol=1e-6)
    np.testing.assert_allclose(found[0].b, np.abs(truth[order]).mean(), atol=1e-6)
    with pytest.raises(SystemExit) as exit_info:
        main(["compare", "--reports", str(a), str(b)])
    assert exit_info.value.code == 0
    assert "A is better" in " ".join(capsys.readouterr().out.split())


def test_reports_that_cannot_be_compared_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = np.array([-1.0, -0.5])
    a = report(tmp_path / "a", [1, 2], truth, truth)
    with pytest.raises(UserError, match="no star in common"):
        star_by_star(a, report(tmp_path / "b", [3, 4], truth, truth))
    with pytest.raises(UserError, match=r"true \[Fe/H\] of 1 of 2 stars differs"):
        star_by_star(a, report(tmp_path / "c", [1, 2], np.array([-1.0, -0.4]), truth))
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="is not a report"):
        star_by_star(a, tmp_path / "none")
    with pytest.raises(SystemExit) as exit_info:
        main(["compare", "--reports", str(a), str(a), "--html", str(tmp_path / "page.html")])
    assert exit_info.value.code == 2
    assert "give only one" in capsys.readouterr().err
