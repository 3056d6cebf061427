import pytest
from xpfeh.errors import UserError
from xpfeh.settings import RECIPES, PreprocessSettings, Recipe, recipe_named


def test_the_papers_recipe_is_table_1_and_section_4_1() -> None:
    paper = RECIPES["paper"]
    assert (*paper.hidden, paper.latent, *paper.head) == (256, 64, 16, 8)
    assert (*paper.error_hidden, *paper.error_head) == (16, 8)
    assert (paper.batch_size, paper.learning_rate, paper.cost_bins) == (512, 1e-3, (10, 15))
    assert (paper.l2, paper.epsilon, paper.cost_gamma) == (1e-5, 0.02, 0.5)
    assert paper.steps == 30_000 * 2


def test_overrides_are_typed() -> None:
    changed = Recipe().with_overrides(["steps=10", "hidden=[8, 4]", "schedule=cosine"])
    assert (changed.steps, changed.hidden, changed.schedule) == (10, (8, 4), "cosine")
    assert changed.learning_rate == Recipe().learning_rate


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("stepz=1", "no setting of that name"),
        ("steps", "NAME=VALUE"),
        ("steps=many", "setting steps"),
        ("steps=-3", "setting steps"),
        ("hidden=[0]", "widths"),
        ("members=5", "members a multiple of folds, at least twice as large"),
        ("members=12", "members a multiple of folds, at least twice as large"),
        ("folds=1", "folds must be 0 or at least 2"),
        ("n_pixels=60", "components cannot be more than n_pixels"),
        ("stars=wide", "setting stars"),
        ("dust=kept", "setting dust"),
        ("further_labels=-1", "setting further_labels"),
        ("ebv_input=true", "no setting of that name"),
    ],
)
def test_an_invalid_override_is_explained(pair: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        RECIPES["best"].with_overrides([pair])


def test_the_paper_removes_dust_and_learns_metallicity_alone_of_its_own_stars() -> None:
    paper = RECIPES["paper"]
    assert (paper.stars, paper.dust, paper.further_labels) == ("paper", "removed", 0.0)


def test_the_best_recipe_learns_all_labels_of_the_whole_sky() -> None:
    best = RECIPES["best"]
    assert (best.stars, best.dust) == ("all", "hint")
    assert best.further_labels > 0


@pytest.mark.parametrize(("members", "folds"), [(1, 0), (7, 0), (4, 2), (6, 2), (10, 5), (15, 5)])
def test_each_fold_has_two_members_at_least_or_there_are_none(members: int, folds: int) -> None:
    assert Recipe(members=members, folds=folds).folds == folds


def test_fingerprints_tell_settings_apart() -> None:
    assert PreprocessSettings().fingerprint() == PreprocessSettings().fingerprint()
    assert PreprocessSettings().fingerprint() != PreprocessSettings(dust_map="sfd").fingerprint()


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="paper, best"):
        recipe_named("papier")
