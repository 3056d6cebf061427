"""The graphs compared with Keras on real stars, for every activation and input that a recipe can have."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from xpfeh.inference.answers import answers_of
from xpfeh.inference.calibration import DUST_ERROR, Calibration, FurtherCalibration, covariates
from xpfeh.inference.domain import domain_of
from xpfeh.inference.edges import Edges
from xpfeh.inference.further_labels import FURTHER_LABELS
from xpfeh.inference.graph import Graph
from xpfeh.inference.inputs import INPUTS, network_inputs
from xpfeh.inference.predictor import columns_of
from xpfeh.inference.stretch import UNSTRETCHED, Stretch
from xpfeh.labels.sample import LIKE_TEST, Sample
from xpfeh.settings import Recipe
from xpfeh.training.backend import gradient, ops
from xpfeh.training.export import MODEL, SLOPES, TrainedModel, check, files_of, members
from xpfeh.training.network import build_network

RECIPES = [
    Recipe(members=3),
    Recipe(members=1, activation="tanh", floor="add"),
    Recipe(members=2, activation="gelu", inputs="log"),
    Recipe(
        members=4, activation="silu", inputs="log", floor="add", n_pixels=343, components=40, dust="hint",
        further_labels=0.02,
    ),
    Recipe(members=2, activation="relu", further_labels=1.0),
]  # fmt: skip
ENDLESS = Edges(low=-99.0, high=99.0, further={label.column: (-1e9, 1e9) for label in FURTHER_LABELS})


def made_calibration(recipe: Recipe) -> tuple[Calibration, FurtherCalibration | None]:
    """Return arbitrary numbers, with as many covariates as the recipe's answers have."""
    labels = 1 + len(FURTHER_LABELS) * bool(recipe.further_labels)
    blank = {"flux": np.ones((1, 2)), "flux_error": np.ones((1, 2)), "ebv": np.ones(1)}
    k = covariates(answers_of(*np.ones((3, 1, labels)), blank, UNSTRETCHED)).shape[1]
    slopes = np.random.default_rng(0).uniform(-0.05, 0.05, (4, k))
    fitted = {"low": (-5.0,) * k, "high": (2.0,) * k}
    calibration = Calibration(
        **fitted,
        intercepts=(-2.0, -1.0, 1.1, 2.5),
        slopes=tuple(map(tuple, slopes.tolist())),
        dust_error=0.0 if recipe.dust == "hint" else DUST_ERROR,
    )
    if not recipe.further_labels:
        return calibration, None
    further = FurtherCalibration(**fitted, intercepts=(1.0, 1.2, 0.9), slopes=calibration.slopes[:3])
    return calibration, further


# Those of the packaged recipes first; the others are as slow, and seldom searched.
PARAMETERS = [
    recipe if recipe in (RECIPES[0], RECIPES[3]) else pytest.param(recipe, marks=pytest.mark.slow) for recipe in RECIPES
]


@pytest.fixture(
    scope="module",
    params=PARAMETERS,
    ids=lambda recipe: f"{recipe.activation}-{recipe.dust}{'-further' if recipe.further_labels else ''}",
)
def model(request: pytest.FixtureRequest, sample: Sample) -> TrainedModel:
    """Return a network of random weights, with half of the stars metal-poor enough to be stretched."""
    recipe = request.param
    network = build_network(recipe, seed=1)
    stars = seen(sample, recipe)
    network.adapt(*([stars[name]] for name in INPUTS))
    mean, _ = network(tuple(stars[name][None] for name in INPUTS))
    network.head[-1].bias.assign(network.head[-1].bias - 2.0 - np.median(mean[..., 0]))
    domain = domain_of(stars["flux"], np.zeros(1) if recipe.further_labels else None)  # giants are the hottest
    return TrainedModel(network, Stretch(factor=1.5), *made_calibration(recipe), domain, ENDLESS)


@pytest.fixture(scope="module")
def files(model: TrainedModel) -> dict[str, bytes]:
    return files_of(model)


@pytest.fixture(scope="module")
def columns(files: dict[str, bytes]) -> Graph:
    return Graph(files[MODEL])


@pytest.fixture(scope="module")
def slopes(files: dict[str, bytes]) -> Graph:
    return Graph(files[SLOPES])


