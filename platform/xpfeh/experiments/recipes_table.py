"""Runs in MLflow, grouped by recipe: a row is a recipe with all its seeds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace

from mlflow.entities import Run as MlflowRun

from xpfeh.errors import UserError
from xpfeh.evaluate.comparison.runs import ERROR, OF_A_RUN, Row, Run
from xpfeh.evaluate.validation_stars import FILE, read_validation
from xpfeh.experiments.mlflow_retries import patient
from xpfeh.experiments.mlflow_runs import ENSEMBLE, MODEL_FOLDER, TRIAL_TAG, client, finished_runs
from xpfeh.settings import Recipe
from xpfeh.typing import Columns

_DATA_TAGS = ("features", "labels_sha256", "split")


def recipe_rows(experiment: str) -> list[Row]:
    """Return the recipes of an experiment, lowest mean validation error first; of two runs of one seed, the newer.

    Raises
    ------
    UserError
        If there is no such experiment, or no run in it holds a model.
    """
    # A run without MAE was killed while it wrote its numbers.
    known = [run for run in finished_runs(experiment) if "mae" in run.data.metrics]
    by_tag = {run.data.tags.get(TRIAL_TAG, ""): run for run in known}
    recipes: dict[frozenset[tuple[str, str]], dict[str, Run]] = {}
    for finished in sorted(known, key=lambda run: run.info.start_time):
        run = _run(finished)
        tag = finished.data.tags.get(TRIAL_TAG, "")
        if tag.endswith(ENSEMBLE) and (trial := by_tag.get(tag.removesuffix(ENSEMBLE))):
            run = replace(run, trial=_run(trial))
        recipes.setdefault(frozenset(run.parameters.items()), {})[run.seed] = run
    if not recipes:
        raise UserError(f"experiment {experiment!r}: no run has a model yet; run xpfeh train or xpfeh tune")
    rows = [Row(sorted(seeds.values(), key=lambda run: run.numbers["mae"])) for seeds in recipes.values()]
    return sorted(rows, key=lambda row: row.mae)


@patient()
def stars_of(runs: Iterable[Run]) -> dict[str, Columns]:
    """Return the validation stars with their predictions, by the id of each run that has stored them."""
    mlflow_client = client()
    found: dict[str, Columns] = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in runs:
            for bundle in mlflow_client.list_artifacts(run.run_id, f"{MODEL_FOLDER}/data"):
                path = f"{bundle.path}/{FILE}"
                if path in [file.path for file in mlflow_client.list_artifacts(run.run_id, bundle.path)]:
                    found[run.run_id] = read_validation(mlflow_client.download_artifacts(run.run_id, path, folder))
    return found


def _run(finished: MlflowRun) -> Run:
    """Return a run with every setting: a setting added later had the value that is now its default."""
    data = finished.data
    parameters = {name: str(value) for name, value in Recipe().model_dump().items()} | data.params
    recipe, seed = parameters.pop("name"), parameters.pop("seed")
    parameters |= {name: data.tags[name][:8] for name in _DATA_TAGS if name in data.tags}
    if "n" in data.metrics:
        parameters["validation_stars"] = f"{data.metrics['n']:.0f}"
    numbers = {name: data.metrics[name] for name in (*OF_A_RUN, ERROR) if name in data.metrics}
    return Run(finished.info.run_id, recipe, seed, parameters, numbers)
