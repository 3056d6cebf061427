"""UA-CSNet (paper section 3.1, Fig. 2, Table 1), as one network in which every weight has a member axis.

An ensemble of E networks is one network with weights of shape (E, in, out), whose members predict in the same matrix
products. Each is trained separately, as a network of one member (`xpfeh.training.fit`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from xpfeh.inference.further_labels import FURTHER_LABELS
from xpfeh.inference.inputs import CLEAREST
from xpfeh.settings import Recipe
from xpfeh.training.backend import keras, ops
from xpfeh.training.blocks import Passes, covariance, mean_and_deviation

LARGEST_SIGMA = 8.0
"""Inputs are clipped to this: a pixel beyond is bad, and must not dominate."""
FAINTEST = 1e-4
"""Lower limit of a flux that is 1 around 550 nm: negative pixels have no logarithm."""


class InputScale(keras.layers.Layer):
    """Standardise pixels with fixed means and deviations, or their logarithms, clipped at 8 sigma."""

    def __init__(self, kind: str, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.kind = kind

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create the (pixels,) means and deviations."""
        self.mean = self.add_weight(shape=shape[-1:], initializer="zeros", name="mean")
        self.deviation = self.add_weight(shape=shape[-1:], initializer="ones", name="deviation")

    def adapt(self, values: Iterable[NDArray[np.float32]]) -> None:
        """Set the means and deviations from (N, pixels) training values, in blocks."""
        mean, deviation = mean_and_deviation(lambda: (ops.convert_to_numpy(self._transform(each)) for each in values))
        self.mean.assign(mean)
        self.deviation.assign(np.maximum(deviation, 1e-6))

    def call(self, values: Any) -> Any:
        """Scale (..., pixels) values."""
        scaled = (self._transform(values) - self.mean) / self.deviation
        return ops.clip(scaled, -LARGEST_SIGMA, LARGEST_SIGMA) if self.kind == "log" else scaled

    def _transform(self, values: Any) -> Any:
        return ops.log(ops.maximum(values, FAINTEST)) if self.kind == "log" else values


class Components(keras.layers.Layer):
    """Project scaled pixels on their leading principal components, which all members share.

    XP spectra are sums of about a hundred functions, so 343 samples contain no more information. Much of that on [Fe/H]
    is in components of small variance, which a network learns late; scaled to equal variance, they would be mostly
    noise. So each is divided by the square root of its deviation, half-whitened: best cross-validated accuracy (LOG
    2026-11-25).
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.count = count

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create the (pixels, components) rotation."""
        self.rotation = self.add_weight(shape=(shape[-1], self.count), initializer="zeros", name="rotation")

    def adapt(self, scaled: Passes) -> None:
        """Set the rotation to the leading components of (N, pixels) scaled training values."""
        # Sums over several threads differ in the last bits, but workers must agree on the inputs.
        with threadpool_limits(1):
            variance, vectors = np.linalg.eigh(covariance(scaled))  # ascending
        leading, deviation = vectors[:, ::-1][:, : self.count], np.sqrt(variance[::-1][: self.count])
        leading = leading * np.sign(leading.sum(axis=0)) / np.sqrt(deviation)  # an eigenvector's sign is arbitrary
        self.rotation.assign(leading / np.sqrt(deviation.mean()))  # the inputs' mean square is 1

    def call(self, values: Any) -> Any:
        """Rotate (..., pixels) values to (..., components)."""
        return ops.matmul(values, self.rotation)


class SpectrumInput(keras.layers.Layer):
    """Scale pixels, and project them on components if the recipe has any."""

    def __init__(self, recipe: Recipe, name: str) -> None:
        super().__init__(trainable=False, name=f"{name}_input")
        self.scale = InputScale(recipe.inputs, name=f"{name}_scale")
        self.components = Components(recipe.components, name=f"{name}_components") if recipe.components else None

    def adapt(self, values: Iterable[NDArray[np.float32]]) -> None:
        """Set scales and components from (N, pixels) training values, in blocks."""
        self.scale.adapt(values)
        if self.components is not None:
            self.components.adapt(lambda: (ops.convert_to_numpy(self.scale(each)) for each in values))

    def call(self, values: Any) -> Any:
        """Return (..., pixels) values as inputs of a member's layers."""
        scaled = self.scale(values)
        return scaled if self.components is None else self.components(scaled)


