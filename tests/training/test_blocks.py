"""Scales computed in blocks: those of NumPy for all stars at once."""

import numpy as np
import pyarrow as pa
import pytest
from xpfeh.labels.sample import Sample
from xpfeh.training import blocks as blocks_module
from xpfeh.training.backend import as_tensor, ops
from xpfeh.training.blocks import Blocks, covariance, mean_and_deviation, thinned


def test_one_block_gives_numpys_values_to_the_bit(sample: Sample) -> None:
    """So the packaged labels, which fit in a block, give the models that they always gave."""
    flux, rows = sample.columns["flux"], np.arange(0, len(sample), 3)
    mean, deviation = mean_and_deviation(lambda: Blocks(flux, rows))
    np.testing.assert_array_equal(mean, flux[rows].mean(axis=0))
    np.testing.assert_array_equal(deviation, flux[rows].std(axis=0))
    np.testing.assert_array_equal(covariance(lambda: Blocks(flux, rows)), np.cov(flux[rows].T.astype(np.float64)))


def test_blocks_give_the_same_values_but_for_rounding(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK", 700)
    flux, rows = sample.columns["flux"], np.arange(len(sample))
    mean, deviation = mean_and_deviation(lambda: Blocks(flux, rows))
    np.testing.assert_allclose(mean, flux.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(deviation, flux.std(axis=0, dtype=np.float64), rtol=1e-5)
    expected = np.cov(flux.T.astype(np.float64))
    np.testing.assert_allclose(covariance(lambda: Blocks(flux, rows)), expected, atol=1e-12 * expected.max())


@pytest.mark.parametrize("written", [True, False])
def test_a_tensor_shares_the_samples_memory(sample: Sample, written: bool) -> None:
    """Spectra of a sample are aligned; arrays in Ray's store are read-only, too."""
    flux = np.ndarray((50, 343), np.float32, pa.allocate_buffer(4 * 50 * 343))
    flux[:] = sample.columns["flux"][:50]
    shown = flux.view()
    shown.flags.writeable = written
    tensor = as_tensor(shown)
    flux[3, 4] = 9.0  # never done outside this test
    assert ops.convert_to_numpy(tensor)[3, 4] == 9.0
    np.testing.assert_array_equal(ops.convert_to_numpy(tensor), flux)
    assert sample.columns["flux"].ctypes.data % 64 == 0


def test_unaligned_arrays_are_copied() -> None:
    memory = np.ndarray((8 * 343 + 1,), np.float32, pa.allocate_buffer(4 * (8 * 343 + 1)))
    memory[:] = 1.0
    tensor = as_tensor(memory[1:].reshape(8, 343))
    memory[:] = 9.0
    assert (ops.convert_to_numpy(tensor) == 1.0).all()


@pytest.mark.parametrize(("rows", "most"), [(0, 5), (5, 5), (6, 5), (100, 7)])
def test_thinned_rows_are_even_and_not_too_many(rows: int, most: int) -> None:
    kept = thinned(np.arange(rows), most)
    assert min(rows, most) / 2 < len(kept) <= most or not rows
    assert len(np.unique(np.diff(kept))) <= 1
