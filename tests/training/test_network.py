from pathlib import Path

import numpy as np
import pytest
from xpfeh.settings import RECIPES, Recipe
from xpfeh.training.network import Components, UACSNet, build_network


def numpy_forward(
    network: UACSNet, member: int, flux: np.ndarray, flux_error: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """UA-CSNet of the paper's Table 1 and Eqs. 2 to 7, rewritten in plain NumPy: (B, 1) mean and sigma."""

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    def dense(layer, x: np.ndarray) -> np.ndarray:
        return x @ np.array(layer.kernel[member]) + np.array(layer.bias[member])

    def scaled(scale, x: np.ndarray) -> np.ndarray:
        return (x - np.array(scale.mean)) / np.array(scale.deviation)

    x = scaled(network.flux_input.scale, flux)
    for layer in network.encoder:
        x = relu(dense(layer, x))
    latent = x
    x = relu(dense(network.head[0], latent))
    mean = dense(network.head[1], x)
    e = relu(dense(network.error_encoder[0], scaled(network.error_input.scale, flux_error)))
    e = relu(dense(network.error_head[0], np.concatenate([latent, e], axis=1)))
    sigma = np.log1p(np.exp(dense(network.error_head[1], e)))
    return mean, np.maximum(sigma, 0.02)


def test_has_the_layers_of_table_1() -> None:
    network = build_network(RECIPES["paper"], seed=0)
    shapes = [tuple(v.shape) for v in network.trainable_variables if v.name == "kernel"]
    expected = [(60, 256), (256, 64), (64, 16), (16, 8), (8, 1), (60, 16), (32, 8), (8, 1)]
    assert sorted(shapes) == sorted((1, *shape) for shape in expected)


@pytest.mark.parametrize("members", [1, 3])
def test_equals_an_independent_forward_pass(members: int) -> None:
    rng = np.random.default_rng(2)
    flux = rng.uniform(0.2, 1.5, (50, 60)).astype(np.float32)
    error = rng.uniform(0.001, 0.1, (50, 60)).astype(np.float32)
    network = build_network(Recipe(members=members), seed=3)
    dust = np.zeros(50)
    network.adapt([flux], [error], [dust])
    mean, sigma = network((flux[None], error[None], dust[None]))
    for member in range(members):
        expected_mean, expected_sigma = numpy_forward(network, member, flux, error)
        np.testing.assert_allclose(np.array(mean)[member], expected_mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.array(sigma)[member], expected_sigma, rtol=1e-4, atol=1e-5)


def test_members_start_differently_and_seeds_are_reproducible() -> None:
    one, same = (build_network(Recipe(members=2), seed=5).encoder[0].kernel for _ in range(2))
    np.testing.assert_array_equal(np.array(one), np.array(same))
    assert not np.allclose(np.array(one)[0], np.array(one)[1])


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    for name in ("one", "same"):
        build_network(Recipe(), seed=5).save_weights(tmp_path / f"{name}.weights.h5")
    assert (tmp_path / "one.weights.h5").read_bytes() == (tmp_path / "same.weights.h5").read_bytes()


def test_he_initialisation() -> None:
    kernel = np.array(build_network(Recipe(), seed=0).encoder[1].kernel)
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / 256), rtol=0.02)


def test_log_inputs_accept_negative_flux_and_stay_within_8_sigma() -> None:
    flux = build_network(Recipe(inputs="log"), seed=0).flux_input
    flux.adapt([np.random.default_rng(0).uniform(0.5, 1.5, (100, 60)).astype(np.float32)])
    scaled = np.array(flux(np.array([[[-1.0] * 30 + [1e9] * 30]], dtype=np.float32)))
    assert (scaled == np.repeat([-8.0, 8.0], 30)).all()


def test_the_floor_of_sigma() -> None:
    blank = np.ones((1, 4, 60), dtype=np.float32)
    for floor in ("max", "add"):
        _, sigma = build_network(Recipe(floor=floor, epsilon=5.0), seed=0)((blank, blank, blank[..., 0]))
        assert (np.array(sigma) >= 5.0).all()


def test_components_equal_a_half_whitened_singular_value_decomposition() -> None:
    rng = np.random.default_rng(4)
    values = rng.standard_normal((500, 8)) @ rng.standard_normal((8, 8))
    values = (values - values.mean(axis=0)).astype(np.float32)
    left, singular, right = np.linalg.svd(values, full_matrices=False)
    components = Components(3)
    components.build(values.shape)
    components.adapt(lambda: [values[:200], values[200:]])
    rotated, rotation = np.array(components(values)), np.array(components.rotation)
    angles = rotation.T @ rotation
    np.testing.assert_allclose(angles, np.diag(np.diag(angles)), atol=1e-6)
    np.testing.assert_allclose(rotated.var(axis=0, ddof=1), singular[:3] / singular[:3].mean(), rtol=1e-5)
    kept = left[:, :3] * singular[:3] @ right[:3]
    np.testing.assert_allclose(rotated @ np.linalg.pinv(rotation), kept, atol=1e-4)


