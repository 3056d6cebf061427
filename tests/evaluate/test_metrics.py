import numpy as np
from xpfeh.evaluate.metrics import robust_sigma, sliced_summary, summary


def gaussian(residual: np.ndarray, error: np.ndarray) -> dict[str, np.ndarray]:
    """Stars of true [Fe/H] 0 and predictions with Gaussian intervals."""
    ends = {f"FEH_{end}{level}": residual + k * error for end, level, k in
            (("lo", 68, -1), ("hi", 68, 1), ("lo", 95, -1.96), ("hi", 95, 1.96))}  # fmt: skip
    return {"feh": np.zeros(len(residual)), "FEH": residual, "FEH_err": error, **ends}


def test_a_gaussian_with_true_errors_gives_textbook_numbers() -> None:
    rng = np.random.default_rng(0)
    error = rng.uniform(0.05, 0.2, 400_000)
    numbers = summary(gaussian(rng.normal(0.01, error), error))
    np.testing.assert_allclose(
        [numbers["coverage_68"], numbers["coverage_95"], numbers["z_robust_std"]], [0.6827, 0.95, 1], atol=0.01
    )
    np.testing.assert_allclose(numbers["bias"], 0.01, atol=0.001)
    np.testing.assert_allclose(numbers["nll"], np.mean(np.log(error)) + 0.5 * np.log(2 * np.pi) + 0.5, atol=0.01)


def test_one_outlier_moves_std_and_not_the_robust_sigma() -> None:
    residual = np.r_[np.linspace(-0.1, 0.1, 101), 50.0]
    assert robust_sigma(residual) < 0.09
    assert residual.std() > 4


def test_numbers_of_three_stars_by_hand() -> None:
    stars = gaussian(np.array([-0.1, 0.0, 0.7]), np.array([0.11, 0.1, 0.1]))
    numbers = summary(stars)
    np.testing.assert_allclose([numbers["bias"], numbers["median"], numbers["mae"]], [0.2, 0.0, 0.8 / 3])
    np.testing.assert_allclose([numbers["coverage_68"], numbers["robust_sigma"]], [2 / 3, 0.14826])
    assert numbers["catastrophic"] == 1
    assert "caught" not in numbers
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


def test_slices_are_by_truth_and_magnitude() -> None:
    stars = gaussian(np.array([0.1, 0.0, 0.0]), np.full(3, 0.1))
    stars |= {"feh": np.array([-2.5, -1.5, 0.0]), "phot_g_mean_mag": np.array([10.0, 12.5, 12.9])}
    counts = {name: numbers["n"] for name, numbers in sliced_summary(stars).items()}
    assert (counts["all"], counts["feh<-1"], counts["feh<-2"]) == (3, 2, 1)
    assert sliced_summary(stars)["13<=G<14"] == {"n": 0}
    assert (counts["0<=G<11"], counts["12<=G<13"], counts["13<=G<14"]) == (1, 2, 0)
