"""Keras, and the tasks it leaves to its backends: a quiet start, compiling a function, and its gradient."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xpfeh.quiet import silent_stderr

Tensor = Any
"""A tensor of the Keras backend in use."""
Tensors = tuple[Tensor, ...]


# Read by JAX at its import. It would reserve three quarters of a GPU's memory in each process, and trials could not
# share one; and a GPU would multiply with ten bits (TF32), so that networks would differ from their ONNX graphs.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")

with silent_stderr():
    import keras
    from keras import ops

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Processes can share a GPU only if none takes all its memory; this must be set before the first use.
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.experimental.enable_tensor_float_32_execution(False)
    else:
        import jax

__all__ = ["Tensor", "Tensors", "as_tensor", "compile_function", "gradient", "keras", "ops", "tensors"]

_ALIGNED = 64  # bytes: the widest vector registers, whose loads TensorFlow expects to be aligned


def as_tensor(values: NDArray[np.float32]) -> Tensor:
    """Return an array as a tensor: in the array's memory where that is possible, else in a copy.

    TensorFlow can use aligned memory of this machine, but not on a GPU. The array must not be changed afterwards.
    """
    shared = keras.backend.backend() == "tensorflow" and not tf.config.list_physical_devices("GPU")
    if not (shared and values.flags.c_contiguous and values.ctypes.data % _ALIGNED == 0):
        return ops.convert_to_tensor(values)
    # Through Arrow, since NumPy does not export memory that is read-only, as all of Ray's is.
    flat = pa.Array.from_buffers(pa.float32(), values.size, [None, pa.py_buffer(values)])
    return tf.reshape(tf.experimental.dlpack.from_dlpack(flat.__dlpack__()), values.shape)


def tensors(*arrays: NDArray) -> Tensors:
    """Return arrays as float32 tensors."""
    return tuple(as_tensor(np.asarray(values, dtype=np.float32)) for values in arrays)


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
