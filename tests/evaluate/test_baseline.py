"""The trees that models are compared with."""

from dataclasses import replace

import numpy as np
import pytest
from xgboost import XGBRegressor
from xpfeh.evaluate.baseline import boosted_trees
from xpfeh.labels.sample import Sample


@pytest.mark.slow
def test_trees_are_trained_once_for_what_they_learn_from(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, fit = [], XGBRegressor.fit

    def counted(self: XGBRegressor, x: np.ndarray, y: np.ndarray, **options: object) -> XGBRegressor:
        trained.append(len(y))
        self.set_params(n_estimators=20)
        return fit(self, x, y, **options)

    monkeypatch.setattr(XGBRegressor, "fit", counted)
    monkeypatch.setattr("xpfeh.evaluate.baseline._kept", {})
    stars = sample.part("test").columns
    first, again = boosted_trees(sample, stars)["FEH"], boosted_trees(sample, stars)["FEH"]
    assert np.array_equal(first, again)
    richer = replace(sample, columns={**sample.columns, "feh": sample.columns["feh"] + 0.1})
    assert np.median(boosted_trees(richer, stars)["FEH"] - first) == pytest.approx(0.1, abs=0.02)
    assert len(trained) == 2
