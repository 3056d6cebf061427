"""Who learns from which stars, and what the card says of it."""

from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.labels.sample import Sample, folds_by_sky
from xpfeh.settings import RECIPES, Recipe
from xpfeh.training.train import roles_of, train


def test_fixed_roles_follow_the_parts(sample: Sample) -> None:
    kept = sample.part("train", "train-wide", "validation", "validation-wide").columns
    roles = roles_of(kept["part"], kept["source_id"], Recipe(members=2))
    assert set(kept["part"][roles.learns[0]]) == {"train"}
    assert set(kept["part"][roles.judged[1]]) == {"validation", "validation-wide"}
    wide = roles_of(kept["part"], kept["source_id"], Recipe(stars="wide"))
    assert set(kept["part"][wide.learns[0]]) == {"train", "train-wide"}


def test_cross_fitted_members_never_learn_from_the_sky_they_are_judged_by(sample: Sample) -> None:
    kept = sample.part("train", "train-wide", "validation", "validation-wide").columns
    recipe = RECIPES["best"]
    roles = roles_of(kept["part"], kept["source_id"], recipe)
    learns, judged = roles.learns, roles.judged
    assert (judged.sum(axis=0) == 1).all()
    assert not (learns & judged).any()
    assert (learns | judged).all()
    cell = kept["source_id"] // (2**35 * 4**7)
    for member in range(5):
        assert not set(cell[learns[member]]) & set(cell[judged[member]])
        assert 0.1 < judged[member].mean() < 0.3


def test_folds_are_by_cell_and_even() -> None:
    ids = np.arange(0, 20_000) * 2**35 * 4**7
    folds = folds_by_sky(ids, "members", 5)
    np.testing.assert_allclose(np.bincount(folds) / len(ids), 0.2, atol=0.01)
    np.testing.assert_array_equal(folds, folds_by_sky(ids + 2**35 * 4**7 - 1, "members", 5))


def test_the_card_counts_and_judges_what_no_member_had_seen(sample: Sample, tmp_path: Path) -> None:
    recipe = RECIPES["best"].model_copy(update={"steps": 600, "members": 3})
    card = train(sample, recipe, tmp_path / "model")
    assert card.stars.train == len(sample.part("train", "train-wide", "validation", "validation-wide"))
    assert card.validation["n"] == card.stars.validation == len(sample.part("train", "validation"))
    assert abs(card.validation["coverage_68"] - 0.68) < 0.05
    assert card.domain_threshold > 0


def test_cross_fitting_needs_members() -> None:
    with pytest.raises(UserError, match="cross_fit needs at least 2 members"):
        Recipe().with_overrides(["cross_fit=true"])
