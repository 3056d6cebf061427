"""The output of commands fits into a terminal of 80 columns, and a pipe, which has as many."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from xpfeh.archive.cache import Size
from xpfeh.cli import printing
from xpfeh.evaluate.paired import Difference
from xpfeh.evaluate.slices import slices_of
from xpfeh.experiments.gates import Gate
from xpfeh.serving.keys import Key, Scope

NUMBERS = {
    "n": 123_456, "bias": -0.1234, "median": -0.1234, "robust_sigma": 0.1234, "mae": 0.1234, "coverage_68": 0.7251,
    "coverage_95": 0.9581, "nll": -11.23,
}  # fmt: skip


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> pytest.CaptureFixture[str]:
    monkeypatch.setattr(printing, "console", Console(width=80, markup=False, emoji=False))
    return capsys


def test_each_number_of_a_report_is_in_one_line(printed: pytest.CaptureFixture[str]) -> None:
    slices = dict.fromkeys(_names_of_slices(), NUMBERS)
    printing.print_metrics({"best-0123456789ab": slices}, "held-out stars of split xpfeh")
    printing.print_spread([{"best": slices}, {"best": slices}])
    lines = printed.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in slices:
        number, *spread = [line.split() for line in lines if line.strip().startswith(f"{name} ")]
        assert number[-8:] == ["123456", "0.1234", "−0.123", "−0.123", "0.123", "0.725", "0.958", "−11.23"]
        assert [len(" ".join(each).split("±")) - 1 for each in spread] == [3, 4]
    assert "…" not in "".join(lines)


def _names_of_slices() -> list[str]:
    stars = dict.fromkeys(("feh", "ebv", "phot_g_mean_mag", "alpha_m"), np.zeros(1))
    flags, good = np.zeros(1, np.uint32), np.ones(1, dtype=bool)
    return list(slices_of(stars | {"flags": flags, "good": good, "reference": np.array([""])}))


def test_no_table_is_cut_off(printed: pytest.CaptureFixture[str]) -> None:
    printing.print_differences(("a", "b"), [Difference("robust sigma", 0.0781, 0.0861, -0.012, 0.003, 70_000)])

    class Judged:
        gates = (Gate("calibration: coverage_68, giants 0.5<=ebv<0.8", 12345.6, 0.6312, float("inf")),)
        notes, looks = (), None

    printing.print_gates(Judged())  # type: ignore[arg-type]
    printing.print_flags()
    limits = {"requests_per_minute": 60_000, "stars_per_day": 1_000_000}
    name = "an-observatory-of-a-long-name"
    printing.print_keys([Key(name=name, sha256="0" * 64, scopes=tuple(Scope), made=datetime.now(UTC), **limits)])
    printing.print_cache({"dr3": Size(Path("/home/a-user/.xpfeh/cache/dr3"), 12_345_678, 12_000_000, 12_345_000_000)})
    output = printed.readouterr().out
    assert max(map(len, output.splitlines())) <= 80
    assert "…" not in output
