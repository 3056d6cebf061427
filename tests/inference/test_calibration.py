"""Intervals tested on made-up residuals whose true quantiles are known, and on real held-out stars."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from xpfeh.evaluate.metrics import summary
from xpfeh.inference.calibration import (
    DUST_ERROR,
    Calibration,
    FurtherCalibration,
    LinearQuantiles,
    covariates,
    fit_calibration,
    fit_further,
)
from xpfeh.inference.further_labels import FURTHER_LABELS
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.settings import RECIPES
from xpfeh.training.train import train

Columns = dict[str, np.ndarray]

GAUSSIAN = Calibration(
    low=(0.0,) * 5,
    high=(0.0,) * 5,
    intercepts=(-1.96, -0.9945, 0.9945, 1.96),
    slopes=((0.0,) * 5,) * 4,
    dust_error=DUST_ERROR,
)
"""Uses the network's sigma unchanged."""
DUST_BINS = ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.5), (1.5, 9.0))
GIANT = (3.5 - 2.2) / 0.8
"""A log g of 3.5 on the networks' scale."""


def made_answers(n: int, rng: np.random.Generator) -> Columns:
    """Return answers of networks that learn only [Fe/H]."""
    return {
        "feh": rng.uniform(-2.5, 0.5, n),
        "aleatoric": rng.uniform(0.05, 0.2, n),
        "epistemic": rng.uniform(0.01, 0.1, n),
        "noise": np.exp(rng.uniform(-5, -2, n)),
        "ebv": rng.uniform(0, 0.5, n),
    }


def further_answers(n: int, rng: np.random.Generator) -> Columns:
    """Return answers of networks that also learn the further labels, for a whole sky of giants and dwarfs."""
    dwarf = rng.random(n) < 0.2
    given = made_answers(n, rng) | {
        "ebv": np.exp(rng.normal(-1.2, 1.2, n)).clip(0, 5),
        "teff": np.where(dwarf, rng.normal(2.0, 0.9, n), rng.normal(0.0, 0.7, n)),
        "logg": np.where(dwarf, rng.normal(2.7, 0.2, n), rng.normal(0.0, 0.7, n)),
        "alpha_m": rng.normal(0, 0.7, n),
    }
    for label in FURTHER_LABELS:
        given[f"{label.name}_aleatoric"] = rng.uniform(0.1, 0.4, n)
        given[f"{label.name}_epistemic"] = rng.uniform(0.02, 0.2, n)
    return given


def sigma(given: Columns, dust_error: float = DUST_ERROR) -> np.ndarray:
    """Noise, disagreement, and 16 % of E(B-V) at 2.2 dex per magnitude."""
    return np.sqrt(given["aleatoric"] ** 2 + given["epistemic"] ** 2 + (dust_error * given["ebv"]) ** 2)


def rows(given: Columns, chosen: np.ndarray | slice) -> Columns:
    return {name: values[chosen] for name, values in given.items()}


def single(given: Columns) -> Columns:
    return {name: values.astype(np.float32) for name, values in given.items()}


def fitted(given: Columns, feh: np.ndarray, dust_error: float = DUST_ERROR) -> Calibration:
    return fit_calibration(given, feh, np.zeros(len(feh)), np.arange(len(feh)) % 5, dust_error=dust_error)


def shares(calibration: Calibration, given: Columns, feh: np.ndarray) -> list[float]:
    ends = {name: np.array(values) for name, values in calibration.intervals(single(given)).items()}
    return [((feh >= ends[f"FEH_lo{p}"]) & (feh <= ends[f"FEH_hi{p}"])).mean() for p in (68, 95)]


def test_the_gaussian_uses_sigma_unchanged() -> None:
    rng = np.random.default_rng(0)
    given = made_answers(100_000, rng)
    feh = given["feh"] + rng.normal(size=100_000) * sigma(given)
    np.testing.assert_allclose(shares(GAUSSIAN, given, feh), [0.68, 0.95], atol=0.005)


