"""Against GaiaXPy, on every genuine file here, and against a slow matrix product."""

from pathlib import Path

import gaiaxpy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.errors import UserError
from xpfeh.releases import releases_of
from xpfeh.xp.bases import load_bands
from xpfeh.xp.calibrate import calibrate, pack_covariance
from xpfeh.xp.product import _loop, product

from tests.genuine import datalink_file, shared
from tests.sources.reading import read_whole

Columns = dict[str, np.ndarray]


def agrees_with_gaiaxpy(path: Path, sampling: np.ndarray | None = None) -> None:
    theirs, _ = gaiaxpy.calibrate(str(path), sampling=sampling, save_file=False)
    columns = read_whole(path).columns
    assert columns["source_id"].tolist() == theirs["source_id"].tolist()
    flux, error = calibrate(columns, "dr3", sampling)
    np.testing.assert_allclose(flux, np.stack(theirs["flux"]), rtol=1e-10, atol=1e-28)
    # FITS carries coefficient errors in float32, and GaiaXPy computes in that precision; we widen first.
    tolerance = 1e-7 if path.suffix == ".fits" else 1e-10
    np.testing.assert_allclose(error, np.stack(theirs["flux_error"]), rtol=tolerance)


@pytest.mark.parametrize("kind", ["csv", "ecsv", "fits", "vot"])
def test_equals_gaiaxpy_on_a_genuine_star_of_every_format(kind: str, tmp_path: Path) -> None:
    agrees_with_gaiaxpy(datalink_file(kind, tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "XP_CONTINUOUS_RAW.csv", "XP_CONTINUOUS_RAW.ecsv", "XP_CONTINUOUS_RAW.fits", "XP_CONTINUOUS_RAW.xml",
        "XP_CONTINUOUS_RAW_plain.xml", "XP_CONTINUOUS_RAW_with_missing_BP.csv",
        "XP_CONTINUOUS_RAW_with_missing_BP.ecsv", "XP_CONTINUOUS_RAW_with_missing_BP.fits",
        "XP_CONTINUOUS_RAW_with_missing_BP.xml", "XP_CONTINUOUS_RAW_with_missing_BP_plain.xml",
        "XP_CONTINUOUS_RAW_colour_eq_dr3int6.csv", "ten_bright_stars.csv",
    ],
)  # fmt: skip
def test_equals_gaiaxpy_on_genuine_files(name: str) -> None:
    agrees_with_gaiaxpy(shared(f"gaia_continuous/{name}"))


def test_equals_gaiaxpy_on_the_users_own_grid(tmp_path: Path) -> None:
    agrees_with_gaiaxpy(datalink_file("csv", tmp_path), np.arange(350.0, 1000.0, 7.3))


@pytest.fixture(scope="module")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    """A genuine star, 700 times with other coefficients and errors (made-up, to have many)."""
    path = datalink_file("csv", tmp_path_factory.mktemp("star"))
    star = read_whole(path).columns
    rng = np.random.default_rng(0)
    made = {name: np.repeat(values, 700, axis=0) for name, values in star.items()}
    for name, values in made.items():
        if name.endswith(("coefficients", "errors")):
            values *= rng.uniform(0.5, 2, values.shape)
    made["source_id"] = np.arange(700)
    for name in ("coefficients", "coefficient_errors", "coefficient_correlations"):
        made[f"bp_{name}"][5] = np.nan
        made[f"rp_{name}"][6] = np.nan
    return made


def test_the_variance_is_that_of_the_unpacked_matrix(stars: Columns) -> None:
    band = load_bands("dr3")["bp"]
    for i in (0, 1, 2):
        matrix = np.eye(55)
        matrix[np.tril_indices(55, -1)] = stars["bp_coefficient_correlations"][i]
        matrix = np.maximum(matrix, matrix.T) + np.minimum(matrix, matrix.T) - np.diag(np.diag(matrix))
        error = stars["bp_coefficient_errors"][i]
        slow = np.diag(band.basis.T @ (matrix * np.outer(error, error)) @ band.basis)
        packed = pack_covariance(error[None], stars["bp_coefficient_correlations"][i : i + 1])
        np.testing.assert_allclose((packed @ band.pairs)[0], slow, rtol=1e-9)


@hypothesis_settings(max_examples=15)
@given(n=st.integers(1, 8), seed=st.integers(0, 1000))
def test_packing_goes_row_by_row_and_back(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    error, correlation = rng.uniform(0.1, 2, (3, n)), rng.uniform(-1, 1, (3, n * (n - 1) // 2))
    packed = pack_covariance(error, correlation)
    for star in range(3):
        matrix = np.zeros((n, n))
        matrix[np.tril_indices(n)] = packed[star]
        np.testing.assert_allclose(np.sqrt(np.diag(matrix)), error[star])
        back = matrix[np.tril_indices(n, -1)] / np.outer(error[star], error[star])[np.tril_indices(n, -1)]
        np.testing.assert_allclose(back, correlation[star])


@hypothesis_settings(max_examples=10)
@given(rows=st.lists(st.integers(0, 699), min_size=1, max_size=300, unique=True))
def test_a_stars_bytes_do_not_depend_on_its_batch(stars: Columns, rows: list[int]) -> None:
    whole = calibrate(stars, "dr3")
    some = calibrate({name: values[rows] for name, values in stars.items()}, "dr3")
    for a, b in zip(whole, some, strict=True):
        assert a[rows].tobytes() == b.tobytes()


def test_the_fallback_product_is_the_same_sum() -> None:
    rng = np.random.default_rng(0)
    rows, matrix = rng.normal(size=(11, 55)), rng.normal(size=(55, 30))
    np.testing.assert_allclose(_loop(rows, matrix), product(rows, matrix), rtol=1e-12)


def test_without_correlations_flux_stays_and_errors_change_a_little(stars: Columns) -> None:
    unknown = {n: np.full_like(v, np.nan) if "correlations" in n else v for n, v in stars.items()}
    flux, error = calibrate(stars, "dr3")
    same, typical = calibrate(unknown, "dr3")
    np.testing.assert_array_equal(same, flux)
    np.testing.assert_array_equal(np.isnan(typical), np.isnan(error))
    assert np.nanmedian(np.abs(np.log(typical / error))) < 0.1


def test_a_missing_band_hides_what_the_other_does_not_cover(stars: Columns) -> None:
    flux, _ = calibrate(stars, "dr3")
    assert np.isfinite(flux[0]).all()
    assert np.isnan(flux[5][:150]).all()
    assert np.isfinite(flux[5][155:]).all()
    assert np.isfinite(flux[6][:140]).all()
    assert np.isnan(flux[6][160:]).all()


def test_a_release_is_known_by_its_numbers_of_coefficients() -> None:
    assert releases_of(55, 55) == ("dr3",)
    assert releases_of(51, 55) == ("dr4",)
    with pytest.raises(UserError, match="54 BP and 55 RP"):
        releases_of(54, 55)
    with pytest.raises(UserError, match="no bases for Gaia DR4"):
        load_bands("dr4")
