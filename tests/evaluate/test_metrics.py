import numpy as np
from xpfeh.evaluate.metrics import robust_sigma, sliced_summary, summary


def test_a_gaussian_with_true_errors_gives_textbook_numbers() -> None:
    rng = np.random.default_rng(0)
    error = rng.uniform(0.05, 0.2, 400_000)
    numbers = summary(rng.normal(0.01, error), error)
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
    numbers = summary(np.array([-0.1, 0.0, 0.4]), np.array([0.1, 0.1, 0.1]))
    np.testing.assert_allclose([numbers["bias"], numbers["median"], numbers["mae"]], [0.1, 0.0, 0.5 / 3])
    np.testing.assert_allclose([numbers["coverage_68"], numbers["robust_sigma"]], [2 / 3, 0.14826])


def test_slices_are_by_truth_and_magnitude() -> None:
    stars = {
        "feh": np.array([-2.5, -1.5, 0.0]),
        "FEH": np.array([-2.4, -1.5, 0.0]),
        "FEH_err": np.full(3, 0.1),
        "phot_g_mean_mag": np.array([10.0, 12.5, 12.9]),
    }
    counts = {name: numbers["n"] for name, numbers in sliced_summary(stars).items()}
    assert (counts["all"], counts["feh<-1"], counts["feh<-2"]) == (3, 2, 1)
    assert sliced_summary(stars)["13<=G<14"] == {"n": 0}
    assert (counts["0<=G<11"], counts["12<=G<13"], counts["13<=G<14"]) == (1, 2, 0)