@pytest.mark.parametrize(("dust", "width"), [("hint", 21), ("removed", 20)])
def test_dust_is_an_input_if_it_is_a_hint(dust: str, width: int) -> None:
    network = build_network(Recipe(n_pixels=30, components=20, dust=dust), seed=0)
    network.flux_input.components.rotation.assign(np.eye(30, 20))
    assert network.encoder[0].kernel.shape == (1, width, 256)
    blank = np.ones((1, 4, 30), dtype=np.float32)
    clear, dusty = (np.array(network((blank, blank, np.full((1, 4), ebv)))[0]) for ebv in (0.0, 1.0))
    assert (not np.array_equal(clear, dusty)) is (dust == "hint")


def test_the_hint_is_the_standardised_logarithm_of_ebv() -> None:
    rng = np.random.default_rng(6)
    ebv = rng.exponential(0.3, 500)
    flux = rng.uniform(0.5, 1.5, (500, 30)).astype(np.float32)
    network = build_network(Recipe(n_pixels=30, dust="hint"), seed=0)
    network.adapt([flux], [flux], [ebv])
    logarithm = np.log(ebv + 0.02)
    hint = np.array(network.ebv_scale((ebv[:, None] + 0.02).astype(np.float32)))[:, 0]
    np.testing.assert_allclose(hint, (logarithm - logarithm.mean()) / logarithm.std(), atol=1e-4)


@pytest.mark.parametrize("members", [1, 3])
def test_further_labels_come_from_the_same_latent_layer(members: int) -> None:
    """Their means are linear in Z, their sigmas share the layers of [Fe/H]'s sigma; [Fe/H] keeps its layers."""
    plain, further = (Recipe(members=members, further_labels=weight) for weight in (0.0, 0.02))
    one, more = build_network(plain, seed=3), build_network(further, seed=3)
    rng = np.random.default_rng(7)
    star = rng.uniform(0.5, 1.5, (members, 5, 60)).astype(np.float32)
    mean, sigma = (np.array(each) for each in more((star, star, star[..., 0])))
    assert mean.shape == sigma.shape == (members, 5, 4)
    assert [layer.name for layer in (*more.encoder, *more.head)] == [layer.name for layer in (*one.encoder, *one.head)]
    np.testing.assert_array_equal(mean[..., :1], np.array(one((star, star, star[..., 0]))[0]))
    latent = more.flux_input(star)
    for layer in more.encoder:
        latent = layer(latent)
    (last,) = more.further_head
    for member in range(members):
        expected = np.array(latent)[member] @ np.array(last.kernel)[member] + np.array(last.bias)[member]
        np.testing.assert_allclose(mean[member, :, 1:], expected, rtol=1e-4, atol=1e-5)
    assert (sigma >= further.epsilon).all()


def test_the_papers_network_is_unchanged_by_further_labels() -> None:
    """Numbers from the previous release, and the layer names in its weight files."""
    network = build_network(RECIPES["paper"], seed=0)
    assert sorted(layer.name for layer in network.layers) == sorted([
        "flux_input", "error_input", "ebv_scale", "encoder_0", "encoder_1", "encoder_2", "head_0", "mean",
        "error_encoder_0", "error_head_0", "raw_sigma",
    ])  # fmt: skip
    flux = (1 + 0.3 * np.sin(0.7 * np.arange(300)).reshape(5, 60)).astype(np.float32)
    network.adapt([flux], [flux / 10], [np.linspace(0, 0.2, 5)])
    mean, sigma = (np.array(each)[0, :, 0] for each in network((flux[None], flux[None] / 10, np.zeros((1, 5)))))
    np.testing.assert_allclose(mean, [0.52445877, 0.8689469, 1.2983142, 0.5855088, 0.15332407], rtol=1e-5)
    np.testing.assert_allclose(sigma, [0.8636495, 0.52028686, 0.49744195, 0.9150165, 0.5683818], rtol=1e-5)


def test_stars_without_a_member_axis_go_to_each_member() -> None:
    network = build_network(Recipe(members=3), seed=0)
    star = np.random.default_rng(1).uniform(0.5, 1.5, (1, 5, 60)).astype(np.float32)
    shared, each = (network((x, x, x[..., 0])) for x in (star, np.repeat(star, 3, axis=0)))
    np.testing.assert_array_equal(np.array(shared), np.array(each))
