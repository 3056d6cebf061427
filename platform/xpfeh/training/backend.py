"""Keras, and the tasks it leaves to its backends: a quiet start, compiling a function, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpfeh.quiet import silent_stderr

Tensor = Any
"""A tensor of the Keras backend in use."""
Tensors = tuple[Tensor, ...]


with silent_stderr():
    import keras
    from keras import ops

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Processes can share a GPU only if none takes all its memory; this must be set before the first use.
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    else:
        import jax

__all__ = ["Tensor", "Tensors", "compile_function", "gradient", "keras", "ops"]


def compile_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` compiled by XLA, once for each shape of its arguments."""
    if keras.backend.backend() == "tensorflow":
        return tf.function(function, jit_compile=True, autograph=False)
    return jax.jit(function)


def gradient(loss: Callable[[Tensors], Tensor], at: Tensors) -> tuple[Tensor, Tensors]:
    """Return the scalar `loss` of a tuple of tensors, and its gradient with respect to each of them."""
    if keras.backend.backend() == "tensorflow":
        with tf.GradientTape() as tape:
            tape.watch(at)
            value = loss(at)
        return value, tuple(tape.gradient(value, at))
    return jax.value_and_grad(loss)(at)
