"""Adam and AdamW compared with Keras's own, step by step."""

import keras
import numpy as np
import pytest
from xpfeh.settings import Recipe
from xpfeh.training import adam


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_equals_keras(weight_decay: float) -> None:
    rng = np.random.default_rng(0)
    start = rng.standard_normal((1, 4, 3)).astype(np.float32)
    recipe = Recipe(learning_rate=0.01, weight_decay=weight_decay)
    state = adam.initial_state((keras.ops.convert_to_tensor(start),))
    variable = keras.Variable(start)
    theirs = keras.optimizers.AdamW(0.01, weight_decay=weight_decay) if weight_decay else keras.optimizers.Adam(0.01)
    for number in range(20):
        slope = rng.standard_normal(start.shape).astype(np.float32)
        state = adam.step(state, (keras.ops.convert_to_tensor(slope),), (True,), np.float32(number), recipe)
        theirs.apply([slope], [variable])
    np.testing.assert_allclose(np.array(state.weights[0]), np.array(variable.value), rtol=2e-4, atol=2e-5)


def test_clips_the_norm_of_a_gradient() -> None:
    slope = np.full((1, 2, 2), 10.0, np.float32)
    for norm, left in ((0.0, 20.0), (1.0, 1.0)):
        recipe = Recipe(clip_norm=norm)
        state = adam.step(adam.initial_state((np.zeros_like(slope),)), (slope,), (True,), np.float32(0), recipe)
        np.testing.assert_allclose(np.linalg.norm(np.array(state.first[0])), 0.1 * left, rtol=1e-5)
