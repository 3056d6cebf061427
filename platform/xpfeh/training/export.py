"""Trained networks as ONNX graphs, which ONNX Runtime computes without Keras.

The array code of `xpfeh.inference` (stretch, intervals, edges, domain) is written once: in training it runs on NumPy's
arrays, here on ndonnx's. The network is written a second time, from its weights; `check` compares it with Keras.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ndonnx as onp
import numpy as np
import spox.opset.ai.onnx.v21 as onnx
from numpy.typing import NDArray

from xpfeh.inference.answers import Answers, answers_of
from xpfeh.inference.bundle import MODEL, SLOPES, WEIGHTS
from xpfeh.inference.calibration import Calibration, FurtherCalibration
from xpfeh.inference.domain import Domain
from xpfeh.inference.edges import Edges
from xpfeh.inference.graph import Graph
from xpfeh.inference.inputs import CLEAREST, INPUTS
from xpfeh.inference.predictor import Features, columns_of
from xpfeh.inference.stretch import Stretch
from xpfeh.settings import Recipe
from xpfeh.training.backend import ops
from xpfeh.training.network import FAINTEST, LARGEST_SIGMA, InputScale, MemberDense, SpectrumInput, UACSNet
from xpfeh.typing import AnyArray

_AGREEMENT = 5e-5  # dex; in float32 two ways to compute the same differ by 1e-5, more for odd spectra
_CHECKED = 512  # stars: enough to reveal a wrong layer, in a fraction of a second

Lazy = Any
"""An array of ndonnx, which has no types: it represents values to be computed later."""


@dataclass(frozen=True)
class TrainedModel:
    """A complete model: networks, the corrections of their predictions and errors, their domain and their limits."""

    network: UACSNet
    stretch: Stretch
    calibration: Calibration
    further: FurtherCalibration | None
    domain: Domain
    edges: Edges

    def columns(self, answers: Answers, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Return the predictor's columns for B stars, before the edges apply.

        Parameters
        ----------
        answers : mapping of (B,) arrays
        inputs : mapping of arrays
            The networks' inputs.
        """
        return {
            "FEH": answers["feh"],
            **self.calibration.intervals(answers),
            "FEH_err_aleatoric": answers["aleatoric"],
            "FEH_err_epistemic": answers["epistemic"],
            "domain_score": self.domain.score(inputs["flux"], inputs["flux_error"], answers),
            **(self.further.columns(answers) if self.further else {}),
        }


def files_of(model: TrainedModel) -> dict[str, bytes]:
    """Return the files of a model's bundle."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS
        model.network.save_weights(path)
        weights = path.read_bytes()
    return {MODEL: _columns(model), SLOPES: _slopes(model), WEIGHTS: weights}


def members(network: UACSNet) -> Graph:
    """Return the graph of each member's mean and sigma, (N, E, L) both, from the networks' inputs."""
    inputs = _inputs(network.recipe)
    mean, sigma = (onp.permute_dims(each, (1, 0, 2)) for each in _forward(network, **inputs))
    return Graph(_serialise(inputs, {"mean": mean, "sigma": sigma}))


def check(graph: Graph, network: UACSNet, stars: Features) -> None:
    """Compare the graph of the members with Keras on some stars.

    Raises
    ------
    RuntimeError
        If they differ by more than `_AGREEMENT`: a library's new release computes something else.
    """
    flux, flux_error, ebv = (stars[name][:_CHECKED].astype(np.float32) for name in INPUTS)
    ours = graph({"flux": flux, "flux_error": flux_error, "ebv": ebv})
    theirs = network((flux[None], flux_error[None], ebv[None]))
    for one, each in zip(ours, theirs, strict=True):
        other = ops.convert_to_numpy(each).swapaxes(0, 1)
        apart = np.abs(one - other) / np.maximum(1.0, np.abs(other))
        if not apart.max() <= _AGREEMENT:
            raise RuntimeError(f"the ONNX graph differs from the Keras network by {apart.max():.1e}")


def _columns(model: TrainedModel) -> bytes:
    """Return the graph from the networks' inputs to the predictor's columns."""
    recipe = model.network.recipe
    inputs = _inputs(recipe)
    mean, sigma = _forward(model.network, **inputs)  # (E, B, L) both
    own = onp.sqrt(onp.mean(onp.square(sigma), axis=0))
    answers = answers_of(onp.mean(mean, axis=0), own, onp.std(mean, axis=0), inputs, model.stretch)
    columns = model.edges.open_intervals(model.columns(answers, inputs))
    return _serialise(inputs, {"columns": onp.stack([columns[name] for name in columns_of(recipe)], axis=1)})  # (B, C)


def _slopes(model: TrainedModel) -> bytes:
    """Return the graph from features to d[Fe/H] / d flux, (B, pixels): backpropagation through the mean's layers."""
    network, inputs = model.network, _inputs(model.network.recipe)
    layers = [*network.encoder, *network.head]
    kernels = [_constant(layer.kernel) for layer in layers]
    before = []
    x = onp.expand_dims(_spectrum_and_dust(network, inputs["flux"], inputs["ebv"]), axis=0)
    for layer, kernel in zip(layers, kernels, strict=True):
        before.append(_product(x, kernel) + _constant(layer.bias))
        x = _ACTIVATIONS[layer.activation.__name__][0](before[-1])
    back = onp.ones_like(x)  # (E, B, 1)
    for layer, kernel, at in zip(reversed(layers), reversed(kernels), reversed(before), strict=True):
        # Transposed in the graph, not here, so that the file contains each kernel once.
        transposed = onp.asarray(onnx.transpose(kernel.unwrap_spox(), perm=[0, 2, 1]))
        back = _product(back * _ACTIVATIONS[layer.activation.__name__][1](at), transposed)
    mean_feh = onp.mean(x, axis=0)  # (B, 1)
    by_input = model.stretch.errors(mean_feh, onp.mean(back, axis=0))
    scale, components = network.flux_input.scale, network.flux_input.components
    by_pixel = (
        by_input[:, : network.recipe.n_pixels]
        if components is None
        else _product(by_input[:, : components.count], _constant(components.rotation).mT)
    )
    slopes = by_pixel / _constant(scale.deviation)
    if scale.kind == "log":
        unclipped = onp.abs(_standardise(scale, inputs["flux"])) < LARGEST_SIGMA
        slopes = onp.where(unclipped & (inputs["flux"] > FAINTEST), slopes / inputs["flux"], 0.0)
    return _serialise({name: inputs[name] for name in ("flux", "ebv")}, {"slopes": slopes})


