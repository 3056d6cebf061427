"""Typical correlations: what they are made of, how good they are with each real star left out, and where they serve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.flags import Flag
from xpfeh.settings import PreprocessSettings
from xpfeh.xp import typical_correlations as module
from xpfeh.xp.bases import BANDS
from xpfeh.xp.calibrate import calibrate
from xpfeh.xp.preprocess import sample_spectra
from xpfeh.xp.product import PRODUCT_ROWS
from xpfeh.xp.typical_correlations import DATA, band_magnitude, typical_correlations

from tests.genuine import datalink_file, shared
from tests.sources.reading import read_whole
from tests.xp.making_typical_correlations import (
    EXTREME,
    MAGNITUDES,
    made,
    mean_matrices,
    stars_with_correlations,
    usable,
)

Columns = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    return stars_with_correlations(tmp_path_factory.mktemp("star"))


@pytest.fixture(scope="module")
def star(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    """The genuine star that astroquery carries, of G = 13.9."""
    return read_whole(datalink_file("csv", tmp_path_factory.mktemp("star"))).columns


def with_correlations(stars: Columns, value: float) -> Columns:
    return {name: np.full_like(v, value) if "correlations" in name else v for name, v in stars.items()}


def matrix_of(packed: np.ndarray, n: int) -> np.ndarray:
    lower = np.zeros((n, n))
    lower[np.tril_indices(n, -1)] = packed
    return lower + lower.T + np.eye(n)


def rms(log_ratio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(log_ratio))))


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_is_what_the_real_stars_give(stars: Columns) -> None:
    with np.load(DATA) as file:
        assert set(file.files) == {"magnitudes", "dr3_bp", "dr3_rp"}
        for name, values in made(stars).items():
            np.testing.assert_allclose(file[name], values, atol=1e-6)
            assert file[name].dtype == values.dtype


def test_it_is_made_of_14_and_15_of_18_stars(stars: Columns) -> None:
    assert len(stars["source_id"]) == 18
    assert [int(usable(stars, band).sum()) for band in BANDS] == [14, 15]
    assert np.isin(list(EXTREME), stars["source_id"]).all()


# --- how good they are ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def left_out(stars: Columns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of 14 stars, each left out in turn: BP's magnitude, and log of errors over own with typical ones and with 0."""
    stars = {name: values[usable(stars, "bp")] for name, values in stars.items()}
    own, zero = (np.log(calibrate(each, "dr3")[1]) for each in (stars, with_correlations(stars, 0.0)))
    typical = np.empty_like(own)
    with pytest.MonkeyPatch.context() as patched:
        for i, source_id in enumerate(stars["source_id"]):
            others = stars["source_id"] != source_id
            matrices = {f"dr3_{band}": mean_matrices(stars, band, others) for band in BANDS}
            patched.setattr(module, "_load", lambda found=matrices: (MAGNITUDES, found))
            one = {name: values[i : i + 1] for name, values in with_correlations(stars, np.nan).items()}
            typical[i] = np.log(calibrate(one, "dr3")[1][0])
    return band_magnitude(stars["bp_coefficients"]), typical - own, zero - own


@pytest.mark.parametrize(
    ("brightest", "faintest", "n_stars", "most"),
    [(-18, -16, 2, 0.20), (-12, -8.5, 8, 0.065), (-8.5, -7, 1, 0.075), (-6, -5, 3, 0.09)],
)
def test_left_out_stars_get_their_own_errors(
    left_out: tuple[np.ndarray, np.ndarray, np.ndarray], brightest: float, faintest: float, n_stars: int, most: float
) -> None:
    magnitude, typical, zero = left_out
    here = (brightest < magnitude) & (magnitude < faintest)
    assert here.sum() == n_stars
    assert rms(typical[here]) < most
    assert rms(typical[here]) < 0.8 * rms(zero[here])
    assert abs(np.median(typical[here])) < 0.03


