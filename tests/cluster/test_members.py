"""Members trained by workers of a real Ray cluster have the bytes of one process."""

import os
from pathlib import Path

import numpy as np
import pytest
import ray
from xpfeh.cluster import members
from xpfeh.cluster.connection import Share, result_of
from xpfeh.cluster.members import fit_on_workers
from xpfeh.commands.read_sample import read_sample
from xpfeh.errors import UserError
from xpfeh.inference.bundle import MODEL, SLOPES, WEIGHTS
from xpfeh.labels.sample import SPECTRA, Sample
from xpfeh.large_arrays import on_disk
from xpfeh.settings import RECIPES
from xpfeh.training.train import train

pytestmark = pytest.mark.usefixtures("ray_cluster")

RECIPE = RECIPES["best"].model_copy(update={"steps": 600, "members": 4, "folds": 2})


@pytest.mark.slow
def test_workers_give_the_bytes_of_one_process(sample: Sample, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    here = train(sample, RECIPE, tmp_path / "here")
    there = train(
        sample, RECIPE, tmp_path / "there", lambda member, step, _: reports.append((member, step)), fit_on_workers(2)
    )
    assert here.version == there.version
    for name in (MODEL, SLOPES, WEIGHTS):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert sorted(reports) == [(member, step) for member in range(4) for step in (500, 600)]
    both = ray.remote(num_cpus=2)(lambda: "free")
    assert ray.get(both.remote(), timeout=60) == "free", "the workers still hold their CPUs"


@pytest.mark.slow
def test_workers_read_a_sample_on_disk_from_its_file(features_dir: Path, labels_file: Path, tmp_path: Path) -> None:
    sample = read_sample(features_dir, labels_file, memory_gb=0)
    here = train(sample, RECIPE, tmp_path / "here")
    there = train(sample, RECIPE, tmp_path / "there", fit=fit_on_workers(2))
    assert here.version == there.version
    in_memory = train(read_sample(features_dir, labels_file), RECIPE, tmp_path / "in-memory")
    assert here.version != in_memory.version, "it draws the stars in another order"
    assert here.stars == in_memory.stars
    assert abs(here.validation["mae"] - in_memory.validation["mae"]) < 2 * here.validation["mae_error"]


def test_workers_can_compute_in_the_memory_of_rays_store(sample: Sample) -> None:
    """Tensors share memory that is aligned (`as_tensor`): all workers of a machine need one copy of the spectra."""
    shared = ray.put(({name: sample.columns[name] for name in SPECTRA}, np.ones((3, 5), dtype=bool)))
    rests = ray.remote(lambda put: [values.ctypes.data % 64 for values in put[0].values()])
    assert ray.get(rests.remote(shared)) == [0, 0]


def test_a_worker_that_never_fits_on_this_machine_is_refused(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UserError, match="a worker needs 1 GPUs; this machine has 0"):
        train(sample, RECIPE, tmp_path / "model", fit=fit_on_workers(1, Share(1, 1)))


def test_a_worker_that_dies_or_cannot_open_a_file_of_another_machine_is_reported_in_one_line() -> None:
    dies = ray.remote(max_retries=0)(lambda: os._exit(1)).remote()
    with pytest.raises(UserError, match="a worker has died repeatedly"):
        result_of(dies)
    elsewhere = on_disk((2, 3))
    task = ray.remote(lambda array: array.sum())
    there = ray.put(elsewhere)
    Path(str(elsewhere.filename)).unlink()
    with pytest.raises(UserError, match="not found on this machine; set TMPDIR"):
        result_of(task.remote(there))


def test_a_worker_compiles_once_for_all_members_that_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted:
        def __init__(self, stars: object, roles: object, recipe: object) -> None:
            made.append(recipe)

        def train(self, member: int) -> int:
            return member

    monkeypatch.setattr(members, "Trainer", Counted)
    monkeypatch.setattr(members, "_trainers", {})
    assert [members._train_member(({}, None), "first", RECIPE, member) for member in (0, 2)] == [0, 2]
    assert members._train_member(({}, None), "second", RECIPE, 1) == 1
    assert (len(made), list(members._trainers)) == (2, ["second"])