def _inputs(recipe: Recipe) -> dict[str, Lazy]:
    spectrum = ("stars", recipe.n_pixels)
    shapes: dict[str, tuple[str | int, ...]] = {"flux": spectrum, "flux_error": spectrum, "ebv": ("stars",)}
    return {name: onp.argument(shape=shape, dtype=onp.float32) for name, shape in shapes.items()}


def _serialise(inputs: dict[str, Lazy], outputs: dict[str, Lazy]) -> bytes:
    return onp.build(inputs, outputs).SerializeToString(deterministic=True)


def _forward(network: UACSNet, flux: Lazy, flux_error: Lazy, ebv: Lazy) -> tuple[Lazy, Lazy]:
    """Return (E, B, L) mean and sigma, as `UACSNet.call` does."""
    latent = _apply(network.encoder, onp.expand_dims(_spectrum_and_dust(network, flux, ebv), axis=0))
    mean = _apply(network.head, latent)
    if network.further_head:
        mean = onp.concat([mean, _apply(network.further_head, latent)], axis=2)
    encoded = _apply(network.error_encoder, onp.expand_dims(_input_of(network.error_input, flux_error), axis=0))
    raw = _apply(network.error_head, onp.concat([latent, encoded], axis=2))
    sigma, epsilon = onp.asarray(onnx.softplus(raw.unwrap_spox())), network.recipe.epsilon
    return mean, onp.maximum(sigma, epsilon) if network.recipe.floor == "max" else sigma + epsilon


def _spectrum_and_dust(network: UACSNet, flux: Lazy, ebv: Lazy) -> Lazy:
    spectrum = _input_of(network.flux_input, flux)
    if network.recipe.dust == "removed":
        return spectrum
    return onp.concat([spectrum, _scale(network.ebv_scale, ebv[:, None] + CLEAREST)], axis=1)


def _input_of(part: SpectrumInput, values: Lazy) -> Lazy:
    scaled = _scale(part.scale, values)
    return scaled if part.components is None else _product(scaled, _constant(part.components.rotation))


def _scale(scale: InputScale, values: Lazy) -> Lazy:
    standardised = _standardise(scale, values)
    return onp.clip(standardised, -LARGEST_SIGMA, LARGEST_SIGMA) if scale.kind == "log" else standardised


def _standardise(scale: InputScale, values: Lazy) -> Lazy:
    if scale.kind == "log":
        values = onp.log(onp.maximum(values, FAINTEST))
    return (values - _constant(scale.mean)) / _constant(scale.deviation)


def _apply(layers: list[MemberDense], x: Lazy) -> Lazy:
    for layer in layers:
        x = _product(x, _constant(layer.kernel)) + _constant(layer.bias)
        x = _ACTIVATIONS[layer.activation.__name__][0](x)
    return x


def _constant(weights: Any) -> Lazy:
    values: NDArray[np.float32] = ops.convert_to_numpy(weights)
    return onp.asarray(values)


def _product(x: Lazy, weights: Lazy) -> Lazy:
    """Multiply with ONNX's own operator: ndonnx's first tests whether an axis is empty, which takes longer."""
    return onp.asarray(onnx.matmul(x.unwrap_spox(), weights.unwrap_spox()))


def _sigmoid(x: Lazy) -> Lazy:
    return onp.asarray(onnx.sigmoid(x.unwrap_spox()))


def _normal(x: Lazy) -> Lazy:
    """Return the cumulative standard normal distribution."""
    return (onp.asarray(onnx.erf((x * 0.5**0.5).unwrap_spox())) + 1.0) * 0.5


_ACTIVATIONS: dict[str, tuple[Callable[[Lazy], Lazy], Callable[[Lazy], Lazy]]] = {
    "linear": (lambda x: x, onp.ones_like),
    "relu": (lambda x: onp.maximum(x, 0.0), lambda x: onp.astype(x > 0.0, onp.float32)),
    "tanh": (onp.tanh, lambda x: 1.0 - onp.square(onp.tanh(x))),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1.0 + x * (1.0 - _sigmoid(x)))),
    "gelu": (
        lambda x: x * _normal(x),
        lambda x: _normal(x) + x * onp.exp(onp.square(x) * -0.5) * (2 * np.pi) ** -0.5,
    ),
}
"""By Keras's names: the function and its derivative."""