def test_every_left_out_star_but_one_gains(left_out: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    _, typical, zero = left_out
    gains = [rms(ours) < rms(before) for ours, before in zip(typical, zero, strict=True)]
    assert sum(gains) == 13


def test_the_packaged_genuine_star_gets_its_own_errors(star: Columns) -> None:
    own, typical, zero = (
        np.log(calibrate(each, "dr3")[1])
        for each in (star, with_correlations(star, np.nan), with_correlations(star, 0.0))
    )
    assert rms(typical - own) < 0.6 * rms(zero - own)


# --- what holds for any star ------------------------------------------------------------------------------------------


@hypothesis_settings(max_examples=25)
@given(magnitude=st.floats(-25, 5), band=st.sampled_from(BANDS))
def test_every_mixture_is_positive_definite(magnitude: float, band: str) -> None:
    coefficients = np.zeros((1, 55))
    coefficients[0, 0] = 10 ** (-0.4 * magnitude)
    np.testing.assert_allclose(band_magnitude(coefficients), magnitude, atol=1e-9)
    (packed,) = typical_correlations("dr3", band, coefficients)
    assert np.abs(packed).max() < 1
    assert np.linalg.eigvalsh(matrix_of(packed, 55)).min() > 0.01


@hypothesis_settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_any_errors_give_positive_variances(star: Columns, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made_up = with_correlations(star, np.nan)
    for band in BANDS:
        made_up[f"{band}_coefficients"] = rng.normal(size=(1, 55)) * 10 ** rng.uniform(0, 8)
        made_up[f"{band}_coefficient_errors"] = 10 ** rng.uniform(-2, 4, (1, 55))
    _, error = calibrate(made_up, "dr3")
    assert (error > 0).all()


def test_no_light_at_all_counts_as_faint() -> None:
    assert np.isfinite(band_magnitude(np.zeros((1, 55)))).all()
    none, faint = typical_correlations("dr3", "bp", np.array([[0.0] * 55, [1.0] * 55]))
    np.testing.assert_array_equal(none, faint)


@pytest.mark.parametrize(("band", "n"), [("bp", 51), ("rp", 55)])
def test_a_release_without_matrices_has_zeros(band: str, n: int) -> None:
    packed = typical_correlations("dr4", band, np.ones((3, n)))
    assert packed.shape == (3, n * (n - 1) // 2)
    assert not packed.any()


# --- in a batch -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(star: Columns) -> Columns:
    """500 stars made of a genuine one, each of its own brightness: a third have no correlations, a third none in RP."""
    rng = np.random.default_rng(0)
    made_up = {name: np.repeat(values, 500, axis=0) for name, values in star.items()}
    for band in BANDS:
        made_up[f"{band}_coefficients"] *= 10 ** rng.uniform(-2, 2, (500, 1))
        made_up[f"{band}_coefficient_errors"] *= rng.uniform(0.5, 2, (500, 55))
    made_up["bp_coefficient_correlations"][::3] = np.nan
    made_up["rp_coefficient_correlations"][::3] = np.nan
    made_up["rp_coefficient_correlations"][1::3] = np.nan
    for kind in ("coefficients", "coefficient_errors", "coefficient_correlations"):
        made_up[f"bp_{kind}"][7] = np.nan
    return made_up


def test_stars_with_correlations_keep_their_bytes_among_others(mixed: Columns) -> None:
    among = [values[2::3] for values in calibrate(mixed, "dr3")]
    alone = calibrate({name: values[2::3] for name, values in mixed.items()}, "dr3")
    for ours, expected in zip(among, alone, strict=True):
        assert ours.tobytes() == expected.tobytes()


@hypothesis_settings(max_examples=10)
@given(rows=st.lists(st.integers(0, 499), min_size=1, max_size=PRODUCT_ROWS + 20, unique=True))
def test_a_stars_bytes_do_not_depend_on_its_batch(mixed: Columns, rows: list[int]) -> None:
    whole = calibrate(mixed, "dr3")
    some = calibrate({name: values[rows] for name, values in mixed.items()}, "dr3")
    for ours, expected in zip(some, whole, strict=True):
        assert ours.tobytes() == expected[rows].tobytes()


def test_typical_ones_count_where_a_bands_own_are_missing(mixed: Columns) -> None:
    filled = {name: values.copy() for name, values in mixed.items()}
    for band in BANDS:
        correlations = filled[f"{band}_coefficient_correlations"]
        for row in np.flatnonzero(
            np.isnan(correlations).any(axis=1) & np.isfinite(filled[f"{band}_coefficients"][:, 0])
        ):
            correlations[row] = typical_correlations("dr3", band, filled[f"{band}_coefficients"][row : row + 1])[0]
    for ours, expected in zip(calibrate(mixed, "dr3"), calibrate(filled, "dr3"), strict=True):
        assert ours.tobytes() == expected.tobytes()


def test_the_given_columns_stay_as_they_are(mixed: Columns) -> None:
    before = {name: values.tobytes() for name, values in mixed.items()}
    calibrate(mixed, "dr3")
    assert {name: values.tobytes() for name, values in mixed.items()} == before


def test_features_go_the_same_way_and_say_so(mixed: Columns) -> None:
    found = sample_spectra(mixed, PreprocessSettings())
    assert found["flux_error"].tobytes() == calibrate(mixed, "dr3")[1].tobytes()
    flagged = (found["spectrum_flags"] & np.uint32(Flag.NO_CORRELATIONS)) > 0
    assert np.flatnonzero(~flagged).tolist() == sorted({*range(2, 500, 3)})


def test_two_thousand_genuine_stars_get_errors() -> None:
    columns = read_whole(shared("xp_chunk0/xp_continuous_combined_chunk0.fits")).columns
    flux, error = calibrate(columns, "dr3")
    assert np.isfinite(flux).all()
    assert (error > 0).all()
