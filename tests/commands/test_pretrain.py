"""The model that the package ships: its card, and how it is made."""

from pathlib import Path

import numpy as np
import pytest
import xpfeh
from xpfeh.columns import to_arrays
from xpfeh.commands.ingest import ingest
from xpfeh.commands.labels import write_literature
from xpfeh.commands.pretrain import DATA, pretrain
from xpfeh.commands.validate import validate_models
from xpfeh.dataset.dataset import Dataset
from xpfeh.inference.bundle import PRETRAINED_FOLDER, WEIGHTS
from xpfeh.inference.inputs import INPUTS
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.settings import RECIPES, PreprocessSettings
from xpfeh.sources.library import NAME
from xpfeh.training.network import build_network


def test_the_shipped_model_is_small_and_says_where_it_comes_from() -> None:
    card = xpfeh.load_model().card
    assert sum(path.stat().st_size for path in PRETRAINED_FOLDER.iterdir()) < 10e6
    assert (card.recipe, card.preprocess) == (RECIPES["best"], PreprocessSettings())
    assert card.data == DATA
    assert len(card.made_by["commit"]) == 40  # of a clean checkout
    numbers = card.held_out["all"]
    assert numbers["n"] + numbers["n_without_feh"] == card.stars.test
    assert numbers["mae"] < 0.08 < card.held_out["all"]["std"]


def test_the_shipped_model_knows_giants_that_it_has_not_seen(sample: Sample) -> None:
    predictor, held_out = Predictor(PRETRAINED_FOLDER), sample.part("test").columns
    assert predictor.card.split == sample.origin.split
    answer = predictor.predict(held_out)
    assert np.abs(answer["FEH"] - held_out["feh"]).mean() < 0.1
    closed = np.isfinite(answer["FEH_lo95"]) & np.isfinite(answer["FEH_hi95"])
    assert closed.mean() > 0.95
    ordered = np.stack([answer[name][closed] for name in ("FEH_lo95", "FEH_lo68", "FEH", "FEH_hi68", "FEH_hi95")])
    assert (np.diff(ordered, axis=0) > 0).all()


@pytest.fixture(scope="module")
def whole_library(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    features = tmp_path_factory.mktemp("library") / "features"
    ingest([NAME], str(features), PreprocessSettings())
    return features


@pytest.mark.slow
def test_keras_gives_the_same_feh_for_the_whole_library(whole_library: Path) -> None:
    predictor = Predictor(PRETRAINED_FOLDER)
    network = build_network(predictor.card.recipe, seed=0)
    network.load_weights(PRETRAINED_FOLDER / WEIGHTS)
    stars = to_arrays(Dataset.at(whole_library).read(INPUTS))
    theirs = np.concatenate(
        [
            np.array(network(tuple(stars[name][None, rows : rows + 2000].astype(np.float32) for name in INPUTS))[0])[
                ..., 0
            ]
            for rows in range(0, len(stars["ebv"]), 2000)
        ],
        axis=1,
    ).mean(axis=0)
    ours = predictor.predict(stars)["FEH"]
    given = np.isfinite(ours)
    assert given.mean() > 0.9
    np.testing.assert_allclose(ours[given], predictor.card.stretch.feh(theirs)[given], rtol=2e-5, atol=2e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("mlflow_store")
def test_the_shipped_card_has_the_numbers_of_validate(whole_library: Path, tmp_path: Path) -> None:
    write_literature(tmp_path / "labels.parquet")
    labels = tmp_path / "labels.parquet"
    (judged,) = validate_models(["pretrained"], str(whole_library), labels, tmp_path / "report")
    for name, numbers in xpfeh.load_model().card.held_out.items():
        assert judged.metrics["best"][name] == pytest.approx(numbers, abs=2e-3), name


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster", "mlflow_store")
def test_a_short_version_of_it_is_made_from_packaged_data_alone(tmp_path: Path) -> None:
    recipe = RECIPES["best"].model_copy(update={"steps": 300})
    card = pretrain(tmp_path / "model", recipe)
    assert xpfeh.load_model(tmp_path / "model").card == card
    assert set(card.held_out) == {"all", "unflagged"}
    assert 0.05 < card.held_out["all"]["mae"] < 0.2
    assert card.data == DATA
