from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from xpfeh.commands.train import train_and_record
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_runs, registry
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe

pytestmark = pytest.mark.usefixtures("mlflow_store")


def recorded(sample: Sample, folder: Path, seed: int) -> str:
    return train_and_record(sample, Recipe(steps=500, seed=seed), folder / f"bundle-{seed}").run_id


@pytest.mark.slow
def test_a_run_records_what_made_it(sample: Sample, tmp_path: Path) -> None:
    run = mlflow_runs.client().get_run(recorded(sample, tmp_path, 3))
    assert run.data.params["cost_bins"] == "(10, 15)"
    assert run.data.tags["labels_sha256"] == sample.origin.labels_sha256
    assert run.info.status == "FINISHED"
    assert run.data.metrics["mae"] < 0.4
    assert [r.info.run_id for r in mlflow_runs.finished_runs()] == [run.info.run_id]


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no experiment"):
        mlflow_runs.finished_runs("nonesuch")
    mlflow_runs.experiment_id()
    empty = mlflow_runs.run_of("x/1", "x")
    with pytest.raises(UserError, match="no run with a model"):
        registry.candidate_of(empty)
    mlflow_runs.client().set_tag(empty, "model_version", "of a run whose artifacts are gone")
    with pytest.raises(UserError, match="cannot be downloaded from the model store"):
        registry.candidate_of(empty)
    assert mlflow_runs.run_of("x/1", "x") == empty


@pytest.mark.slow
def test_looks_are_counted_by_split_and_two_at_once_are_two(tmp_path: Path) -> None:
    assert registry.count_look("sky") is None  # no run was ever recorded here
    mlflow_runs.experiment_id()
    assert [registry.count_look("sky"), registry.count_look("sky"), registry.count_look("other")] == [1, 2, 1]
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(registry.count_look, ["sky", "sky"])) == [3, 4]


def test_without_a_store_nothing_is_counted_and_none_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    assert registry.count_look("sky") is None
    assert list(tmp_path.iterdir()) == []
