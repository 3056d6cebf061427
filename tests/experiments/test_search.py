from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.registry import bundle_of_run
from xpfeh.experiments.search import search
from xpfeh.experiments.space import SPACE, recipe_of, sampler
from xpfeh.files import only_process
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.settings import RECIPES, Recipe


def _curve(run: str) -> dict[int, float]:
    return {metric.step: metric.value for metric in mlflow_runs.client().get_metric_history(run, "validation_mae")}


@pytest.mark.usefixtures("ray_cluster", "mlflow_store")
def test_a_search_records_every_trial_and_its_best_can_be_promoted(sample: Sample, tmp_path: Path) -> None:
    mlflow_runs.run_of("small", "small")  # as if the driver was killed before it began a trial
    best = search([sample], "small", trials=3, steps=1000, storage=tmp_path, finalists=1)
    assert (best.trials, best.failed) == (3, 0)
    assert best.winner.seeds == 3
    assert best.winner.spread > 0
    client = mlflow_runs.client()
    runs = client.search_runs([mlflow_runs.experiment_id()])
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs}
    assert len(runs) == 1 + 3 + 2
    assert len(parents - {None}) == 1
    tags = [run.data.tags[mlflow_runs.TRIAL_TAG] for run in runs]
    assert len(set(tags)) == 6
    seeds = [run for run in runs if "/seed-" in run.data.tags[mlflow_runs.TRIAL_TAG]]
    (finalist,) = {run.data.tags[mlflow_runs.TRIAL_TAG].partition("/seed-")[0] for run in seeds}
    family = [run for run in runs if run.data.tags[mlflow_runs.TRIAL_TAG].startswith(finalist)]
    errors = [run.data.metrics["mae"] for run in family]
    np.testing.assert_allclose([best.winner.mean, best.winner.spread], [np.mean(errors), np.std(errors, ddof=1)])
    assert best.winner.run_id == min(family, key=lambda run: run.data.metrics["mae"]).info.run_id
    assert sorted(run.data.params["seed"] for run in family) == ["0", "1", "2"]
    assert {run.data.params["steps"] for run in family} == {"1000"}
    chosen = client.get_run(best.winner.run_id).data
    bundle = bundle_of_run(best.winner.run_id).folder
    assert Predictor.load(bundle).model.network.recipe.seed == int(chosen.params["seed"])

    with pytest.raises(UserError, match="recorded in MLflow already"):
        search([sample], "small", trials=1, steps=1000, storage=tmp_path / "elsewhere")
    with pytest.raises(UserError, match="a search of that name is there"):
        search([sample], "small", trials=1, steps=1000, storage=tmp_path)
    with pytest.raises(UserError, match=r"begun with trials 3 \(given: 4\), steps 1000 \(given: 500\)"):
        search([sample], "small", trials=4, steps=500, storage=tmp_path, resume=True)
    assert best.winner.recipe.steps == 1000
    lost = mlflow_runs.known(finalist)
    client.delete_run(lost)  # as if the driver was killed while the tracking server was away
    again = search([sample], "small", trials=3, steps=1000, storage=tmp_path, resume=True, finalists=1)
    assert replace(again.winner, run_id="") == replace(best.winner, run_id="")
    assert (again.trials, again.failed) == (3, 0)
    assert _curve(mlflow_runs.known(finalist)) == _curve(lost)
    assert {500, 1000} <= set(_curve(lost))
    assert Predictor.load(bundle_of_run(mlflow_runs.known(finalist)).folder).model.network.recipe.seed == 0
    later = {run.info.run_id: run.info.end_time for run in client.search_runs([mlflow_runs.experiment_id()])}
    assert len(later) == 6
    assert all(later[run.info.run_id] == run.info.end_time for run in seeds)


def test_a_search_that_is_not_there_cannot_be_resumed(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a name has letters"):
        search([sample], "o'brien/../x", trials=1, steps=100, storage=tmp_path)
    with pytest.raises(UserError, match="no such search to resume"):
        search([sample], "none", trials=1, steps=100, storage=tmp_path, resume=True)
    with only_process(f"{tmp_path}/running"), pytest.raises(UserError, match="another process is at work here"):
        search([sample], "running", trials=1, steps=100, storage=tmp_path, resume=True)


def test_every_searched_name_is_a_setting() -> None:
    assert set(SPACE) <= set(Recipe.model_fields)


def test_the_first_trial_is_the_papers_own_recipe() -> None:
    first, second = sampler()._points_to_evaluate
    paper = RECIPES["paper"].model_copy(update={"name": "tuned", "steps": 700})
    assert recipe_of(first, 700) == paper
    best = RECIPES["best"]
    differs = {name for name, value in recipe_of(second, best.steps) if value != getattr(best, name)}
    assert differs == {"name", "members", "cross_fit", "l2", "floor"}
