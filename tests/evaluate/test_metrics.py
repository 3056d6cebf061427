import numpy as np
from xpfeh.evaluate.metrics import inside, sliced_summary, summary
from xpfeh.evaluate.residuals import robust_sigma
from xpfeh.evaluate.sections.abundances import residual_slope
from xpfeh.flags import Flag

from tests.evaluate.made_up import gaussian, held_out, in_cells


def test_a_gaussian_with_true_errors_gives_textbook_numbers() -> None:
    rng = np.random.default_rng(0)
    error = rng.uniform(0.05, 0.2, 400_000)
    numbers = summary(gaussian(rng.normal(0.01, error), error))
    np.testing.assert_allclose(
        [numbers["coverage_68"], numbers["coverage_95"], numbers["z_robust_std"]], [0.6827, 0.95, 1], atol=0.01
    )
    np.testing.assert_allclose(numbers["bias"], 0.01, atol=0.001)
    np.testing.assert_allclose(numbers["nll"], np.mean(np.log(error)) + 0.5 * np.log(2 * np.pi) + 0.5, atol=0.01)


def test_one_outlier_changes_std_but_not_the_robust_sigma() -> None:
    residual = np.r_[np.linspace(-0.1, 0.1, 101), 50.0]
    assert robust_sigma(residual) < 0.09
    assert residual.std() > 4


def test_numbers_of_three_stars_by_hand() -> None:
    stars = gaussian(np.array([-0.1, 0.0, 0.7]), np.array([0.11, 0.1, 0.1]))
    numbers = summary(stars)
    np.testing.assert_allclose([numbers["bias"], numbers["median"], numbers["mae"]], [0.2, 0.0, 0.8 / 3])
    np.testing.assert_allclose([numbers["coverage_68"], numbers["robust_sigma"]], [2 / 3, 0.14826])
    assert numbers["catastrophic"] == 1
    assert not {"caught", "inside_own_sigma"} & set(numbers)
    own = {"FEH_err_aleatoric": np.array([0.08, 0.1, 0.6]), "FEH_err_epistemic": np.array([0.09, 0.1, 0.3])}
    assert summary({**stars, **own})["inside_own_sigma"] == 2 / 3  # 0.12, 0.14 and 0.67
    assert summary({**stars, "domain_score": np.array([1.0, 2.0, 3.0])})["caught"] == 1
    assert summary({**stars, "domain_score": np.array([3.0, 2.0, 1.0])})["caught"] == 0


def test_heavy_tails_are_likelier_under_student_t() -> None:
    rng = np.random.default_rng(0)
    scale = 0.1 / 1.1335
    numbers = summary(gaussian(scale * rng.standard_t(4, 200_000), np.full(200_000, 0.1)))
    np.testing.assert_allclose(numbers["coverage_68"], 0.68, atol=0.005)
    # The differential entropy of Student's t with 4 degrees of freedom, of scale 1, is 1.6818.
    np.testing.assert_allclose(numbers["nll_t"], 1.6818 + np.log(scale), atol=0.01)
    assert numbers["nll_t"] < numbers["nll"]


def test_an_interval_may_be_lopsided() -> None:
    stars = gaussian(np.zeros(2), np.full(2, 0.1))
    stars |= {"FEH_lo68": np.array([0.05, -0.01]), "FEH_hi68": np.array([0.2, 0.5])}
    assert summary(stars)["coverage_68"] == 0.5


def test_an_open_end_excludes_nothing() -> None:
    nan = np.nan
    stars = gaussian(np.full(4, 0.0), np.full(4, 0.1))
    stars |= {"FEH_lo68": np.array([nan, nan, 0.1, nan]), "FEH_hi68": np.array([0.2, -0.1, nan, nan])}
    stars["FEH_lo95"] = stars["FEH_lo68"]
    assert inside(stars, 68).tolist() == [True, False, False, True]
    numbers = summary(stars)
    assert numbers["coverage_68"] == 1 / 3  # the last star claims nothing
    assert numbers["n_open"] == 3


