from pathlib import Path

import pytest
from xpfeh.errors import UserError
from xpfeh.experiments import tracking
from xpfeh.experiments.registry import local_bundle, promote
from xpfeh.experiments.search import SPACE, recipe_of, search
from xpfeh.labels.samples import Sample
from xpfeh.model.predictor import Predictor
from xpfeh.settings import Recipe


@pytest.mark.usefixtures("ray_cluster", "mlflow_store")
def test_a_search_records_every_trial_and_its_best_can_be_promoted(sample: Sample, tmp_path: Path) -> None:
    best = search(sample, "small", trials=3, steps=1000, storage=tmp_path)
    assert best["trials"] == 3
    client = tracking.client()
    runs = client.search_runs([tracking.experiment_id()])
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs}
    assert len(runs) == 4
    assert len(parents - {None}) == 1
    tags = [run.data.tags[tracking.TRIAL_TAG] for run in runs]
    assert len(set(tags)) == 4
    finished = tracking.finished_runs()
    assert best["run_id"] == finished[0].info.run_id
    assert finished[0].data.params["steps"] == "1000"
    assert len(client.get_metric_history(best["run_id"], "validation_mae")) >= 1
    predictor = Predictor.load(local_bundle(f"models:/xpfeh/{promote(best['run_id'])}"))
    assert predictor.network.recipe == recipe_of(best["config"], 1000)

    with pytest.raises(UserError, match="a search of that name is there"):
        search(sample, "small", trials=1, steps=1000, storage=tmp_path)
    again = search(sample, "small", trials=3, steps=1000, storage=tmp_path, resume=True)
    assert again["run_id"] == best["run_id"]
    assert len(client.search_runs([tracking.experiment_id()])) == 4


def test_a_search_that_is_not_there_cannot_be_resumed(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such search to resume"):
        search(sample, "none", trials=1, steps=100, storage=tmp_path, resume=True)


def test_every_searched_name_is_a_setting() -> None:
    assert set(SPACE) <= set(Recipe.model_fields)
