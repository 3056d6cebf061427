import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.evaluate.residuals import robust_sigma
from xpfeh.inference.further_labels import FURTHER_LABELS, network_labels
from xpfeh.inference.inputs import network_inputs
from xpfeh.labels.sample import Part, Sample
from xpfeh.large_arrays import on_disk
from xpfeh.settings import RECIPES, Recipe
from xpfeh.training import fit as fit_module
from xpfeh.training.batches import Batches
from xpfeh.training.export import members as members_of
from xpfeh.training.fit import Roles, Trainer, ensemble, fit_members


def seen_by(recipe: Recipe, sample: Sample, *parts: Part) -> dict[str, np.ndarray]:
    """Return some parts of the sample as inputs of the recipe's networks."""
    columns = sample.part(*parts).columns
    return {**columns, **network_inputs(columns, recipe, sample.origin.preprocess)}


def fixed_roles(sample: Sample, recipe: Recipe) -> tuple[dict[str, np.ndarray], Roles, Recipe]:
    """Return the input of `fit_members`: by default all members train on "train" and are judged on "validation"."""
    others: list[Part] = ["train-other", "validation-other"] if recipe.stars == "all" else []
    stars = seen_by(recipe, sample, "train", "validation", *others)
    learns = np.char.startswith(stars["part"], "train")
    return stars, Roles(*(np.tile(mine, (recipe.members, 1)) for mine in (learns, ~learns))), recipe


def test_learns_metallicities_of_real_stars(sample: Sample) -> None:
    """A tenth of the stars and a thirtieth of the steps of the demo: still far better than a constant."""
    stars, roles, recipe = fixed_roles(sample, Recipe(steps=2000))
    (member,) = fit_members(stars, roles, recipe)
    held_out = seen_by(recipe, sample, "test")
    mean, sigma = members_of(ensemble([member], recipe))(held_out)
    assert robust_sigma(mean[:, 0, 0] - held_out["feh"]) < 0.2 < robust_sigma(held_out["feh"])
    assert (sigma >= recipe.epsilon).all()
    assert [numbers["step"] for numbers in member.history] == [500, 1000, 1500, 2000]
    assert member.history[-1]["loss"] < member.history[1]["loss"]
    assert member.validation_mae == min(numbers["validation_mae"] for numbers in member.history)


@pytest.mark.slow
def test_learns_further_labels_of_the_whole_sky(sample: Sample) -> None:
    """Predictions follow the labels, and sigmas match the residuals, though half of the stars lack [alpha/M]."""
    recipe = Recipe(
        stars="all", dust="hint", further_labels=0.05, inputs="log", activation="silu", floor="add", components=40,
        steps=1500, learning_rate=3e-3, schedule="cosine", cost_gamma=0.0, keep="last",
    )  # fmt: skip
    stars, roles, _ = fixed_roles(sample, recipe)
    stars["alpha_m"] = np.where(np.arange(len(stars["feh"])) % 2, stars["alpha_m"], np.nan)
    (member,) = fit_members(stars, roles, recipe)
    held_out = seen_by(recipe, sample, "test", "test-other")
    mean, sigma = members_of(ensemble([member], recipe))(held_out)
    assert robust_sigma(mean[:, 0, 0] - held_out["feh"]) < 0.25 < robust_sigma(held_out["feh"])
    truth = network_labels(held_out)
    for i, (label, alike) in enumerate(zip(FURTHER_LABELS, (0.9, 0.9, 0.4), strict=True)):
        known = np.isfinite(truth[:, i])
        answers, labels = mean[known, 0, 1 + i], truth[known, i]
        assert np.corrcoef(answers, labels)[0, 1] > alike, label.name
        assert 0.4 < (np.abs(answers - labels) < sigma[known, 0, 1 + i]).mean() < 0.95, label.name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", pytest.param("best", marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_weights(sample: Sample, name: str) -> None:
    recipe = RECIPES[name].model_copy(update={"steps": 60, "members": 2, "folds": 0})
    one, same = (fit_members(*fixed_roles(sample, recipe)) for _ in range(2))
    for a, b in zip(one, same, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.weights, b.weights, strict=True))
    other = fit_members(*fixed_roles(sample, recipe.model_copy(update={"seed": 1})))
    for a in (one[1], other[0]):  # another member, another seed
        assert not np.array_equal(a.weights[0], one[0].weights[0])


@pytest.mark.slow
def test_a_member_trained_alone_is_the_same_to_the_bit(sample: Sample) -> None:
    recipe = RECIPES["best"].model_copy(update={"steps": 700, "members": 3, "folds": 0})
    stars, roles, _ = fixed_roles(sample, recipe)
    together = fit_members(stars, roles, recipe)
    alone = Trainer(stars, roles, recipe).train(2)
    assert all(np.array_equal(x, y) for x, y in zip(together[2].weights, alone.weights, strict=True))
    network = ensemble(together, recipe)
    for stacked, own in zip(network.trainable_variables, alone.weights, strict=True):
        np.testing.assert_array_equal(np.array(stacked)[2:], own)


