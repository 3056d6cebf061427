"""The catalog under real faults, on a real cluster of two nodes; XPFEH_KILLS sets how often its driver is killed."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from xpfeh.commands.catalog import make_catalog
from xpfeh.commands.ingest import make_work, plan_features
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.status import status
from xpfeh.dataset.verify import verify
from xpfeh.errors import UserError
from xpfeh.settings import PreprocessSettings
from xpfeh.sources import library
from xpfeh.sources.library import NAME

from tests.processes import environment, kill, two_nodes, workers

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("XPFEH_KILLS", "2"))
PARTS = 80
WORKER = "MapWorker"


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of the whole library in 80 parts, made without Ray."""
    out = tmp_path_factory.mktemp("run") / "features"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "_RANGE_STARS", 500)
        plan = plan_features([NAME], PreprocessSettings())
    dataset, work = Dataset.begin(out, plan), make_work(PreprocessSettings())
    for shard in dataset.pending():
        dataset.commit(shard, work(shard))
    assert len(plan.shards) == PARTS
    return out


@pytest.fixture(scope="module")
def undisturbed(features: Path, bundle: Path, ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("catalog") / "undisturbed"
    make_catalog(features, bundle, out)
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def assert_whole(out: Path, undisturbed: Path) -> None:
    """Every star once, byte for byte what an undisturbed run writes, and nothing else."""
    account = verify(out)
    assert account.problems == []
    assert account.requested == account.written == 39_851
    assert content(out) == content(undisturbed)
    assert not (out / "_xpfeh" / "tmp").exists()
    assert status(out).failed == 0


def test_killed_drivers_workers_and_a_lost_node(
    features: Path, bundle: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, chance = tmp_path / "catalog", random.Random(KILLS)
    command = [sys.executable, "-m", "xpfeh", "catalog", "run", "--features", str(features), "--model", str(bundle)]
    finished = out / "_xpfeh" / "done"

    def wait_until(happened: Callable[[], object], driver: psutil.Popen) -> None:
        deadline = time.monotonic() + 180
        while not happened() and driver.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)

    with two_nodes() as cluster, (tmp_path / "log").open("w") as log:
        for fault in [*["driver"] * KILLS, "worker", "node"]:
            driver = psutil.Popen(
                [*command, "--out", str(out)], env=environment(cluster.variables), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
            more = len(list(finished.glob("*.json"))) + chance.randint(1, max(1, PARTS // (KILLS + 3)))
            wait_until(lambda more=more: len(list(finished.glob("*.json"))) >= more, driver)
            time.sleep(chance.uniform(0, 0.05))
            assert driver.poll() is None, "it ended before the fault"
            if fault == "driver":
                kill(driver)
            else:
                workers(cluster.process, WORKER)[0].kill() if fault == "worker" else cluster.lose_a_node()
            if fault == "node":
                assert driver.wait(timeout=180) == 0, (tmp_path / "log").read_text()
            elif fault == "worker":
                time.sleep(chance.uniform(0, 0.5))
                kill(driver)
    assert_whole(out, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """A file system in memory at ``tmp_path/disk``; call with its new size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can make a disk that is full")
    yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk(
    features: Path, bundle: Path, undisturbed: Path, tmp_path: Path, small_disk: Callable[[str], None]
) -> None:
    out = tmp_path / "disk" / "catalog"
    with pytest.raises(UserError, match=r"No space left on device.*the other parts are done"):
        make_catalog(features, bundle, out)
    assert 0 < status(out).done < PARTS
    small_disk("50m")
    make_catalog(features, bundle, out)
    assert_whole(out, undisturbed)


def test_a_corrupt_part_of_the_features(features: Path, bundle: Path, undisturbed: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(features, tmp_path / "features"))
    for name in ("part-00007.parquet", "part-00009.parquet"):
        flipped = bytearray((broken / name).read_bytes())
        flipped[len(flipped) // 2] ^= 0x10
        (broken / name).write_bytes(flipped)
    with pytest.raises(UserError, match=r"part-0000[79].*delete it.*and 1 more: xpfeh failed"):
        make_catalog(broken, bundle, tmp_path / "catalog")
    failures = Dataset.at(tmp_path / "catalog").failures()
    assert [failure.shard for failure in failures] == ["part-00007", "part-00009"]
    assert status(tmp_path / "catalog").done == PARTS - 2
    for name in ("part-00007.parquet", "part-00009.parquet"):
        shutil.copy(features / name, broken / name)
    make_catalog(broken, bundle, tmp_path / "catalog")
    account = verify(tmp_path / "catalog")
    assert (account.problems, account.written) == ([], 39_851)
    assert Dataset.at(tmp_path / "catalog").failures() == []