@pytest.mark.parametrize("dust_error", [0.0, DUST_ERROR, 1.0])
def test_the_dust_error_grows_with_dust(dust_error: float) -> None:
    """Nothing is added for networks that are given E(B-V)."""
    given = made_answers(100, np.random.default_rng(1))
    calibration = GAUSSIAN.model_copy(update={"dust_error": dust_error})
    error = calibration.intervals(single(given))["FEH_err"]
    np.testing.assert_allclose(error, 0.9945 * sigma(given, dust_error), rtol=1e-4)


def test_heavy_lopsided_tails_that_depend_on_everything_are_covered() -> None:
    """Student-t residuals, too wide for sigma where dusty, shifted where metal-poor: no Gaussian fits them."""
    rng = np.random.default_rng(1)

    def draw(n: int) -> tuple[Columns, np.ndarray]:
        given = made_answers(n, rng)
        wide = sigma(given) * (0.7 + 2 * given["ebv"])
        return given, given["feh"] + wide * (rng.standard_t(3, n) - 0.3 * given["feh"])

    calibration = fitted(*draw(4000))
    given, feh = draw(60_000)
    for chosen in (given["ebv"] < 0.1, given["ebv"] > 0.4, given["feh"] < -2, given["feh"] > 0):
        np.testing.assert_allclose(shares(calibration, rows(given, chosen), feh[chosen]), [0.68, 0.95], atol=0.04)


def whole_sky(n: int, rng: np.random.Generator) -> tuple[Columns, np.ndarray]:
    """Return residuals too narrow for sigma without dust, too wide behind dust and for dwarfs, with heavy tails."""
    given = further_answers(n, rng)
    grows = 0.7 + 0.6 * np.log1p(given["ebv"] / 0.1) * np.where(given["logg"] > GIANT, 1.5, 1.0)
    return given, given["feh"] + sigma(given, 0.0) * grows * rng.standard_t(6, n)


def test_coverage_is_the_same_behind_dust_and_among_dwarfs() -> None:
    rng = np.random.default_rng(8)
    calibration = fitted(*whole_sky(20_000, rng), dust_error=0.0)
    given, feh = whole_sky(100_000, rng)
    chosen = {f"{low} to {high} mag": (given["ebv"] >= low) & (given["ebv"] < high) for low, high in DUST_BINS}
    chosen |= {"dwarfs": given["logg"] > GIANT, "giants": given["logg"] < GIANT, "hot": given["teff"] > 2.5}
    for name, those in chosen.items():
        assert those.sum() > 1000
        found = shares(calibration, rows(given, those), feh[those])
        np.testing.assert_allclose(found, [0.68, 0.95], atol=0.02, err_msg=name)


def test_the_few_stars_below_minus_two_are_covered_too() -> None:
    """One star in forty: too few to change the quantiles of all, whose 68 % intervals would cover 57 % of them."""
    rng = np.random.default_rng(7)

    def draw(n: int) -> tuple[Columns, np.ndarray]:
        given = made_answers(n, rng)
        given["feh"] = np.where(rng.random(n) < 0.025, rng.uniform(-3, -2, n), rng.uniform(-2, 0.5, n))
        wide = sigma(given) * (1 + 4 * np.maximum(-2 - given["feh"], 0))
        return given, given["feh"] + wide * rng.normal(size=n)

    calibration = fitted(*draw(4000))
    given, feh = draw(60_000)
    np.testing.assert_allclose(shares(calibration, given, feh), [0.68, 0.95], atol=0.02)
    poor = given["feh"] < -2
    np.testing.assert_allclose(shares(calibration, rows(given, poor), feh[poor]), [0.68, 0.95], atol=0.05)


def test_covariates_are_clipped_to_the_range_of_the_fit() -> None:
    rng = np.random.default_rng(2)
    given = made_answers(3000, rng)
    calibration = fitted(given, given["feh"] + 0.1 * rng.normal(size=3000) * (1 + given["ebv"]))
    far, edge = (single(rows(given, slice(1))) for _ in range(2))
    far["ebv"], edge["ebv"] = np.float32([50.0]), np.float32([calibration.high[4]])
    width = [float(calibration.intervals(star)["FEH_err"][0]) / sigma(star)[0] for star in (far, edge)]
    assert width[0] == pytest.approx(width[1], rel=1e-5)


