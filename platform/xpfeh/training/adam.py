"""Adam, written out: Keras's own optimisers cannot run inside a compiled loop of steps.

`keras.optimizers` keep their state in variables, and the TensorFlow backend refuses their `stateless_apply` (LOG
2026-11-22). Ten lines of arithmetic on tuples of tensors run in a compiled loop on either backend.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xpfeh.settings import Recipe
from xpfeh.training.backend import Tensor, Tensors, ops

_BETA_1, _BETA_2, _TINY = 0.9, 0.999, 1e-7  # the defaults of Kingma & Ba 2015 (arXiv:1412.6980), epsilon as in Keras


class AdamState(NamedTuple):
    """Weights and their first and second moments, in the order of the network's trainable variables."""

    weights: Tensors
    first: Tensors
    second: Tensors


def initial_state(weights: Tensors) -> AdamState:
    """Return the state before the first step."""
    zeros = tuple(ops.zeros_like(w) for w in weights)
    return AdamState(weights, zeros, zeros)


def step(state: AdamState, slopes: Tensors, decays: tuple[bool, ...], number: Tensor, recipe: Recipe) -> AdamState:
    """Return the state after one step of Adam, or of AdamW where the recipe decays weights.

    AdamW decouples the decay from the gradient (Loshchilov & Hutter 2019, arXiv:1711.05101).

    Parameters
    ----------
    state : AdamState
    slopes : tuple of tensors
        Gradient of the loss with respect to each weight.
    decays : tuple of bool
        Which weights decay: kernels, not biases.
    number : scalar tensor
        Steps done so far, float32.
    recipe : Recipe
    """
    if recipe.clip_norm:
        norm = ops.sqrt(sum(ops.sum(ops.square(g), axis=(1, 2), keepdims=True) for g in slopes))
        slopes = tuple(g * ops.minimum(1.0, recipe.clip_norm / (norm + _TINY)) for g in slopes)
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = rate * 0.5 * (1 + ops.cos(np.pi * number / recipe.steps))
    t = number + 1.0
    # The moments start at zero and are too small at first; this corrects them (Kingma & Ba 2015, section 3).
    scale = rate * ops.sqrt(1 - _BETA_2**t) / (1 - _BETA_1**t)
    first = tuple(_BETA_1 * m + (1 - _BETA_1) * g for m, g in zip(state.first, slopes, strict=True))
    second = tuple(_BETA_2 * v + (1 - _BETA_2) * g * g for v, g in zip(state.second, slopes, strict=True))
    weights = tuple(
        w - scale * m / (ops.sqrt(v) + _TINY) - (rate * recipe.weight_decay * w if decayed else 0.0)
        for w, m, v, decayed in zip(state.weights, first, second, decays, strict=True)
    )
    return AdamState(weights, first, second)
