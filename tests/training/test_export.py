"""The graphs against Keras, on real stars: of every activation and input that a recipe can have."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from xpfeh.inference.calibration import Calibration
from xpfeh.inference.domain import domain_of
from xpfeh.inference.edges import Edges
from xpfeh.inference.graph import Graph
from xpfeh.inference.predictor import COLUMNS
from xpfeh.inference.stretch import Stretch
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe
from xpfeh.training.backend import gradient, ops
from xpfeh.training.export import MODEL, SLOPES, Model, check, files_of, members
from xpfeh.training.network import build_network
from xpfeh.xp.pixels import rebinned

RECIPES = [
    Recipe(members=3),
    Recipe(members=1, activation="tanh", floor="add"),
    Recipe(members=2, activation="gelu", inputs="log"),
    Recipe(members=4, activation="silu", inputs="log", n_pixels=343, components=40, ebv_input=True),
]
CALIBRATION = Calibration(
    low=(-3.0, 0.0, -9.0, -3.0, 0.0),
    high=(0.5, 1.0, 0.0, 1.0, 0.5),
    intercepts=(-2.0, -1.0, 1.1, 2.5),
    slopes=((0.1, -0.2, 0.0, -0.1, 0.3), (0.05, 0.0, 0.02, 0.0, 0.0), (0.0,) * 5, (0.2, 0.3, 0.1, 0.0, -0.1)),
)


# Those of the packaged recipes first; the others are as slow, and seldom searched.
PARAMETERS = [
    recipe if recipe.activation in ("relu", "silu") else pytest.param(recipe, marks=pytest.mark.slow)
    for recipe in RECIPES
]


@pytest.fixture(scope="module", params=PARAMETERS, ids=lambda recipe: recipe.activation)
def model(request: pytest.FixtureRequest, sample: Sample) -> Model:
    """A network of random weights, of which half of the stars are metal-poor enough to be stretched."""
    network = build_network(request.param, seed=1)
    stars = seen(sample, request.param)
    network.adapt(stars["flux"], stars["flux_error"], stars["ebv"])
    mean, _ = network(tuple(stars[name][None] for name in ("flux", "flux_error", "ebv")))
    network.head[-1].bias.assign(network.head[-1].bias - 2.0 - np.median(mean))
    return Model(network, Stretch(factor=1.5), CALIBRATION, domain_of(stars["flux"]), Edges(low=-99.0, high=99.0))


def seen(sample: Sample, recipe: Recipe) -> dict[str, np.ndarray]:
    flux, flux_error = rebinned(sample.columns["flux"], sample.columns["flux_error"], recipe.n_pixels)
    return {"flux": flux, "flux_error": flux_error, "ebv": sample.columns["ebv"].astype(np.float32)}


def keras_members(model: Model, stars: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(E, N) mean and sigma."""
    mean, sigma = model.network(tuple(stars[name][None] for name in ("flux", "flux_error", "ebv")))
    return ops.convert_to_numpy(mean), ops.convert_to_numpy(sigma)


def test_the_members_are_keras_s(model: Model, sample: Sample) -> None:
    stars = seen(sample, model.network.recipe)
    graph = members(model.network)
    for ours, theirs in zip(graph(stars), keras_members(model, stars), strict=True):
        np.testing.assert_allclose(ours, theirs.T, rtol=1e-5, atol=1e-5)
    check(graph, model.network, stars)
    model.network.head[-1].bias.assign(model.network.head[-1].bias + 1e-3)
    with pytest.raises(RuntimeError, match="differs from the Keras network by"):
        check(graph, model.network, stars)
    model.network.head[-1].bias.assign(model.network.head[-1].bias - 1e-3)


def test_the_columns_are_what_the_rooms_of_inference_say_of_the_members(model: Model, sample: Sample) -> None:
    stars = seen(sample, model.network.recipe)
    (columns,) = Graph(files_of(model)[MODEL])(stars)
    found = dict(zip(COLUMNS, columns.T, strict=True))
    mean, sigma = keras_members(model, stars)
    centre, poor = mean.mean(axis=0), mean.mean(axis=0) < -2
    assert 0.2 < poor.mean() < 0.8
    feh, longer = np.where(poor, -2 + 1.5 * (centre + 2), centre), np.where(poor, 1.5, 1.0)
    aleatoric, epistemic = longer * np.sqrt((sigma**2).mean(axis=0)), longer * mean.std(axis=0)
    wanted = {
        "FEH": feh,
        "FEH_err_aleatoric": aleatoric,
        "FEH_err_epistemic": epistemic,
        **CALIBRATION.intervals(feh, aleatoric, epistemic, stars["flux_error"].mean(axis=1), stars["ebv"]),
        "domain_score": model.domain.score(stars["flux"], stars["flux_error"], aleatoric, epistemic),
    }
    assert set(wanted) == set(COLUMNS)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=3e-5, err_msg=name)
    (edged,) = Graph(files_of(replace(model, edges=Edges(low=-2.5, high=-1.5)))[MODEL])(stars)
    kept = np.isfinite(edged)
    assert kept[:, 0].mean() < 1
    np.testing.assert_array_equal(edged[kept], columns[kept])


def test_the_slopes_are_keras_s_gradient(model: Model, sample: Sample) -> None:
    stars = {name: values[:200] for name, values in seen(sample, model.network.recipe).items()}
    stars["flux"] = stars["flux"].copy()
    stars["flux"][:, 3] = -1.0  # no logarithm
    (slopes,) = Graph(files_of(model)[SLOPES])(stars)

    def total(at: tuple) -> object:
        mean, _ = model.network((at[0], stars["flux_error"][None], stars["ebv"][None]))
        centre = ops.mean(mean, axis=0)
        return ops.sum(ops.where(centre < -2, 1.5 * centre, centre))

    _, (theirs,) = gradient(total, (ops.convert_to_tensor(stars["flux"][None]),))
    theirs = ops.convert_to_numpy(theirs)[0]
    np.testing.assert_allclose(slopes, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def test_equal_models_are_equal_files(model: Model) -> None:
    assert files_of(model) == files_of(model)


def test_one_graph_holds_all_that_predicts(model: Model) -> None:
    """A program without this package gets the columns from the file alone."""
    session = onnxruntime.InferenceSession(files_of(model)[MODEL], providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["flux", "flux_error", "ebv"]
    assert [(each.name, each.shape[1]) for each in session.get_outputs()] == [("columns", len(COLUMNS))]
