import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from xpfeh.cli.main import main
from xpfeh.errors import UserError
from xpfeh.evaluate.comparison import Row, Run, varied
from xpfeh.evaluate.comparison_page import _Scale, learning_curves, write_page
from xpfeh.evaluate.paired import bootstrap, star_by_star

from tests.evaluate.made_up import ONE_CELL, in_cells

VOID = {"meta", "img", "br", "hr", "link"}


class Checked(HTMLParser):
    """Every tag that opens must close, in order."""

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
    frame = pl.DataFrame({"source_id": ids, "feh": truth, "FEH": predicted.astype(np.float32)})
    frame.write_parquet(folder / "stars.parquet")
    return folder


def test_a_page_is_one_file_with_every_picture(tmp_path: Path) -> None:
    rows = [
        Row([run("a" * 32, 0.07, activation="<silu>"), run("b" * 32, 0.09, activation="<silu>")]),
        Row([run("c" * 32, 0.10, learning_rate="0.003", weight_decay="0.01")]),
    ]
    curves = {each.run_id: np.array([[500, 0.3], [1000, 0.1]]) for row in rows for each in row.runs}
    write_page(tmp_path / "new" / "page.html", rows, curves, "xpfeh")
    page = (tmp_path / "new" / "page.html").read_text()
    checked = Checked()
    checked.feed(page)
    assert checked.open == []
    assert not re.search(r"https?:|//|url\(|<script|<link", re.sub(r"base64,[^\"]*", "", page))
    assert checked.seen.count("img") == 3
    for picture in re.findall(r"data:image/png;base64,([^\"]*)", page):
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert image.size[0] > 300
    assert "0.0800 ± 0.0141" in page
    assert "&lt;silu&gt;" in page
    assert "<th>weight_decay</th>" in page


def test_one_recipe_has_its_learning_curve_and_nothing_that_differs(tmp_path: Path) -> None:
    rows = [Row([run("a" * 32, 0.07)])]
    write_page(tmp_path / "page.html", rows, {"a" * 32: np.array([[500, 0.3]])}, "xpfeh")
    page = (tmp_path / "page.html").read_text()
    assert "Learning curves" in page
    assert page.count("<img") == 1
    assert "differ" not in page
    with pytest.raises(UserError, match="is a folder; name a file"):
        write_page(tmp_path, rows, {}, "xpfeh")


def test_a_learning_curve_is_drawn_as_it_was_recorded() -> None:
    curve = np.array([[500, 0.3], [1000, 0.1]])
    figure = learning_curves([run("a", 0.2), run("b", 0.1)], {"a": curve, "b": np.empty((0, 2))})
    drawn = [line.get_xydata() for line in figure.axes[0].lines]
    np.testing.assert_array_equal(drawn[0], curve)
    assert len(drawn) == 2


def test_only_known_values_differ() -> None:
    rows = [Row([run("a", 0.1, noise="0.5")]), Row([run("b", 0.2, activation="silu")])]
    assert varied(rows) == ["activation"]


def test_numbers_have_a_scale_and_what_is_none_stands_beneath_it() -> None:
    decay = _Scale.of("weight_decay", ["0.0", "0.0001", "0.001", "0.01"])
    assert decay.positions[0] == 0
    np.testing.assert_allclose(np.diff(decay.positions[1:]), (1 - decay.positions[1]) / 2)
    assert decay.labels == ["0", "0.0001", "0.001", "0.01"]
    linear = _Scale.of("noise", ["0.0", "0.5", "1.5"])
    np.testing.assert_allclose(linear.positions, [0, 1 / 3, 1])
    words = _Scale.of("hidden", ["(256, 64)", "(128, 64)", "(256, 64)"])
    np.testing.assert_array_equal(words.positions, [1, 0, 1])
    assert words.labels == ["128,64", "256,64"]


def test_the_same_predictions_show_no_difference() -> None:
    residual = np.random.default_rng(1).normal(0, 0.1, 300)
    for found in bootstrap(residual, residual, in_cells(300)):
        assert (found.a - found.b, found.low, found.high) == (0, 0, 0)
        assert found.verdict == "no difference that these 300 stars can show"


def test_less_noise_is_better_and_swapping_the_models_swaps_the_verdict() -> None:
    rng = np.random.default_rng(1)
    good, bad = rng.normal(0, 0.1, 1000), rng.normal(0, 0.15, 1000)
    assert [found.verdict for found in bootstrap(good, bad, in_cells(1000))] == ["A is better"] * 3
    assert [found.verdict for found in bootstrap(bad, good, in_cells(1000))] == ["B is better"] * 3


def test_the_interval_of_the_mae_is_that_of_a_mean_of_pairs() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(0, 0.1, 2000)
    b = 1.1 * a + rng.normal(0, 0.02, 2000)
    found = bootstrap(a, b, np.arange(2000) * ONE_CELL)[0]
    pairs = np.abs(a) - np.abs(b)
    expected = pairs.mean() + np.array([-1.96, 1.96]) * pairs.std() / np.sqrt(len(pairs))
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.1 * np.ptp(expected))


def test_whole_cells_are_resampled_and_not_single_stars() -> None:
    """Four stars with one difference are one piece of evidence: the interval is twice as long."""
    rng = np.random.default_rng(2)
    b = np.repeat(rng.normal(0, 0.1, 500), 4)
    a = b + np.repeat(rng.normal(0, 0.02, 500), 4)
    alone, together = (bootstrap(a, b, ids)[0] for ids in (np.arange(2000) * ONE_CELL, in_cells(2000)))
    np.testing.assert_allclose((together.high - together.low) / (alone.high - alone.low), 2, rtol=0.1)


def test_stars_of_few_cells_show_no_difference() -> None:
    found = bootstrap(np.full(400, 0.1), np.full(400, 0.2), np.arange(400))
    assert np.isnan(found[0].low)
    assert all("no difference" in each.verdict for each in found)


def test_two_models_of_like_quality_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(3)
    found = bootstrap(rng.normal(0, 0.1, 500), rng.normal(0, 0.1, 500), in_cells(500))
    assert all("no difference" in each.verdict for each in found)


def test_reports_are_matched_by_star_and_not_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    with pytest.raises(UserError, match="is no report"):
        star_by_star(a, tmp_path / "none")
    with pytest.raises(SystemExit) as exit_info:
        main(["compare", "--reports", str(a), str(a), "--html", str(tmp_path / "page.html")])
    assert exit_info.value.code == 2
    assert "give one of them" in capsys.readouterr().err
