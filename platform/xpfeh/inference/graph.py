"""An ONNX graph over stars, computed so that a star's bytes depend on that star alone.

A kernel may sum in a different order at the edge of its blocks: a row of a product then depends on the number of rows
and on its place among them. Here stars are padded to whole blocks. Each time a graph is loaded, a test checks that rows
are then independent; if not (no such machine is known), each star is computed alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from xpfeh.errors import ModelError
from xpfeh.files import first_line

BLOCK = 16
"""Stars are computed in multiples of this, a multiple of the lanes and block heights of the kernels in use."""
CHUNK = 256
"""Maximum number of stars per call: with more, the intermediate results of ten networks exceed a core's caches."""

onnxruntime.set_default_logger_severity(3)  # errors only: its warnings are for authors of graphs


class Graph:
    """A graph whose inputs and outputs all have stars as their first axis.

    Parameters
    ----------
    content : bytes
        The ONNX file.

    Attributes
    ----------
    widths : dict of tuples
        Shape of one star's input, by the input's name.

    Raises
    ------
    UserError
        If `content` is not a usable ONNX graph.
    """

    def __init__(self, content: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # threads share the chunks, never a sum
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # each kind of failure has its own class, in a private module
            raise ModelError(f"not an ONNX graph that can be computed ({first_line(error)})") from None
        self.widths = {each.name: tuple(each.shape[1:]) for each in self._session.get_inputs()}
        self._block, self._chunk = (BLOCK, CHUNK) if self._rows_are_independent() else (1, 1)

    def __call__(self, features: Mapping[str, NDArray]) -> list[NDArray[np.float32]]:
        """Return the graph's outputs, (N, ...) each, for N stars; NaN for a star with NaN in its inputs."""
        columns = {name: np.asarray(features[name]) for name in self.widths}
        usable = np.logical_and.reduce([_finite(values) for values in columns.values()])
        starts = range(0, max(1, len(usable)), self._chunk)

        def outputs(start: int) -> list[NDArray[np.float32]]:
            good = usable[start : start + self._chunk]
            padded = {}
            for name, values in columns.items():
                rows = -(-max(1, len(good)) // self._block) * self._block
                padded[name] = np.ones((rows, *self.widths[name]), dtype=np.float32)
                padded[name][: len(good)][good] = values[start : start + self._chunk][good]
            found = [each[: len(good)] for each in self._session.run(None, padded)]
            for each in found:
                each[~good] = np.nan
            return found

        if len(starts) == 1 or _threads() == 1:
            chunks = [outputs(start) for start in starts]
        else:
            with ThreadPoolExecutor(_threads()) as pool:
                chunks = list(pool.map(outputs, starts))
        return [np.concatenate(same) for same in zip(*chunks, strict=True)]

    def _rows_are_independent(self) -> bool:
        """Return whether made-up stars get the same bytes in one chunk, in another order, and block by block."""
        rng = np.random.default_rng(0)
        stars = {
            name: np.exp(rng.normal(0, 0.3, (CHUNK, *width))).astype(np.float32) for name, width in self.widths.items()
        }
        whole = self._session.run(None, stars)
        turned = self._session.run(None, {name: np.roll(values, 1, axis=0) for name, values in stars.items()})
        blocks = [
            self._session.run(None, {name: values[start : start + BLOCK] for name, values in stars.items()})
            for start in range(0, CHUNK, BLOCK)
        ]
        joined = [np.concatenate(same) for same in zip(*blocks, strict=True)]
        return all(
            one.tobytes() == np.roll(other, -1, axis=0).tobytes() == third.tobytes()
            for one, other, third in zip(whole, turned, joined, strict=True)
        )


def _finite(values: NDArray) -> NDArray[np.bool_]:
    return np.isfinite(values).all(axis=tuple(range(1, values.ndim)))


def _threads() -> int:
    """Return the number of cores this process may use: Ray sets its workers' share in ``OMP_NUM_THREADS``."""
    share = os.environ.get("OMP_NUM_THREADS", "")
    if share.isdigit() and int(share):
        return int(share)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # not on a Mac
