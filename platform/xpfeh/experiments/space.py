"""The space of a search: UA-CSNet's hyperparameters, the starting point, and the recipe of each choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from xpfeh.settings import RECIPES, Recipe

METRIC = "validation_mae"

optuna.logging.set_verbosity(optuna.logging.WARNING)

NO_L2 = 1e-7
"""A logarithmic range has no zero: its lower end means no L2 at all."""

SPACE: dict[str, object] = {
    "components": tune.choice([96, 128, 160]),
    "hidden": tune.choice(["256,64", "128,64", "256,128", "128,128,64"]),
    "latent": tune.choice([16, 32, 48]),
    "further_labels": tune.loguniform(0.02, 0.5),
    "activation": tune.choice(["relu", "silu", "gelu"]),
    "learning_rate": tune.loguniform(1e-3, 2e-2),
    "batch_size": tune.choice([128, 256, 512]),
    "noise": tune.uniform(0.0, 1.5),
    "faint": tune.choice([6.0, 12.0]),
    "beta_nll": tune.choice([0.0, 0.5]),
    "cost_gamma": tune.uniform(0.0, 0.7),
    "cost_bins": tune.choice(["10,15", "6,10", "15,24"]),
    "epsilon": tune.loguniform(5e-3, 5e-2),
    "l2": tune.loguniform(NO_L2, 1e-4),
    "weight_decay": tune.loguniform(1e-3, 3e-2),
}
_BASE = RECIPES["best"].model_copy(update={"name": "tuned", "members": 1, "folds": 0, "keep": "lowest"})
"""A trial is one network, whose lowest error on the validation stars decides."""


def recipe_of(config: Mapping[str, Any], steps: int) -> Recipe:
    """Return the recipe of a trial's parameters; settings that are not searched are those of the recipe `best`."""
    parsed = {
        **{name: value for name, value in config.items() if name != "features"},
        "hidden": _numbers(config["hidden"]),
        "cost_bins": _numbers(config["cost_bins"]),
        "l2": config["l2"] if config["l2"] > NO_L2 else 0.0,
        "steps": steps,
    }
    return Recipe.of({**_BASE.model_dump(), **parsed})


def sampler() -> OptunaSearch:
    """Return Optuna's TPE, starting with the recipe `best`."""
    own = {name: getattr(_BASE, name) for name in SPACE}
    first = {
        **own,
        "features": 0,
        "hidden": ",".join(map(str, _BASE.hidden)),
        "cost_bins": ",".join(map(str, _BASE.cost_bins)),
        "l2": NO_L2,
    }
    return OptunaSearch(points_to_evaluate=[first], seed=0)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))
