"""Which members are trained on which stars, and the card's account of it."""

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.inference.bundle import MODEL, SLOPES, WEIGHTS
from xpfeh.labels.sample import LIKE_TEST, SPECTRA, Sample, folds_by_sky
from xpfeh.settings import RECIPES, Recipe
from xpfeh.training import train as train_module
from xpfeh.training import unseen as unseen_module
from xpfeh.training.fit import Columns, Roles
from xpfeh.training.train import parts_of, roles_of, train
from xpfeh.training.unseen import unseen_disagreement

BEST = RECIPES["best"]


def test_fixed_roles_follow_the_parts(sample: Sample) -> None:
    part = sample.columns["part"]
    roles, every = (roles_of(sample.columns, Recipe(members=2, stars=stars)) for stars in ("paper", "all"))
    for member in range(2):
        assert set(part[roles.learns[member]]) == {"train"}
        assert set(part[roles.judged[member]]) == {"validation"}
        assert set(part[every.learns[member]]) == {"train", "train-other"}
        assert set(part[every.judged[member]]) == {"validation", "validation-other"}
        held_out = np.isin(part, ["test", "test-other"])
        assert (every.learns[member] ^ every.judged[member] ^ held_out).all()


@pytest.mark.parametrize("stars", ["paper", "all"])
def test_cross_fitted_members_are_never_trained_on_the_sky_they_are_judged_on(sample: Sample, stars: str) -> None:
    recipe = BEST.model_copy(update={"stars": stars})
    roles = roles_of(sample.columns, recipe)
    kept = np.isin(sample.columns["part"], parts_of(recipe))
    judging = kept & np.isfinite(sample.columns["feh"])
    assert (roles.judged.sum(axis=0) == np.where(judging, BEST.members // BEST.folds, 0)).all()
    assert (roles.learns.any(axis=0) == kept).all()
    assert stars == "all" or set(sample.columns["part"][kept]) == set(LIKE_TEST)
    cell = sample.columns["source_id"] // (2**35 * 4**7)
    for learns, judged in zip(roles.learns, roles.judged, strict=True):
        assert not set(cell[learns]) & set(cell[judged])
        assert 0.1 < judged.sum() / kept.sum() < 0.3


@pytest.mark.parametrize("recipe", [BEST, Recipe()], ids=["folds", "fixed"])
def test_no_member_sees_a_test_star(sample: Sample, recipe: Recipe, tmp_path: Path) -> None:
    shown = []

    def fit(stars: Columns, roles: Roles, *others: object) -> NoReturn:
        shown.extend(stars["part"][(roles.learns | roles.judged).any(axis=0)])
        raise UserError("that will do")

    with pytest.raises(UserError, match="that will do"):
        train(sample, recipe, tmp_path / "model", fit=fit)
    assert set(shown) == set(parts_of(recipe))
    assert len(shown) == len(sample.part(*parts_of(recipe)))
    assert not {"test", "test-other"} & set(shown)


@pytest.mark.slow
def test_held_out_spectra_change_no_byte_of_a_model(sample: Sample, tmp_path: Path) -> None:
    """Members get all stars, and take theirs by number: scales, noise and calibration must not see the others."""
    held_out = np.isin(sample.columns["part"], ["test", "test-other"])
    spectra = {name: np.where(held_out[:, None], 7.0, sample.columns[name]) for name in SPECTRA}
    changed = Sample(
        {**sample.columns, **{name: each.astype(np.float32) for name, each in spectra.items()}}, sample.origin
    )
    recipe = Recipe(stars="all", dust="hint", faint=4, steps=60, members=1)
    for name, stars in (("one", sample), ("other", changed)):
        train(stars, recipe, tmp_path / name)
    for file in (MODEL, SLOPES, WEIGHTS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_of_many_stars_some_are_enough_to_calibrate(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (train_module, unseen_module):
        monkeypatch.setattr(module, "ENOUGH", 300)
    card = train(sample, Recipe(stars="all", dust="hint", steps=60), tmp_path / "model")
    assert 150 < card.stars.validation <= 300
    assert card.stars.train > 2000


def test_a_star_without_feh_trains_but_does_not_judge(sample: Sample) -> None:
    kept = sample.part(*parts_of(BEST)).columns
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
    stars = sample.part(*parts_of(recipe)).columns
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