def test_a_label_with_a_huge_error_does_not_count() -> None:
    rng = np.random.default_rng(3)
    given = made_answers(3000, rng)
    feh = given["feh"] + sigma(given) * rng.normal(size=3000)
    feh_err = np.where(np.arange(3000) % 2, np.nan, 100.0)
    feh[feh_err > 0] += rng.choice([-100, 100], 1500)
    calibration = fit_calibration(given, feh, feh_err, np.arange(3000) // 2 % 5, dust_error=DUST_ERROR)
    sure = np.isnan(feh_err)
    np.testing.assert_allclose(shares(calibration, rows(given, sure), feh[sure]), [0.68, 0.95], atol=0.02)


def with_copies(n: int, spread: float, fainter: float, rng: np.random.Generator) -> tuple[Columns, np.ndarray]:
    """Return stars, then a copy of each with `fainter` times the noise, whose residual is `spread` sigma wide."""
    given = {name: np.tile(values, 2) for name, values in made_answers(n, rng).items()}
    given["noise"][n:] *= fainter
    return given, given["feh"] + sigma(given) * np.repeat([1.0, spread], n) * rng.normal(size=2 * n)


def fitted_with_copies(n: int, given: Columns, feh: np.ndarray) -> Calibration:
    return fit_calibration(given, feh, np.zeros(2 * n), np.tile(np.arange(n) % 5, 2), copies=1, dust_error=DUST_ERROR)


def test_fainter_copies_set_the_trend() -> None:
    """Their residuals are twice as wide as sigma: unchanged, it would cover 38 % of them."""
    rng = np.random.default_rng(4)
    calibration = fitted_with_copies(1500, *with_copies(1500, 2.0, 1000.0, rng))
    given, feh = with_copies(10_000, 2.0, 1000.0, rng)
    for half in (slice(10_000), slice(10_000, None)):
        np.testing.assert_allclose(shares(calibration, rows(given, half), feh[half]), [0.68, 0.95], atol=0.08)


def test_copies_do_not_set_the_level() -> None:
    """Copies indistinguishable from their stars have no residual: they would leave 60 % of the stars inside."""
    rng = np.random.default_rng(5)
    calibration = fitted_with_copies(1500, *with_copies(1500, 0.0, 1.0, rng))
    given, feh = with_copies(10_000, 0.0, 1.0, rng)
    np.testing.assert_allclose(shares(calibration, rows(given, slice(10_000)), feh[:10_000]), [0.68, 0.95], atol=0.03)


def test_intervals_are_nested_for_any_quantiles() -> None:
    """Fits of four quantiles can cross far from most stars: the limits never do, and keep some width."""
    rng = np.random.default_rng(9)
    given = single(further_answers(2000, rng))
    k = covariates(given).shape[1]
    wild = Calibration(
        low=(-9.0,) * k,
        high=(9.0,) * k,
        intercepts=(0.0,) * 4,
        slopes=tuple(map(tuple, rng.normal(size=(4, k)).tolist())),
        dust_error=0.0,
    )
    ends = wild.intervals(given)
    ordered = [ends["FEH_lo95"], ends["FEH_lo68"], given["feh"], ends["FEH_hi68"], ends["FEH_hi95"]]
    assert (np.diff(np.stack(ordered), axis=0) >= 0).all()
    assert (ends["FEH_err"] > 0.9e-3).all()


# --- the covariates ---


def test_without_log_g_quantiles_depend_on_five_numbers() -> None:
    given = made_answers(50, np.random.default_rng(10))
    found = covariates(given)
    assert found.shape == (50, 5)
    poorer = np.where(given["feh"] < -2, -2 - given["feh"], 0.0)
    expected = [given["feh"], poorer, np.log(given["noise"]), None, given["ebv"]]
    for i, values in enumerate(expected):
        if values is not None:
            np.testing.assert_allclose(found[:, i], values)
    more = covariates({**given, "epistemic": 2 * given["epistemic"]}) - found
    assert (more[:, 3] > 0.6).all()
    assert (np.delete(more, 3, axis=1) == 0).all()


def test_with_log_g_they_bend_with_dust_between_giants_and_dwarfs_and_for_hot_stars() -> None:
    given = further_answers(50, np.random.default_rng(11))
    plain = covariates({name: given[name] for name in made_answers(0, np.random.default_rng(0))})
    found = covariates(given)
    np.testing.assert_array_equal(found[:, :4], plain[:, :4])

    def changing(name: str, values: list[float]) -> np.ndarray:
        """The covariates that a label or E(B-V) moves, of a star that has one value of it after another."""
        star = {each: np.repeat(column[:1], len(values)) for each, column in given.items()}
        moved = covariates({**star, name: np.array(values)})
        return moved[:, np.ptp(moved, axis=0) > 0]

    assert changing("ebv", [-1.0, 0.0]).size == 0  # negative dust counts as none
    counts = [changing("ebv", [at, 1.01 * at]).shape[1] for at in (0.01, 0.1, 0.3, 0.6, 1.0, 3.0)]
    assert counts == sorted(counts)
    assert len(set(counts)) == len(counts)  # a bend in each range
    assert changing("teff", [0.0, 1.0]).shape[1] == 1
    assert changing("teff", [2.0, 3.0]).shape[1] == 2
    _, dwarf = changing("logg", [(at - 2.2) / 0.8 for at in (2.5, 3.5, 4.5)]).T
    np.testing.assert_allclose(dwarf, [-1, 0, 1], atol=1e-3)
    assert changing("alpha_m", [0.0, 1.0]).size == 0


# --- cards ---

FITS = {"low": (0.0, 0.0), "high": (1.0, 1.0), "intercepts": (0.0,) * 4, "slopes": ((0.0, 0.0),) * 4}


@pytest.mark.parametrize(
    "change",
    [
        {"low": (0.0,)},
        {"high": (1.0,) * 3},
        {"slopes": ((0.0, 0.0),) * 3},
        {"slopes": (*((0.0, 0.0),) * 3, (0.0,))},
        {"slopes": ((0.0,) * 3,) * 4},
        {"intercepts": (0.0,) * 5},
    ],
)
def test_a_card_with_mismatched_widths_is_refused(change: dict) -> None:
    for kind, more in ((LinearQuantiles, {}), (FurtherCalibration, {}), (Calibration, {"dust_error": 0.0})):
        assert kind.model_validate(FITS | more)
        with pytest.raises(ValidationError):
            kind.model_validate(FITS | more | change)


def test_intervals_have_four_limits() -> None:
    three = FITS | {"intercepts": (0.0,) * 3, "slopes": ((0.0, 0.0),) * 3}
    assert FurtherCalibration.model_validate(three)
    with pytest.raises(ValidationError, match="intercepts"):
        Calibration.model_validate(three | {"dust_error": 0.0})


def test_quantiles_are_linear_within_the_range_of_the_covariates() -> None:
    made = LinearQuantiles(
        low=(-1.0, 0.0), high=(1.0, 2.0), intercepts=(0.5, 1.0, 2.0), slopes=((1.0, 0.0), (0.0, 2.0), (1, 1))
    )
    x = np.float32([[0.5, 1.0], [-7.0, 1.0], [0.5, 9.0]])
    np.testing.assert_allclose(made.quantiles(x), [[1.0, 3.0, 3.5], [-0.5, 3.0, 2.0], [1.0, 5.0, 4.5]])


# --- further labels ---


def further_sky(n: int, rng: np.random.Generator) -> tuple[Columns, np.ndarray]:
    """Return labels on the networks' scale, further off than sigma behind dust and for dwarfs, with heavy tails."""
    given = further_answers(n, rng)
    grows = 0.5 + 0.5 * np.log1p(given["ebv"] / 0.1) * np.where(given["logg"] > GIANT, 1.5, 1.0)
    off = rng.standard_t(6, (n, 3)) * grows[:, None]
    own = [np.hypot(given[f"{label.name}_aleatoric"], given[f"{label.name}_epistemic"]) for label in FURTHER_LABELS]
    return given, np.stack([given[label.name] for label in FURTHER_LABELS], axis=1) + np.stack(own, axis=1) * off


def test_68_percent_of_further_labels_are_within_their_errors_behind_dust_and_among_dwarfs() -> None:
    rng = np.random.default_rng(12)
    calibration = fit_further(*further_sky(40_000, rng))
    given, labels = further_sky(100_000, rng)
    columns = calibration.columns(single(given))
    bins = [(given["ebv"] >= low) & (given["ebv"] < high) for low, high in DUST_BINS]
    for i, label in enumerate(FURTHER_LABELS):
        truth = labels[:, i] * label.unit + label.centre
        inside = np.abs(columns[label.column] - truth) < columns[label.error_column]
        for those in (*bins, given["logg"] > GIANT, given["logg"] < GIANT):
            assert inside[those].mean() == pytest.approx(0.68, abs=0.02), label.name


def test_further_columns_are_in_the_labels_own_units() -> None:
    given = further_answers(5, np.random.default_rng(13))
    k = covariates(given).shape[1]
    twice = FurtherCalibration(low=(0.0,) * k, high=(0.0,) * k, intercepts=(2.0,) * 3, slopes=((0.0,) * k,) * 3)
    found = twice.columns(single(given))
    assert list(found) == ["TEFF", "TEFF_err", "LOGG", "LOGG_err", "ALPHA_M", "ALPHA_M_err"]
    np.testing.assert_allclose(found["TEFF"], 4700 + 500 * given["teff"], rtol=1e-6)
    np.testing.assert_allclose(found["LOGG"], 2.2 + 0.8 * given["logg"], rtol=1e-5)
    np.testing.assert_allclose(found["ALPHA_M"], 0.1 + 0.12 * given["alpha_m"], rtol=1e-4, atol=1e-6)
    own = np.hypot(given["logg_aleatoric"], given["logg_epistemic"])
    np.testing.assert_allclose(found["LOGG_err"], 2 * 0.8 * own, rtol=1e-5)


def test_a_star_whose_label_is_unknown_does_not_count() -> None:
    rng = np.random.default_rng(14)
    given, labels = further_sky(4000, rng)
    missing = labels.copy()
    missing[::2, 2] = np.nan  # [alpha/M], of every other star
    found = fit_further(given, missing)
    half = fit_further(rows(given, slice(1, None, 2)), labels[1::2])
    k = len(found.low)
    assert found.slopes[:2] == fit_further(given, labels).slopes[:2]
    middle = np.float32([[(low + high) / 2 for low, high in zip(found.low, found.high, strict=True)]])
    assert found.quantiles(middle)[0, 2] == pytest.approx(half.quantiles(middle)[0, 2], rel=0.05)
    nothing = fit_further(given, np.where([True, True, False], labels, np.nan))
    assert (nothing.intercepts[2], nothing.slopes[2]) == (1.0, (0.0,) * k)  # sigma unchanged; Edges sets null


@pytest.mark.slow
@pytest.mark.parametrize("stars", ["paper", "all"])
def test_unseen_real_stars_are_in_their_intervals(sample: Sample, tmp_path: Path, stars: str) -> None:
    """A tenth of the library and a short fit: intervals may be slightly too wide, but never too short.

    They are calibrated on two members each, that have seen half of the stars; the four together err less.
    """
    recipe = RECIPES["best"].model_copy(update={"steps": 1000, "members": 4, "folds": 2, "stars": stars})
    train(sample, recipe, tmp_path / "model")
    held_out = sample.part("test", *(["test-other"] if stars == "all" else [])).columns
    held_out = {name: values[np.isfinite(held_out["feh"])] for name, values in held_out.items()}
    predicted = Predictor(tmp_path / "model").predict(held_out)
    numbers = summary({**held_out, **predicted})
    spread = np.sqrt(0.68 * 0.32 * (1 / numbers["n"] + 1 / len(sample.part("train", "validation"))))
    assert -3 * spread < numbers["coverage_68"] - 0.68 < 0.08 + 3 * spread
    assert numbers["coverage_95"] > 0.88
    for label in FURTHER_LABELS:
        truth, error = held_out[label.name], predicted[label.error_column]
        known = np.isfinite(truth) & np.isfinite(error)
        inside = np.abs(predicted[label.column] - truth)[known] < error[known]
        assert 0.68 - 3 * spread < inside.mean() < 0.76 + 3 * spread, label.name
