"""Which members are trained on which stars, and the card's account of it."""

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.labels.sample import LIKE_TEST, Sample, folds_by_sky
from xpfeh.settings import RECIPES, Recipe
from xpfeh.training.fit import Columns
from xpfeh.training.train import roles_of, stars_for, train, unseen_disagreement

BEST = RECIPES["best"]


def test_fixed_roles_follow_the_parts(sample: Sample) -> None:
    papers, everything = Recipe(members=2), Recipe(members=2, stars="all")
    few, kept = stars_for(papers, sample), stars_for(everything, sample)
    roles, every = roles_of(few, papers), roles_of(kept, everything)
    for member in range(2):
        assert set(few["part"][roles.learns[member]]) == {"train"}
        assert set(few["part"][roles.judged[member]]) == {"validation"}
        assert set(kept["part"][every.learns[member]]) == {"train", "train-other"}
        assert set(kept["part"][every.judged[member]]) == {"validation", "validation-other"}
        assert (every.learns[member] ^ every.judged[member]).all()


@pytest.mark.parametrize("stars", ["paper", "all"])
def test_cross_fitted_members_are_never_trained_on_the_sky_they_are_judged_on(sample: Sample, stars: str) -> None:
    recipe = BEST.model_copy(update={"stars": stars})
    kept = stars_for(recipe, sample)
    roles = roles_of(kept, recipe)
    assert (roles.judged.sum(axis=0) == np.where(np.isfinite(kept["feh"]), BEST.members // BEST.folds, 0)).all()
    assert roles.learns.any(axis=0).all()
    assert stars == "all" or set(kept["part"]) == set(LIKE_TEST)
    cell = kept["source_id"] // (2**35 * 4**7)
    for learns, judged in zip(roles.learns, roles.judged, strict=True):
        assert not set(cell[learns]) & set(cell[judged])
        assert 0.1 < judged.mean() < 0.3


@pytest.mark.parametrize("recipe", [BEST, Recipe()], ids=["folds", "fixed"])
def test_no_member_sees_a_test_star(sample: Sample, recipe: Recipe, tmp_path: Path) -> None:
    shown = []

    def fit(stars: Columns, *others: object) -> NoReturn:
        shown.extend(stars["part"])
        raise UserError("that will do")

    with pytest.raises(UserError, match="that will do"):
        train(sample, recipe, tmp_path / "model", fit=fit)
    assert len(shown) == len(stars_for(recipe, sample)["part"])
    assert not {"test", "test-other"} & set(shown)


def test_a_star_without_feh_trains_but_does_not_judge(sample: Sample) -> None:
    kept = stars_for(BEST, sample)
    kept = {**kept, "feh": np.where(np.arange(len(kept["feh"])) % 3, -1.0, np.nan)}
    for recipe in (BEST, Recipe(stars="all")):
        roles = roles_of(kept, recipe)
        unknown = np.isnan(kept["feh"])
        assert not roles.judged[:, unknown].any()
        assert roles.learns[:, unknown].any(axis=0).mean() > 0.5


def test_folds_are_whole_cells_and_even() -> None:
    ids = np.arange(0, 20_000) * 2**35 * 4**7
    folds = folds_by_sky(ids, "members", 5)
    np.testing.assert_allclose(np.bincount(folds) / len(ids), 0.2, atol=0.01)
    np.testing.assert_array_equal(folds, folds_by_sky(ids + 2**35 * 4**7 - 1, "members", 5))


def test_disagreement_on_unseen_stars_compares_members_that_left_out_the_same_sky() -> None:
    """Members of a fold disagree three times more on its stars; folds differ by far more, and so do other stars.

    Of a second label they disagree twice as much.
    """
    recipe = BEST.model_copy(update={"members": 6, "folds": 3, "stars": "paper"})
    part = np.tile(["train", "validation", "train-other"], 100)
    roles = roles_of({"part": part, "source_id": np.arange(300) * 2**35 * 4**7, "feh": np.zeros(300)}, recipe)
    other = np.where(part == "train-other", 50, 1)
    apart = np.stack([np.where(roles.judged, times, 1) * other for times in (3, 2)])  # (L, E, N)
    mean = np.array([1, 1, 1, -1, -1, -1])[:, None] * apart.T + 1000 * (np.arange(6) % 3)[:, None]  # (N, E, L)
    np.testing.assert_allclose(unseen_disagreement(mean, roles, recipe), [3, 2])
    np.testing.assert_array_equal(unseen_disagreement(mean, roles, recipe.model_copy(update={"folds": 0})), [1, 1])


@pytest.mark.slow
def test_the_card_counts_and_judges_stars_that_no_member_had_seen(sample: Sample, tmp_path: Path) -> None:
    """Counts include all training stars; the numbers are for stars like the test stars."""
    recipe = BEST.model_copy(update={"steps": 600, "members": 4, "folds": 2})
    card = train(sample, recipe, tmp_path / "model")
    stars = stars_for(recipe, sample)
    assert card.stars.train == len(stars["part"])
    assert card.stars.validation == np.isfinite(stars["feh"]).sum()
    counts = card.validation
    assert counts["n"] + counts["n_without_feh"] == len(sample.part(*LIKE_TEST))
    assert card.calibration.dust_error == 0
    assert card.further is not None
    assert set(card.edges.further) == {"TEFF", "LOGG", "ALPHA_M"}
    assert abs(card.validation["coverage_68"] - 0.68) < 0.05
    assert 0 < card.validation["mae_error"] < card.validation["mae"]
    assert card.domain_threshold > 0
    assert card.good["n"] > 1.2 * counts["n"], "of the whole sky"
    assert card.good["completeness"] > 0.5
    assert card.good["dwarfs"] < 0.1
    assert abs(card.good["coverage_95"] - 0.95) < 0.03
