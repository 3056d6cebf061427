"""Five small models on real stars: every giant once, nothing trained twice, nothing left unrecorded."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xpfeh.cli.main import main
from xpfeh.commands.cross_validate import cross_validate
from xpfeh.commands.report_stars import Comparisons
from xpfeh.commands.train import is_recorded
from xpfeh.commands.validate import validate_models
from xpfeh.evaluate.baseline import BASELINE
from xpfeh.evaluate.report import Metrics
from xpfeh.experiments import mlflow_runs
from xpfeh.inference.bundle import CARD, read_card
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe

SMALL = Recipe(name="small", steps=60)


@pytest.mark.slow
@pytest.mark.usefixtures("mlflow_store")
def test_every_giant_is_predicted_once_and_a_killed_call_resumes(
    features_dir: Path, labels_file: Path, sample: Sample, tmp_path: Path
) -> None:
    def go(baseline: bool = False) -> Metrics:
        return cross_validate(
            str(features_dir), labels_file, [SMALL], tmp_path, comparisons=Comparisons(baseline=baseline)
        )

    def cards() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob(f"models/small/*/{CARD}")}

    giants = sample.part("train", "validation", "test").columns["source_id"]
    numbers = go(baseline=True)
    for judged in numbers.values():  # so few steps leave some star without [Fe/H]
        assert judged["all"]["n"] + judged["all"]["n_without_feh"] == len(giants)
    reported = pl.read_parquet(tmp_path / "report" / "stars.parquet")
    judging = reported.filter(pl.col("judges") == 1)["source_id"].to_numpy()
    np.testing.assert_array_equal(judging, np.sort(giants))
    assert set(reported["source_id"].to_list()) == set(
        sample.columns["source_id"].tolist()
    )  # every labelled star, once
    assert reported.height == len(sample)
    trees = pl.read_parquet(tmp_path / "report" / f"stars-{BASELINE}.parquet")
    assert sorted(trees["source_id"].to_list()) == sorted(sample.columns["source_id"].tolist())  # behind any dust
    assert trees["FEH"].is_finite().all()
    first = cards()
    assert sorted(first) == [str(fold) for fold in range(5)]

    # As if killed after the training of one model, and before the record of another.
    (tmp_path / "models" / "small" / "1" / CARD).write_text("{")
    card = read_card(tmp_path / "models" / "small" / "3")
    mlflow_runs.client().delete_run(mlflow_runs.find_run(f"{card.version}/{SMALL.fingerprint()}"))
    assert not is_recorded(card)
    assert json.dumps(go()) == json.dumps({"small": numbers["small"]})  # NaN is unlike itself
    second = cards()
    assert {name for name in first if first[name] != second[name]} == {"1", "3"}
    assert is_recorded(card)

    (alone,) = validate_models(
        [str(tmp_path / "models" / "small" / "2")], str(features_dir), labels_file, tmp_path / "one"
    )
    assert alone.held_out == "xpfeh, fold 2"
    assert 0 < alone.metrics["small"]["all"]["n"] < numbers["small"]["all"]["n"]
    (again,) = validate_models([str(tmp_path / "models" / "small")], str(features_dir), labels_file, tmp_path / "five")
    assert again.held_out == "xpfeh, folds 0, 1, 2, 3, 4"
    assert json.dumps(again.metrics) == json.dumps({"small": numbers["small"]})


@pytest.mark.parametrize("taken", ["same", BASELINE])
def test_two_models_of_the_same_name_are_refused(
    taken: str, features_dir: Path, labels_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--features", str(features_dir), "--labels", str(labels_file), "--out", str(tmp_path)]
    recipes = ["--recipe", "best", "--baseline", BASELINE] + ["--recipe", "paper"] * (taken == "same")
    with pytest.raises(SystemExit) as stopped:
        main(["cross-validate", *data, *recipes, "--set", f"name={taken}"])
    assert stopped.value.code == 2
    assert "two models of a report have the same name" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
