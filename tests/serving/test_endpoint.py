"""The real endpoint over HTTP, with requests for real stars."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from ray import serve
from xpfeh.columns import CATALOG, to_table
from xpfeh.inference.card import ModelCard
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.deploy import deploy, read_config
from xpfeh.settings import PreprocessSettings
from xpfeh.xp.preprocess import preprocess

CONFIG = Path(__file__).parents[2] / "serve_configs" / "local.yaml"


@pytest.fixture(scope="module")
def address(ray_cluster: None, bundle: Path) -> Iterator[str]:
    config = read_config(CONFIG)
    config.http_options["port"] = 8123
    yield deploy(config, str(bundle))
    serve.shutdown()


def star_json(spectra: dict[str, np.ndarray], i: int, **changes: Any) -> dict[str, Any]:
    star = {name: values[i].tolist() for name, values in spectra.items()} | {"rgeo": None}
    return star | changes


def test_answers_equal_catalog_rows_to_the_last_bit(address: str, spectra: dict[str, np.ndarray], bundle: Path) -> None:
    rows = to_table(estimate(preprocess(spectra, PreprocessSettings()), Predictor(bundle)), CATALOG).to_pylist()
    for chosen in ([0], [5, 3, 8], list(range(100))):
        reply = requests.post(
            f"{address}/v1/predict", json={"stars": [star_json(spectra, i) for i in chosen]}, timeout=60
        )
        assert reply.json()["stars"] == [rows[i] for i in chosen]


def test_gives_its_model_and_its_flags(address: str, bundle: Path) -> None:
    card = requests.get(f"{address}/v1/model", timeout=60).json()
    assert ModelCard.model_validate(card) == Predictor(bundle).card
    assert requests.get(f"{address}/healthz", timeout=60).json()["model_version"] == card["version"]
    assert "G > 15" in " ".join(requests.get(f"{address}/v1/flags", timeout=60).json().values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_id": 1.5e18}, "source_id"),
        ({"flux": [1.0] * 342}, "flux"),
        ({"dec": 91.0}, "dec"),
        ({"rgeo": -3.0}, "rgeo"),
        ({"colour": 1.0}, "colour"),
    ],
)
def test_a_wrong_star_is_refused_and_named(
    address: str, spectra: dict[str, np.ndarray], changes: dict[str, Any], message: str
) -> None:
    reply = requests.post(f"{address}/v1/predict", json={"stars": [star_json(spectra, 0, **changes)]}, timeout=60)
    assert reply.status_code == 422
    assert message in reply.text


def test_a_star_that_cannot_be_predicted_is_answered_with_a_flag(address: str, spectra: dict[str, np.ndarray]) -> None:
    dark = star_json(spectra, 0, flux=[-1e-17] * 343)
    (row,) = requests.post(f"{address}/v1/predict", json={"stars": [dark]}, timeout=60).json()["stars"]
    assert row["FEH"] is None
    assert row["flags"] & 1