def seen(sample: Sample, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return the networks' inputs for the recipe's training stars, in single precision."""
    parts = (*LIKE_TEST, "train-other", "validation-other") if recipe.dust == "hint" else LIKE_TEST
    stars = network_inputs(sample.part(*parts).columns, recipe, sample.origin.preprocess)
    return {name: values.astype(np.float32) for name, values in stars.items()}


def keras_members(model: TrainedModel, stars: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return (E, N, L) mean and sigma."""
    mean, sigma = model.network(tuple(stars[name][None] for name in INPUTS))
    return ops.convert_to_numpy(mean), ops.convert_to_numpy(sigma)


def test_the_members_equal_keras(model: TrainedModel, sample: Sample) -> None:
    stars = seen(sample, model.network.recipe)
    graph = members(model.network)
    for ours, theirs in zip(graph(stars), keras_members(model, stars), strict=True):
        assert ours.shape[2] == (4 if model.network.recipe.further_labels else 1)
        np.testing.assert_allclose(ours, theirs.swapaxes(0, 1), rtol=1e-5, atol=2e-5)
    check(graph, model.network, stars)
    model.network.head[-1].bias.assign(model.network.head[-1].bias + 1e-3)
    with pytest.raises(RuntimeError, match="differs from the Keras network by"):
        check(graph, model.network, stars)
    model.network.head[-1].bias.assign(model.network.head[-1].bias - 1e-3)


def test_the_columns_equal_inference_on_the_members(model: TrainedModel, columns: Graph, sample: Sample) -> None:
    stars = seen(sample, model.network.recipe)
    found = dict(zip(columns_of(model.network.recipe), columns(stars)[0].T, strict=True))
    mean, sigma = keras_members(model, stars)
    centre, own, apart = mean.mean(axis=0), np.sqrt((sigma**2).mean(axis=0)), mean.std(axis=0)  # (N, L)
    poor = centre[:, 0] < -2
    assert 0.2 < poor.mean() < 0.8
    longer = np.where(poor, 1.5, 1.0).astype(np.float32)
    answers = {
        "feh": np.where(poor, -2 + 1.5 * (centre[:, 0] + 2), centre[:, 0]),
        "aleatoric": longer * own[:, 0],
        "epistemic": longer * apart[:, 0],
        "noise": stars["flux_error"].mean(axis=1) / np.maximum(stars["flux"].mean(axis=1), 1e-3),
        "ebv": stars["ebv"],
    }
    for i, label in enumerate(FURTHER_LABELS[: centre.shape[1] - 1], start=1):
        answers |= {label.name: centre[:, i]}
        answers |= {f"{label.name}_aleatoric": own[:, i], f"{label.name}_epistemic": apart[:, i]}
    wanted = {
        "FEH": answers["feh"],
        "FEH_err_aleatoric": answers["aleatoric"],
        "FEH_err_epistemic": answers["epistemic"],
        **model.calibration.intervals(answers),
        "domain_score": model.domain.score(stars["flux"], stars["flux_error"], answers),
        **(model.further.columns(answers) if model.further else {}),
    }
    assert set(wanted) == set(found)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=5e-5, err_msg=name)


@pytest.mark.slow
def test_the_columns_end_at_the_edges(model: TrainedModel, columns: Graph, sample: Sample) -> None:
    stars = seen(sample, model.network.recipe)
    (endless,) = columns(stars)
    further = {label.column: (label.centre - label.unit, label.centre + label.unit) for label in FURTHER_LABELS}
    (edged,) = Graph(files_of(replace(model, edges=Edges(low=-2.5, high=-1.5, further=further)))[MODEL])(stars)
    kept = np.isfinite(edged)
    assert 0 < kept[:, 0].mean() < 1
    np.testing.assert_array_equal(edged[kept], endless[kept])
    if model.further:
        first = columns_of(model.network.recipe).index("TEFF")
        assert (kept[:, first + 1 :: 2].mean(axis=0) < 1).all()
        assert not (kept[:, first + 1 :: 2] & ~kept[:, first::2]).any()  # an error only with its value


def test_the_slopes_equal_keras_gradient(model: TrainedModel, slopes: Graph, sample: Sample) -> None:
    stars = {name: values[:200] for name, values in seen(sample, model.network.recipe).items()}
    stars["flux"] = stars["flux"].copy()
    stars["flux"][:, 3] = -1.0  # no logarithm
    (ours,) = slopes(stars)

    def total(at: tuple) -> object:
        mean, _ = model.network((at[0], stars["flux_error"][None], stars["ebv"][None]))
        centre = ops.mean(mean[..., 0], axis=0)
        return ops.sum(ops.where(centre < -2, 1.5 * centre, centre))

    _, (theirs,) = gradient(total, (ops.convert_to_tensor(stars["flux"][None]),))
    theirs = ops.convert_to_numpy(theirs)[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def test_the_slopes_equal_finite_differences_of_the_columns(
    model: TrainedModel, columns: Graph, slopes: Graph, sample: Sample
) -> None:
    """Finite differences of the other graph: a step of 1e-2 leaves three digits, unless it crosses a kink of relu."""
    n_pixels = model.network.recipe.n_pixels
    stars = {name: values[:100] for name, values in seen(sample, model.network.recipe).items()}
    (found,) = slopes(stars)
    assert found.shape == (100, n_pixels)
    step = np.float32(1e-2)
    bright = np.flatnonzero(stars["flux"].min(axis=0) > 0.1)
    for pixel in bright[:: len(bright) // 5]:
        shift = np.where(np.arange(n_pixels) == pixel, step, np.float32(0))
        up, down = (columns({**stars, "flux": stars["flux"] + sign * shift})[0][:, 0] for sign in (1, -1))
        apart = np.abs(found[:, pixel] - (up - down) / (2 * step))
        assert np.median(apart) < 0.02 * np.abs(found).max()


def test_rows_of_both_graphs_are_independent(columns: Graph, slopes: Graph) -> None:
    """Otherwise each star would be computed alone, many times slower."""
    assert columns._rows_are_independent()
    assert slopes._rows_are_independent()


def test_equal_models_are_equal_files(model: TrainedModel, files: dict[str, bytes]) -> None:
    assert files_of(model) == files


def test_one_graph_is_enough_to_predict(model: TrainedModel, files: dict[str, bytes]) -> None:
    """A program without this package gets the columns from this file alone."""
    session = onnxruntime.InferenceSession(files[MODEL], providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == list(INPUTS)
    names = columns_of(model.network.recipe)
    assert [(each.name, each.shape[1]) for each in session.get_outputs()] == [("columns", len(names))]
