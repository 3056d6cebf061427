import numpy as np
import pytest
from xpfeh.evaluate.cells import FEW_CELLS, by_cell, resample, standard_errors, weighted_median
from xpfeh.evaluate.metrics import summary, with_errors
from xpfeh.evaluate.residuals import SPREADS, robust_sigma, spreads
from xpfeh.labels.sample import split_by_sky

from tests.evaluate.made_up import ONE_CELL, gaussian, held_out, in_cells


def test_stars_in_one_cell_are_in_one_part_of_the_split() -> None:
    source_id = np.random.default_rng(0).integers(0, 40 * ONE_CELL, 5000)
    parts = {(cell, part) for cell, part in zip(by_cell(source_id), split_by_sky(source_id, "xpfeh"), strict=True)}
    assert len(parts) == 40


def test_a_resample_equals_repeated_stars() -> None:
    rng = np.random.default_rng(0)
    residual = np.round(rng.normal(0, 0.1, 60), 2)  # with ties
    weight = rng.integers(0, 4, (20, 60)).astype(float)
    found = dict(zip(SPREADS, spreads(residual, weight), strict=True))
    for row, times in enumerate(weight.astype(int)):
        repeated = np.repeat(residual, times)
        expected = {
            "bias": repeated.mean(), "median": np.median(repeated), "robust_sigma": robust_sigma(repeated),
            "std": repeated.std(), "mae": np.abs(repeated).mean(),
        }  # fmt: skip
        for name, number in expected.items():
            assert found[name][row] == pytest.approx(number, abs=1e-12), name


def test_the_median_of_an_even_number_is_between_the_middle_two() -> None:
    values = np.array([[4.0, 1.0, 2.0, 3.0]])
    assert weighted_median(values, np.ones((1, 4)))[0] == 2.5
    assert weighted_median(values, np.array([[0.0, 1.0, 1.0, 1.0]]))[0] == 2.0


def test_errors_agree_with_a_slow_loop_over_cells() -> None:
    """Compare with a computation independent of `resample`: cells drawn one by one, their stars in a list."""
    stars = held_out(300, poor=0)
    numbers = with_errors(stars)
    cell = by_cell(stars["source_id"])
    members = [np.flatnonzero(cell == each) for each in np.unique(cell)]
    rng = np.random.default_rng(99)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        drawn.append(summary({name: values[rows] for name, values in stars.items()}))
    for name in (*SPREADS, "coverage_68", "coverage_95"):
        assert numbers[f"{name}_se"] == pytest.approx(np.std([each[name] for each in drawn]), rel=0.15), name


def test_an_offset_shared_by_a_cell_increases_the_error() -> None:
    rng = np.random.default_rng(0)
    n = 2000
    alone = {"source_id": in_cells(n), **gaussian(rng.normal(0, 0.1, n), np.full(n, 0.1))}
    shared = {"source_id": in_cells(n), **gaussian(np.repeat(rng.normal(0, 0.1, n // 4), 4), np.full(n, 0.1))}
    assert with_errors(alone)["bias_se"] == pytest.approx(0.1 / np.sqrt(n), rel=0.1)
    assert with_errors(shared)["bias_se"] == pytest.approx(0.1 / np.sqrt(n / 4), rel=0.1)


def test_few_cells_give_no_error() -> None:
    source_id = in_cells(4 * (FEW_CELLS - 1))
    stars = {"source_id": source_id, **gaussian(np.zeros(len(source_id)), np.full(len(source_id), 0.1))}
    numbers = with_errors(stars)
    assert np.isnan(numbers["mae_se"])
    assert np.isnan(numbers["coverage_68_se"])
    cells = np.arange(FEW_CELLS)
    assert standard_errors(cells, ["mean"], lambda weight: (weight @ cells / weight.sum(axis=1))[None])["mean_se"] > 0


def test_resamples_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = np.arange(50)

    def drawn() -> np.ndarray:
        return resample(cell, lambda weight: weight.sum(axis=1)[None], 64)

    whole = drawn()
    assert whole.shape == (1, 64)
    monkeypatch.setattr("xpfeh.evaluate.cells._NUMBERS_AT_ONCE", 500)
    assert drawn().shape == (1, 64)
    np.testing.assert_array_equal(drawn(), 50.0)
