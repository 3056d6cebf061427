"""A model served by MLflow alone, in a process that knows only the stored folder."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_model
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="not an xpfeh model"):
        mlflow_model.bundle_in(tmp_path)


@pytest.mark.slow
def test_mlflow_models_predict_gives_the_predictors_numbers(bundle: Path, sample: Sample, tmp_path: Path) -> None:
    stars = {name: sample.columns[name][:3] for name in ("flux", "flux_error", "ebv")}
    mlflow_model.save(bundle, tmp_path / "model")
    assert Predictor(mlflow_model.bundle_in(tmp_path / "model")).card == Predictor(bundle).card
    rows = [[stars[name][i].tolist() for name in stars] for i in range(3)]
    (tmp_path / "stars.json").write_text(json.dumps({"dataframe_split": {"columns": list(stars), "data": rows}}))
    command = [
        "models",
        "predict",
        "-m",
        tmp_path / "model",
        "-i",
        tmp_path / "stars.json",
        "-o",
        tmp_path / "out.json",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", *command, "--env-manager", "local"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads((tmp_path / "out.json").read_text())["predictions"]
    here = Predictor(bundle).predict(stars)
    for name, values in here.items():
        np.testing.assert_allclose([answer[name] for answer in answers], values, rtol=1e-6)
