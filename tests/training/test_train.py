"""Who learns from which stars, and what the card says of it."""

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.labels.sample import Sample, folds_by_sky
from xpfeh.settings import RECIPES, Recipe
from xpfeh.training.fit import Columns
from xpfeh.training.train import roles_of, train, unseen_disagreement

BEST = RECIPES["best"]


def not_test(sample: Sample) -> dict[str, np.ndarray]:
    return sample.part("train", "train-wide", "validation", "validation-wide").columns


def test_fixed_roles_follow_the_parts(sample: Sample) -> None:
    kept = not_test(sample)
    roles = roles_of(kept["part"], kept["source_id"], Recipe(members=2))
    assert set(kept["part"][roles.learns[0]]) == {"train"}
    assert set(kept["part"][roles.judged[1]]) == {"validation"}
    wide = roles_of(kept["part"], kept["source_id"], Recipe(stars="wide"))
    assert set(kept["part"][wide.learns[0]]) == {"train", "train-wide"}


@pytest.mark.parametrize("stars", ["paper", "wide"])
def test_cross_fitted_members_never_learn_from_the_sky_they_are_judged_by(sample: Sample, stars: str) -> None:
    kept = not_test(sample)
    roles = roles_of(kept["part"], kept["source_id"], BEST.model_copy(update={"stars": stars}))
    like_test = np.isin(kept["part"], ("train", "validation"))
    assert (roles.judged.sum(axis=0) == np.where(like_test, BEST.members // BEST.folds, 0)).all()
    assert roles.learns.any(axis=0).tolist() == (like_test | (stars == "wide")).tolist()
    cell = kept["source_id"] // (2**35 * 4**7)
    for learns, judged in zip(roles.learns, roles.judged, strict=True):
        assert not set(cell[learns]) & set(cell[judged])
        assert 0.1 < judged.sum() / like_test.sum() < 0.3


@pytest.mark.parametrize("recipe", [BEST, Recipe()], ids=["folds", "fixed"])
def test_no_member_is_shown_a_test_star(sample: Sample, recipe: Recipe, tmp_path: Path) -> None:
    shown = []

    def fit(stars: Columns, *others: object) -> NoReturn:
        shown.extend(stars["part"])
        raise UserError("that will do")

    with pytest.raises(UserError, match="that will do"):
        train(sample, recipe, tmp_path / "model", fit=fit)
    assert len(shown) == len(not_test(sample)["part"])
    assert "test" not in shown


def test_folds_are_by_cell_and_even() -> None:
    ids = np.arange(0, 20_000) * 2**35 * 4**7
    folds = folds_by_sky(ids, "members", 5)
    np.testing.assert_allclose(np.bincount(folds) / len(ids), 0.2, atol=0.01)
    np.testing.assert_array_equal(folds, folds_by_sky(ids + 2**35 * 4**7 - 1, "members", 5))


def test_disagreement_on_unseen_stars_is_that_of_members_that_left_out_the_same_sky() -> None:
    """Members of a fold disagree three times more on its stars; folds differ by far more, and so do wide stars."""
    recipe = BEST.model_copy(update={"members": 6, "folds": 3})
    part = np.tile(["train", "validation", "train-wide"], 100)
    roles = roles_of(part, np.arange(300) * 2**35 * 4**7, recipe)
    apart = np.where(roles.judged, 3, 1) * np.where(part == "train-wide", 50, 1)  # (E, N)
    mean = np.array([1, 1, 1, -1, -1, -1]) * apart.T + 1000 * (np.arange(6) % 3)
    assert unseen_disagreement(mean, roles, recipe) == pytest.approx(3)
    assert unseen_disagreement(mean, roles, recipe.model_copy(update={"folds": 0})) == 1.0


@pytest.mark.slow
def test_the_card_counts_and_judges_what_no_member_had_seen(sample: Sample, tmp_path: Path) -> None:
    recipe = BEST.model_copy(update={"steps": 600, "members": 4, "folds": 2})
    card = train(sample, recipe, tmp_path / "model")
    assert card.stars.train == len(not_test(sample)["part"])
    assert card.validation["n"] == card.stars.validation == len(sample.part("train", "validation"))
    assert abs(card.validation["coverage_68"] - 0.68) < 0.05
    assert 0 < card.validation["mae_error"] < card.validation["mae"]
    assert card.domain_threshold > 0
