"""A bundle as an MLflow model: `mlflow models predict` can load it, and nothing in it is pickled."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from xpfeh._version import __version__
from xpfeh.errors import UserError
from xpfeh.inference.bundle import CARD
from xpfeh.inference.inputs import INPUTS
from xpfeh.inference.predictor import COLUMNS, Predictor
from xpfeh.xp.grid import WAVELENGTH_NM

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array


def save(bundle: str | Path, folder: str | Path) -> None:
    """Write the bundle, with signature and input example, as an MLflow model at `folder`."""
    spectrum = Array(DataType.double)
    inputs = Schema([ColSpec(spectrum, "flux"), ColSpec(spectrum, "flux_error"), ColSpec(DataType.double, "ebv")])
    outputs = Schema([ColSpec(DataType.double, name) for name in COLUMNS])
    samples = np.ones(WAVELENGTH_NM.size)
    example = pd.DataFrame({"flux": [samples.tolist()], "flux_error": [(0.01 * samples).tolist()], "ebv": [0.0]})
    mlflow.pyfunc.save_model(
        folder,
        loader_module=__name__,
        data_path=str(bundle),
        signature=ModelSignature(inputs, outputs),
        input_example=example,
        pip_requirements=[f"xpfeh=={__version__}"],
    )


def bundle_in(folder: str | Path) -> Path:
    """Return the bundle inside an MLflow model's folder.

    Raises
    ------
    UserError
        If it has no bundle, as in models of other programs or early versions.
    """
    found = list(Path(folder).glob(f"data/*/{CARD}"))
    if len(found) != 1:
        raise UserError(f"{folder}: not an xpfeh model; retrain it with this version")
    return found[0].parent


class _Model:
    """The model that MLflow calls."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, stars: pd.DataFrame) -> pd.DataFrame:
        """Return the predictor's columns for rows of ``flux``, ``flux_error`` and ``ebv``."""
        features = {
            name: np.stack(stars[name].to_numpy()) if name != "ebv" else stars[name].to_numpy() for name in INPUTS
        }
        predicted = self._predictor.predict(features)
        return pd.DataFrame({name: predicted[name].astype(np.float64) for name in COLUMNS})


def _load_pyfunc(path: str) -> _Model:
    return _Model(Predictor(path))
