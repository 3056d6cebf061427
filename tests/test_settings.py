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
    ],
)
def test_a_wrong_override_says_what_is_wrong(pair: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe().with_overrides([pair])


def test_fingerprints_tell_settings_apart() -> None:
    assert PreprocessSettings().fingerprint() == PreprocessSettings().fingerprint()
    assert PreprocessSettings().fingerprint() != PreprocessSettings(dust_map="sfd").fingerprint()


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="paper, best"):
        recipe_named("papier")
