from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from xpfeh.cli.main import main
from xpfeh.errors import UserError
from xpfeh.evaluate.comparison.runs import varied
from xpfeh.evaluate.validation_stars import FILE, OF_VALIDATION
from xpfeh.experiments import mlflow_runs
from xpfeh.experiments.mlflow_runs import ENSEMBLE, TRIAL_TAG
from xpfeh.experiments.recipes_table import recipe_rows, stars_of
from xpfeh.inference.bundle import read_card
from xpfeh.settings import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mlflow_store")]  # each test has a store of its own


def recorded(recipe: Recipe, mae: float, begun: int = 100, seconds: float = 60, stars: int = 500, **tags: str) -> str:
    """Record a run by hand, like one with a model in MLflow."""
    client = mlflow_runs.client()
    experiment = mlflow_runs.experiment_id()
    made = client.create_run(experiment, start_time=1000 * begun, tags={"model_version": "made", **tags})
    run_id = made.info.run_id
    history = [{"step": step, "validation_mae": mae + 100 / step} for step in (1000, 500)]
    numbers = {"mae": mae, "robust_sigma": 0.9 * mae, "coverage_68": 0.68, "n": stars, "seconds": seconds}
    mlflow_runs.log(run_id, params=recipe.model_dump(), history=[*history, numbers])
    client.set_terminated(run_id, "FINISHED")
    return run_id


def test_seeds_of_one_recipe_are_one_row_and_the_best_comes_first() -> None:
    single = recorded(Recipe(latent=32), 0.09)
    runs = [
        recorded(Recipe(seed=seed, name=name), mae, seconds=10 * seed, search=search)
        for seed, mae, name, search in ((1, 0.10, "tuned", "a"), (2, 0.06, "tuned", "b"), (3, 0.05, "paper", "b"))
    ]
    rows = recipe_rows("xpfeh")
    assert [[run.run_id for run in row.runs] for row in rows] == [runs[::-1], [single]]
    assert (rows[0].text("mae"), rows[1].text("mae")) == ("0.0700 ± 0.0265", "0.0900")
    assert rows[0].text("seconds") == "20 ± 10"
    assert rows[0].text("nll") == "–"
    assert rows[0].recipes == "paper, tuned"
    assert varied(rows) == ["latent"]


def test_of_two_runs_of_one_seed_the_newer_counts() -> None:
    newer = recorded(Recipe(), 0.09, begun=300)
    recorded(Recipe(), 0.05, begun=200)
    (row,) = recipe_rows("xpfeh")
    assert [run.run_id for run in row.runs] == [newer]


@pytest.mark.parametrize(
    ("other", "differs"), [({"stars": 501}, "validation_stars"), ({"features": "b" * 16}, "features")]
)
def test_seeds_on_other_data_are_another_recipe(other: dict, differs: str) -> None:
    recorded(Recipe(seed=1), 0.08, features="a" * 16)
    recorded(Recipe(seed=2), 0.09, **{"features": "a" * 16, **other})
    rows = recipe_rows("xpfeh")
    assert len(rows) == 2
    assert varied(rows) == [differs]


def test_a_run_older_than_a_setting_had_its_default() -> None:
    recorded(Recipe(seed=1), 0.08)
    client = mlflow_runs.client()
    old = client.create_run(mlflow_runs.experiment_id(), start_time=0, tags={"model_version": "old"}).info.run_id
    known = {name: value for name, value in Recipe(seed=2).model_dump().items() if name != "noise"}
    mlflow_runs.log(old, params=known, history=[{"mae": 0.09, "n": 500}])
    client.set_terminated(old)
    (row,) = recipe_rows("xpfeh")
    assert len(row.runs) == 2


def test_a_run_without_a_model_is_left_out() -> None:
    mlflow_runs.client().create_run(mlflow_runs.experiment_id())
    with pytest.raises(UserError, match="no run has a model yet"):
        recipe_rows("xpfeh")


def test_a_run_cut_off_while_being_written_is_left_out_or_partial() -> None:
    recorded(Recipe(), 0.08)
    client = mlflow_runs.client()
    for numbers in ({}, {"mae": 0.09}):
        cut = client.create_run(mlflow_runs.experiment_id(), tags={"model_version": "cut"}).info.run_id
        mlflow_runs.log(cut, params=Recipe(latent=8).model_dump(), history=[numbers])
    whole, cut_off = recipe_rows("xpfeh")
    assert "validation_stars" in whole.best.parameters
    assert cut_off.best.numbers == {"mae": 0.09}


def test_a_finalist_knows_its_trial_whichever_was_recorded_first() -> None:
    recorded(Recipe(members=10, folds=5), 0.09, begun=100, **{TRIAL_TAG: f"search/a{ENSEMBLE}"})
    trial = recorded(Recipe(), 0.08, begun=200, **{TRIAL_TAG: "search/a"})
    recorded(Recipe(members=20, folds=5), 0.10, **{TRIAL_TAG: f"search/lost{ENSEMBLE}"})
    trial_row, finalist, lost = recipe_rows("xpfeh")
    assert finalist.best.trial == trial_row.best
    assert trial_row.best.run_id == trial
    assert trial_row.best.trial is lost.best.trial is None


def test_a_run_keeps_the_stars_it_was_judged_on_and_its_version_does_not_depend_on_them(bundle: Path) -> None:
    card = read_card(bundle)
    old, new = (mlflow_runs.run_of(name, name) for name in ("old", "new"))
    mlflow_runs.log(new, params=card.recipe.model_dump())
    mlflow_runs.finish(new, bundle, card)
    (row,) = recipe_rows("xpfeh")
    stars = stars_of([row.best, replace(row.best, run_id=old)])
    assert set(stars) == {new}
    assert set(stars[new]) == set(OF_VALIDATION)
    assert len(stars[new]["feh"]) == card.validation["n"]
    np.testing.assert_allclose(np.abs(stars[new]["FEH"] - stars[new]["feh"]).mean(), card.validation["mae"], rtol=1e-5)
    assert FILE not in card.sha256


def test_the_command_prints_rows_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = recorded(Recipe(activation="silu"), 0.07)
    other = recorded(Recipe(activation="gelu"), 0.08)
    last = recorded(Recipe(latent=8), 0.09)
    with pytest.raises(SystemExit) as exit_info:
        main(["compare", "--rows", "2", "--html", str(tmp_path / "page.html")])
    assert exit_info.value.code == 0
    output = capsys.readouterr().out
    assert output.index(best[:8]) < output.index(other[:8])
    assert last[:8] not in output
    assert "activation=silu" in output
    assert "latent" not in output
    page = (tmp_path / "page.html").read_text()
    assert all(run_id[:8] in page for run_id in (best, other, last))
    assert "mlflow ui" in page
