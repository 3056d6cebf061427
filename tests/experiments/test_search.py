from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.finalists import ENSEMBLE
from xpfeh.experiments.registry import candidate_of
from xpfeh.experiments.search import search
from xpfeh.experiments.space import SPACE, recipe_of, sampler
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.lease import only_one
from xpfeh.settings import RECIPES, Recipe
from xpfeh.training.train import parts_of


def _curve(run: str) -> dict[int, float]:
    return {metric.step: metric.value for metric in mlflow_runs.client().get_metric_history(run, "validation_mae")}


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster", "mlflow_store")
def test_a_search_records_every_trial_and_its_best_can_be_promoted(sample: Sample, tmp_path: Path) -> None:
    mlflow_runs.run_of("small", "small")  # as if the driver was killed before it began a trial
    best = search([sample], "small", trials=3, steps=600, storage=tmp_path, finalists=1)
    assert (best.trials, best.failed) == (3, 0)
    client = mlflow_runs.client()
    runs = client.search_runs([mlflow_runs.experiment_id()])
    assert len(runs) == 1 + 3 + 1
    assert len({run.data.tags.get("mlflow.parentRunId") for run in runs} - {None}) == 1
    by_tag = {run.data.tags[mlflow_runs.TRIAL_TAG]: run for run in runs}
    (ensemble,) = (tag for tag in by_tag if tag.endswith(ENSEMBLE))
    finalist = by_tag.pop(ensemble.removesuffix(ENSEMBLE))
    by_tag.pop("small")
    others = [run.data.metrics["mae"] for tag, run in by_tag.items() if tag != ensemble and "mae" in run.data.metrics]
    assert finalist.data.metrics["mae"] <= min(others, default=np.inf)
    winner = by_tag[ensemble]
    assert best.winner.run_id == winner.info.run_id
    assert (best.winner.mae, best.winner.mae_error) == (winner.data.metrics["mae"], winner.data.metrics["mae_error"])
    card = Predictor(candidate_of(best.winner.run_id).folder).card
    assert (card.recipe.members, card.recipe.folds, card.recipe.steps) == (10, 5, 600)
    assert card.stars.validation == np.isfinite(sample.part(*parts_of(card.recipe)).columns["feh"]).sum()

    with pytest.raises(UserError, match="already recorded in MLflow"):
        search([sample], "small", trials=1, steps=600, storage=tmp_path / "elsewhere")
    with pytest.raises(UserError, match="a search of that name exists"):
        search([sample], "small", trials=1, steps=600, storage=tmp_path)
    with pytest.raises(UserError, match=r"started with trials 3 \(given: 4\), steps 600 \(given: 500\)"):
        search([sample], "small", trials=4, steps=500, storage=tmp_path, resume=True)
    lost = finalist.info.run_id
    client.delete_run(lost)  # as if the driver was killed while the tracking server was away
    again = search([sample], "small", trials=3, steps=600, storage=tmp_path, resume=True, finalists=1)
    assert again == best
    found = mlflow_runs.find_run(ensemble.removesuffix(ENSEMBLE))
    assert found != lost
    assert _curve(found) == _curve(lost)
    assert {500, 600} <= set(_curve(lost))
    later = {run.info.run_id: run.info.end_time for run in client.search_runs([mlflow_runs.experiment_id()])}
    assert len(later) == 5
    assert later[winner.info.run_id] == winner.info.end_time, "trained again"


def test_a_search_of_a_wrong_name_or_size_or_a_missing_one_is_refused(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a name can only have letters"):
        search([sample], "o'brien/../x", trials=1, steps=100, storage=tmp_path)
    with pytest.raises(
        UserError, match="--members 5: at least two networks must leave out each of the 5 parts of the sky"
    ):
        search([sample], "few", trials=1, steps=100, storage=tmp_path, members=5)
    with pytest.raises(UserError, match="no such search to resume"):
        search([sample], "none", trials=1, steps=100, storage=tmp_path, resume=True)
    with only_one(f"{tmp_path}/running"), pytest.raises(UserError, match="another process is at work here"):
        search([sample], "running", trials=1, steps=100, storage=tmp_path)


def test_every_searched_name_is_a_setting() -> None:
    assert set(SPACE) <= set(Recipe.model_fields)


def test_the_first_trial_is_the_recipe_best_as_one_network() -> None:
    (first,) = sampler()._points_to_evaluate
    best = RECIPES["best"]
    differs = {name for name, value in recipe_of(first, best.steps) if value != getattr(best, name)}
    assert differs == {"name", "members", "folds", "keep"}