def test_batches_go_through_all_stars_before_any_is_repeated(sample: Sample) -> None:
    stars, roles, recipe = fixed_roles(sample, Recipe(batch_size=64, members=2, steps=50))
    roles.learns[1, ::3] = False
    trainer = Trainer(stars, roles, recipe)
    for member in range(2):
        per_epoch = int(roles.learns[member].sum()) // 64
        order, noise_rows = trainer.batches.draw(member, 0, per_epoch, np.random.default_rng(0))
        assert order.shape == noise_rows.shape == (fit_module.STRETCH, 1, 64)
        seen = order[:per_epoch].reshape(-1)
        assert len(np.unique(seen)) == len(seen)
        assert roles.learns[member, seen].all()


def test_more_stars_than_a_stretch_needs_are_all_seen_before_any_is_repeated() -> None:
    many = 3 * fit_module.STRETCH
    batches = Batches([np.zeros((many, 1))], np.ones((2, many), bool), Recipe(batch_size=2, members=2))
    rng = np.random.default_rng(0)
    for member in range(2):
        steps = fit_module.STRETCH // 2  # with 2 stars each: a third of all
        draws = [batches.draw(member, i * steps, steps, rng)[0][:steps] for i in range(3)]
        assert all(np.ptp(drawn) > many / 2 for drawn in draws)  # each from the whole sample
        np.testing.assert_array_equal(np.sort(np.concatenate(draws), axis=None), np.arange(many))


def test_stars_on_disk_are_read_in_their_order(sample: Sample) -> None:
    stars, roles, recipe = fixed_roles(sample, Recipe(dust="hint", batch_size=64, members=2, steps=50))
    roles.learns[1, ::3] = False
    flux = on_disk(stars["flux"].shape)
    flux[:] = stars["flux"]
    trainer = Trainer({**stars, "flux": flux}, roles, recipe)
    for member, own in enumerate(trainer.batches.own):
        per_pass = len(own) // 64
        halves = [slice(0, per_pass // 2), slice(per_pass // 2, per_pass)]
        draws = [
            trainer.batches.draw(member, half.start, half.stop - half.start, np.random.default_rng(0))[0][
                : half.stop - half.start
            ]
            for half in halves
        ]
        seen = np.concatenate(draws).reshape(-1)
        assert len(np.unique(seen)) == len(seen)
        assert roles.learns[member, seen].all()
        place = member * len(own) // 2
        expected = own[(place + np.arange(len(seen))) % len(own)]
        for half, drawn in zip(halves, draws, strict=True):
            mixed = drawn.reshape(-1)
            np.testing.assert_array_equal(np.sort(mixed), np.sort(expected[half.start * 64 : half.stop * 64]))
            assert not np.array_equal(mixed, np.sort(mixed))


@pytest.mark.slow
def test_a_collapsed_member_is_restarted(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Member 1 of the first draw gets dead weights; the warm-up must replace it and leave member 0 unchanged."""
    real = Trainer._draw
    drawn = []

    def first_draw_dead(self: Trainer, member: int, seed: int) -> tuple:
        weights = real(self, member, seed)
        drawn.append((member, seed))
        return tuple(0.0 * w for w in weights) if (member, seed) == (1, 0) else weights

    recipe = Recipe(steps=3000, members=2, learning_rate=3e-3)
    stars, roles, _ = fixed_roles(sample, recipe)
    monkeypatch.setattr(Trainer, "_draw", first_draw_dead)
    one, two = fit_members(stars, roles, recipe)
    assert one.restarts == 0
    assert two.restarts >= 1
    assert drawn[:3] == [(0, 0), (1, 0), (1, 10_000)]
    assert max(one.validation_mae, two.validation_mae) < 0.2


@pytest.mark.slow
def test_the_last_weights_are_kept_if_the_recipe_sets_it(sample: Sample) -> None:
    (member,) = fit_members(*fixed_roles(sample, Recipe(steps=1500, learning_rate=3e-3, keep="last")))
    errors = [numbers["validation_mae"] for numbers in member.history]
    assert member.validation_mae == errors[-1] > min(errors)


@pytest.mark.slow
def test_label_errors_count_if_the_recipe_sets_it(sample: Sample) -> None:
    stars, roles, recipe = fixed_roles(sample, Recipe(steps=20))
    unknown = {**stars, "feh_err": np.full(len(stars["feh"]), np.nan)}
    exact, wide, unsaid = (
        fit_members(labels, roles, recipe.model_copy(update={"label_errors": count}))[0].weights[0]
        for labels, count in ((stars, False), (stars, True), (unknown, True))
    )
    assert not np.array_equal(exact, wide)
    np.testing.assert_array_equal(exact, unsaid)


def test_fewer_stars_than_cost_bins_are_refused(sample: Sample) -> None:
    few = {name: values[:149] for name, values in sample.columns.items()}
    every = np.ones((1, 149), dtype=bool)
    with pytest.raises(UserError, match=r"too few; at least 150 \(one per cost bin\)"):
        fit_members(few, Roles(every, every), Recipe(steps=10))


def test_stars_of_one_metallicity_are_refused(sample: Sample) -> None:
    alike = {**sample.columns, "feh": np.full(len(sample), -1.0)}
    every = np.ones((1, len(sample)), dtype=bool)
    with pytest.raises(UserError, match=r"all training stars have \[Fe/H\] -1.0"):
        fit_members(alike, Roles(every, every), Recipe(steps=10))
