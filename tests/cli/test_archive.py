"""Commands that query the archive, as a user sees them; a server on this machine plays it."""

import re
from pathlib import Path

import pytest
from xpfeh.archive import archives
from xpfeh.archive.archives import Services
from xpfeh.cli.main import main

from tests.archive.archive_server import ArchiveServer

STAR = 5_937_083_312_263_887_616


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main([*map(str, words)])
    return int(end.value.code or 0), capsys.readouterr().out


@pytest.fixture(autouse=True)
def _local(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "PUBLIC", services)
    monkeypatch.setenv("COLUMNS", "200")


def test_identifiers_in_answers_out(archive: ArchiveServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive.absent = {77}
    (tmp_path / "stars.txt").write_text(f"{STAR}\n77\n{STAR + 1}\n")
    code, output = run(capsys, "predict", "--ids", tmp_path / "stars.txt", "--out", tmp_path / "feh.csv")
    first, second = output.splitlines()[-2:]
    assert code == 0
    assert re.fullmatch(rf"3 stars: \d good, .*1 rejected.* -> {tmp_path}/feh.csv", first)
    assert sum(map(int, re.findall(r"[:,] (\d+) ", first))) == 3
    assert second == f"reasons for the rejected rows: {tmp_path}/feh.csv.rejected.csv"
    assert len((tmp_path / "feh.csv").read_text().splitlines()) == 3
    for words, counts in ((["cache"], "3 2"), (["cache", "--forget", "dr3"], "0 0")):
        code, output = run(capsys, *words)
        assert (code, f"dr3 {counts}" in " ".join(output.replace("│", " ").split())) == (0, True)


def test_a_probe_reports_differences_by_its_exit_code(
    archive: ArchiveServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = run(capsys, "probe", "dr4")
    assert (code, "1 unknown" in output) == (0, True)
    archive.n_bp = 53
    code, output = run(capsys, "probe", "dr4")
    assert (code, "1 differs" in output) == (1, True)
    assert "xpfeh/releases.py" in output
