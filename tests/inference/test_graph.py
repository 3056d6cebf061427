"""A star's bytes depend on that star alone, whatever the kernels do."""

from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.inference.bundle import MODEL
from xpfeh.inference.graph import CHUNK, Graph


@pytest.fixture(scope="module")
def content(bundle: Path) -> bytes:
    return (bundle / MODEL).read_bytes()


def stars(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {"flux": rng.uniform(0.5, 1.5, (n, 60)), "flux_error": rng.uniform(0.01, 0.1, (n, 60)), "ebv": np.zeros(n)}


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_batch_and_order_and_threads_change_nothing(
    content: bytes, alike: bool, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(Graph, "_rows_are_independent", lambda _: alike)
    graph, given = Graph(content), stars(2 * CHUNK + 77)
    (whole,) = graph(given)
    assert np.isfinite(whole[:, 0]).any()
    order = np.random.default_rng(0).permutation(len(whole))
    (turned,) = graph({name: values[order] for name, values in given.items()})
    assert turned.tobytes() == whole[order].tobytes()
    for part in (slice(0, 1), slice(5, 8), slice(CHUNK - 3, CHUNK + 30)):
        assert graph({name: values[part] for name, values in given.items()})[0].tobytes() == whole[part].tobytes()


def test_rows_are_checked_to_be_independent(content: bytes) -> None:
    assert Graph(content)._rows_are_independent()


def test_dependent_rows_are_detected(content: bytes) -> None:
    """As if a kernel summed the last row of a call in another order."""
    graph = Graph(content)
    session = graph._session

    class Lopsided:
        def run(self, names: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
            found = session.run(names, given)
            found[0][-1] *= 1.0000002
            return found

    graph._session = Lopsided()
    assert not graph._rows_are_independent()


def test_an_invalid_graph_is_refused() -> None:
    with pytest.raises(UserError, match="not an ONNX graph"):
        Graph(b"PK\x03\x04")
