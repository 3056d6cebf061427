import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.evaluate.metrics import robust_sigma
from xpfeh.inference.bundle import Model
from xpfeh.inference.calibration import GAUSSIAN
from xpfeh.inference.domain import domain_of
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample
from xpfeh.settings import RECIPES, Recipe
from xpfeh.training import fit as fit_module
from xpfeh.training.fit import fit


def fixed(sample: Sample, recipe: Recipe) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, Recipe]:
    """What `fit` takes, every member learning from "train" and judged by "validation"."""
    stars = sample.part("train", "validation").columns
    learns, judged = (np.tile(stars["part"] == part, (recipe.members, 1)) for part in ("train", "validation"))
    return stars, learns, judged, recipe


def test_learns_metallicities_of_real_stars(sample: Sample) -> None:
    """A tenth of the stars and a thirtieth of the steps of the demo: still far better than a constant."""
    result = fit(*fixed(sample, Recipe(steps=2000)))
    held_out = sample.part("test").columns
    model = Model(result.network, GAUSSIAN, domain_of(held_out["flux"]))
    predicted = Predictor(model, {}).predict(held_out)
    assert robust_sigma(predicted["FEH"] - held_out["feh"]) < 0.2 < robust_sigma(held_out["feh"])
    assert result.history[-1]["loss"] < result.history[0]["loss"]


@pytest.mark.parametrize("name", ["paper", "best"])
def test_the_same_seed_gives_the_same_weights(sample: Sample, name: str) -> None:
    recipe = RECIPES[name].model_copy(update={"steps": 60, "members": 2, "cross_fit": False})
    one, same = (fit(*fixed(sample, recipe)).network.get_weights() for _ in range(2))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    other = fit(*fixed(sample, recipe.model_copy(update={"seed": 1}))).network.get_weights()
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_each_batch_walks_through_all_stars_before_any_comes_again(sample: Sample) -> None:
    stars, learns, judged, recipe = fixed(sample, Recipe(batch_size=64, members=2, steps=50))
    learns[1, ::3] = False
    trainer = fit_module._Trainer(stars, learns, judged, recipe)
    for member in range(2):
        per_epoch = int(learns[member].sum()) // 64
        order = trainer._batches(per_epoch, np.random.default_rng(0))
        seen = order[:per_epoch, member].reshape(-1)
        assert len(np.unique(seen)) == len(seen)
        assert learns[member, seen].all()


def test_a_collapsed_member_is_started_afresh(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Member 1 of the first draw gets dead weights; the warm-up must replace it and leave member 0 alone."""
    real = fit_module._State.fresh
    drawn = []

    def fresh(recipe: Recipe, n_pixels: int, seed: int) -> fit_module._State:
        state = real(recipe, n_pixels, seed)
        if not drawn:
            alive = np.array([True, False])[:, None, None]
            dead = tuple(fit_module.ops.where(alive, w, 0.0 * w) for w in state.weights)
            state = fit_module._State(dead, state.first, state.second)
        drawn.append(seed)
        return state

    monkeypatch.setattr(fit_module._State, "fresh", fresh)
    recipe = Recipe(steps=3000, members=2, learning_rate=3e-3)
    result = fit(*fixed(sample, recipe))
    assert result.restarts >= 1
    assert len(set(drawn)) == len(drawn) >= 2
    assert result.validation_mae.max() < 0.2


def test_fewer_stars_than_cost_bins_are_refused(sample: Sample) -> None:
    few = {name: values[:149] for name, values in sample.columns.items()}
    every = np.ones((1, 149), dtype=bool)
    with pytest.raises(UserError, match=r"too few; at least 150 \(one a cost bin\)"):
        fit(few, every, every, Recipe(steps=10))


def test_stars_of_one_metallicity_teach_nothing(sample: Sample) -> None:
    alike = {**sample.columns, "feh": np.full(len(sample), -1.0)}
    every = np.ones((1, len(sample)), dtype=bool)
    with pytest.raises(UserError, match=r"all training stars have \[Fe/H\] -1.0"):
        fit(alike, every, every, Recipe(steps=10))