class MemberDense(keras.layers.Layer):
    """A fully connected layer for each member: (E, B, in) -> (E, B, units)."""

    def __init__(self, members: int, units: int, activation: str | None, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members, self.units, self.seed = members, units, seed
        self.activation = keras.activations.get(activation)

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create the (E, in, units) kernel, He normal, and the (E, 1, units) bias."""
        width = int(shape[-1] or 0)
        shape = (self.members, width, self.units)
        draw = np.random.default_rng(self.seed).standard_normal(shape) * np.sqrt(2.0 / width)
        self.kernel = self.add_weight(
            shape=shape, initializer=lambda _, dtype: ops.convert_to_tensor(draw, dtype=dtype), name="kernel"
        )
        self.bias = self.add_weight(shape=(self.members, 1, self.units), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Apply the layer."""
        return self.activation(ops.matmul(inputs, self.kernel) + self.bias)


class UACSNet(keras.Model):
    """Branches for labels and their errors, with flux and error (E or 1, B, pixels) and E(B-V) (E or 1, B) as inputs.

    The outputs are mean and sigma, (E, B, L). The first of the L labels is [Fe/H], in dex; the others, if the recipe
    has them, are `FURTHER_LABELS` on the networks' scale.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        # Keras numbers unnamed layers over the life of a process and writes their names into weight files: explicit
        # names make equal weights equal files.
        super().__init__(name="ua_csnet")
        self.recipe = recipe
        seeds = iter(range(seed * 1000, seed * 1000 + 1000))

        def dense(name: str, width: int, activation: str | None = recipe.activation) -> MemberDense:
            return MemberDense(recipe.members, width, activation, next(seeds), name=name)

        def stack(name: str, widths: tuple[int, ...]) -> list[MemberDense]:
            return [dense(f"{name}_{i}", width) for i, width in enumerate(widths)]

        self.flux_input = SpectrumInput(recipe, "flux")
        self.error_input = SpectrumInput(recipe, "error")
        self.ebv_scale = InputScale("log", name="ebv_scale")
        self.encoder = stack("encoder", (*recipe.hidden, recipe.latent))
        self.head = [*stack("head", recipe.head), dense("mean", 1, None)]
        self.error_encoder = stack("error_encoder", recipe.error_hidden)
        further = len(FURTHER_LABELS) if recipe.further_labels else 0
        self.error_head = [*stack("error_head", recipe.error_head), dense("raw_sigma", 1 + further, None)]
        self.further_head = [dense("further", further, None)] if further else []

    def adapt(
        self,
        flux: Iterable[NDArray[np.float32]],
        flux_error: Iterable[NDArray[np.float32]],
        ebv: Iterable[NDArray[np.float64]],
    ) -> None:
        """Scale the inputs by (N, pixels) and (N,) training values, in blocks that can be read several times."""
        self.flux_input.adapt(flux)
        self.error_input.adapt(flux_error)
        self.ebv_scale.adapt([each[:, None].astype(np.float32) + CLEAREST for each in ebv])

    def call(self, inputs: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        """Return, via the latent Z (Eq. 2), mean (Eq. 3) and floored sigma (Eqs. 4, 5, 7)."""
        flux, flux_error, ebv = inputs
        spectrum, dust = self.flux_input(flux), self.ebv_scale(ebv[..., None] + CLEAREST)
        if self.recipe.dust == "hint":
            spectrum = ops.concatenate([spectrum, dust], axis=-1)
        latent = _apply(self.encoder, spectrum)
        mean = _apply(self.head, latent)
        if self.further_head:
            mean = ops.concatenate([mean, _apply(self.further_head, latent)], axis=-1)
        encoded_error = _apply(self.error_encoder, self.error_input(flux_error))
        raw = _apply(self.error_head, ops.concatenate([latent, encoded_error], axis=-1))
        sigma = ops.softplus(raw)
        epsilon = self.recipe.epsilon
        return mean, ops.maximum(sigma, epsilon) if self.recipe.floor == "max" else sigma + epsilon


def build_network(recipe: Recipe, seed: int) -> UACSNet:
    """Return a UA-CSNet with weights drawn from `seed`."""
    network = UACSNet(recipe, seed)
    blank = np.ones((1, 1, recipe.n_pixels), dtype=np.float32)
    network((blank, blank, blank[..., 0]))
    return network


def is_kernel(variable: keras.Variable) -> bool:
    """Return whether a variable is a kernel, subject to L2 and weight decay, and not a bias."""
    return variable.name == "kernel"


def _apply(layers: list[MemberDense], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x
