"""The commands for datasets print the state of a real catalog of three parts."""

import re
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest
from xpfeh.cli.main import main
from xpfeh.cli.printing import print_rows
from xpfeh.commands.catalog import make_work, plan_catalog
from xpfeh.dataset.dataset import Dataset
from xpfeh.errors import UserError
from xpfeh.inference.bundle import pack


@pytest.fixture(scope="module")
def unfinished(features_dir: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of three parts: one done, one failed, one not tried yet."""
    out = tmp_path_factory.mktemp("run") / "catalog"
    dataset = Dataset.begin(out, plan_catalog(features_dir, bundle))
    done, failed, _ = dataset.plan.shards
    dataset.commit(done, make_work(str(features_dir), pack(bundle))(done))
    dataset.fail(failed, UserError("part-00001.parquet: the disk is gone"))
    return out


@pytest.fixture
def finished(unfinished: Path, features_dir: Path, bundle: Path, tmp_path: Path) -> Path:
    out = Path(shutil.copytree(unfinished, tmp_path / "catalog"))
    dataset, work = Dataset.at(out), make_work(str(features_dir), pack(bundle))
    for shard in dataset.pending():
        dataset.commit(shard, work(shard))
    return out


def run(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    assert ended.value.code == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_status_and_failed_of_an_unfinished_run(capsys: pytest.CaptureFixture[str], unfinished: Path) -> None:
    output = run(capsys, 0, "status", unfinished)
    assert "1 of 3 done, 1 failed" in output
    assert "2,000 read = 2,000 written + 0 rejected" in output
    assert "time left" in output
    output = run(capsys, 0, "failed", unfinished, "--trace")
    assert "part-00001.parquet: the disk is gone" in output
    assert "1 parts failed" in output


def test_verify_and_publish_of_an_unfinished_run(
    capsys: pytest.CaptureFixture[str], unfinished: Path, tmp_path: Path
) -> None:
    output = run(capsys, 1, "verify", unfinished)
    assert "part-00001: has not been made yet" in output
    assert "6,000 requested, 2,000 written + 0 rejected" in output
    assert "2 of 3 parts are missing" in run(capsys, 2, "catalog", "publish", unfinished, "--out", tmp_path / "release")


def test_verify_and_publish_of_a_finished_run(
    capsys: pytest.CaptureFixture[str], finished: Path, tmp_path: Path
) -> None:
    output = run(capsys, 0, "verify", finished)
    assert "6,000 requested, 6,000 written + 0 rejected" in output
    assert "each star exactly once" in output
    assert "0 parts failed" in run(capsys, 0, "failed", finished)
    out = tmp_path / "release"
    assert "6,000 stars published" in run(capsys, 0, "catalog", "publish", finished, "--out", out, "--format", "fits")
    assert {path.name for path in out.iterdir()} == {"catalog.fits", "MANIFEST.json", "README.txt", "zenodo.json"}


def test_a_run_ends_with_the_number_of_good_stars(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    dataset = Dataset.at(finished)
    print_rows("catalog", dataset.records())
    line = capsys.readouterr().out.strip()
    good = pc.sum(dataset.read(["good"])["good"]).as_py()
    assert re.fullmatch(rf"6,000 stars: {good:,} good, .* -> catalog", line)
    assert sum(int(n.replace(",", "")) for n in re.findall(r"[:,] ([\d,]+) ", line)) == 6000


def test_a_folder_without_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for command in ("status", "failed", "verify"):
        assert "not an xpfeh dataset" in run(capsys, 2, command, tmp_path)