def test_stars_without_a_prediction_are_counted_but_have_no_residual() -> None:
    stars = gaussian(np.array([0.1, -0.1, np.nan, 0.3]), np.array([0.1, 0.1, np.nan, np.nan]))
    stars["domain_score"] = np.array([1.0, 2.0, np.nan, 3.0])
    numbers = summary(stars)
    assert (numbers["n"], numbers["n_without_feh"], numbers["n_open"]) == (3, 1, 2)
    np.testing.assert_allclose([numbers["bias"], numbers["mae"]], [0.1, 0.5 / 3])
    closed = summary({name: values[:2] for name, values in stars.items()})
    assert (numbers["nll"], numbers["nll_t"], numbers["coverage_68"]) == (
        closed["nll"], closed["nll_t"], closed["coverage_68"],
    )  # fmt: skip
    silent = summary({name: values[2:3] for name, values in stars.items()})
    assert silent == {"n": 0, "n_without_feh": 1, "n_open": 1}


def test_without_a_closed_interval_there_is_no_likelihood() -> None:
    stars = gaussian(np.array([0.1, -0.1]), np.full(2, np.nan)) | {"FEH_hi68": np.array([0.2, 0.0])}
    numbers = summary(stars)
    assert np.isnan(numbers["nll"])
    assert np.isnan(numbers["coverage_95"])
    assert (numbers["coverage_68"], numbers["mae"]) == (1.0, 0.1)


def test_slices_by_hand() -> None:
    stars = {"source_id": in_cells(4), **gaussian(np.array([0.1, 0.0, 0.0, 0.0]), np.full(4, 0.1))}
    stars |= {
        "feh": np.array([-2.6, -1.5, 0.0, -2.45]),
        "phot_g_mean_mag": np.array([10.0, 12.5, 12.9, 13.0]),
        "ebv": np.array([0.0, 0.02, 0.049, 0.19]),
        "alpha_m": np.array([np.nan, 0.05, 0.2, 0.15]),
        "reference": np.array(["Made-Up et al. 2025", "APOGEE DR17", "", ""]),
        "flags": np.array([Flag.FEH_EDGE, Flag.FAINT, Flag.ODD_SN, 0], dtype=np.uint32),
    }
    numbers = sliced_summary(stars)
    assert {name: slice_["n"] for name, slice_ in numbers.items() if slice_["n"]} == {
        "all": 4, "unflagged": 2, "feh<-1": 3, "feh<-2": 2, "feh<-2.5": 1, "literature<-2.4": 1, "apogee": 3,
        "ebv<0.02": 1, "0.02<=ebv<0.05": 2, "0.12<=ebv<0.2": 1, "alpha<0.1": 1, "alpha>=0.2": 1,
        "0<=G<11": 1, "12<=G<13": 2, "13<=G<14": 1,
    }  # fmt: skip
    assert numbers["14<=G<15"] == {"n": 0, "n_without_feh": 0, "n_open": 0}
    assert np.isnan(numbers["all"]["mae_se"])  # one cell


def test_the_slope_against_alpha_is_robust_to_single_outliers() -> None:
    stars = held_out(2000, poor=100)
    stars["FEH"] = stars["FEH"] + 0.2 * np.nan_to_num(stars["alpha_m"])
    found = residual_slope(stars, "alpha_m")
    known = np.isfinite(stars["alpha_m"])
    slope, _ = np.polyfit(stars["alpha_m"][known], (stars["FEH"] - stars["feh"])[known], 1)
    assert found["n"] == 1900
    np.testing.assert_allclose(found["slope"], slope)
    # For independent stars: scatter over sqrt(n) times the scatter of [alpha/M], which is uniform over 0.3 dex.
    np.testing.assert_allclose(found["slope_se"], 0.08 / np.sqrt(1900) / (0.3 / np.sqrt(12)), rtol=0.1)
    broken = stars["FEH"].copy()
    broken[np.argsort(np.where(known, stars["alpha_m"], np.inf))[:20]] = 5.0
    assert abs(residual_slope({**stars, "FEH": broken}, "alpha_m")["slope"] - slope) < found["slope_se"]
    few = residual_slope({name: values[:29] for name, values in stars.items()}, "alpha_m")
    assert np.isnan(few["slope"])
