"""What a search searches: UA-CSNet's hyperparameters, where it begins, and the recipe that a choice stands for."""

from __future__ import annotations

from typing import Any

import optuna
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from xpfeh.settings import RECIPES, Recipe

METRIC = "validation_mae"

optuna.logging.set_verbosity(optuna.logging.WARNING)

NO_DECAY = 1e-5
"""A logarithmic range has no zero: its lower end stands for no weight decay at all."""

SPACE: dict[str, Any] = {
    "hidden": tune.choice(["256,64", "128,64", "256,128", "128,128,64"]),
    "latent": tune.choice([16, 32]),
    "activation": tune.choice(["relu", "silu", "gelu"]),
    "inputs": tune.choice(["standardised", "log"]),
    "learning_rate": tune.loguniform(3e-4, 5e-3),
    "schedule": tune.choice(["constant", "cosine"]),
    "batch_size": tune.choice([128, 256, 512]),
    "stars": tune.choice(["paper", "wide"]),
    "noise": tune.uniform(0.0, 1.5),
    "faint": tune.choice([1.0, 12.0]),
    "beta_nll": tune.choice([0.0, 0.5]),
    "cost_gamma": tune.uniform(0.0, 0.7),
    "cost_bins": tune.choice(["10,15", "6,10", "15,24"]),
    "epsilon": tune.loguniform(5e-3, 5e-2),
    "l2": tune.loguniform(1e-7, 1e-4),
    "weight_decay": tune.loguniform(NO_DECAY, 3e-2),
    "clip_norm": tune.choice([0.0, 1.0]),
}


def recipe_of(config: dict[str, Any], steps: int) -> Recipe:
    """Return the recipe that a trial's parameters stand for, on the paper's other settings."""
    hidden = tuple(int(width) for width in config["hidden"].split(","))
    bins = tuple(int(count) for count in config["cost_bins"].split(","))
    given = {name: value for name, value in config.items() if name != "features"}
    decay = config["weight_decay"] if config["weight_decay"] > NO_DECAY else 0.0
    parsed = {"hidden": hidden, "cost_bins": bins, "weight_decay": decay, "steps": steps, "name": "tuned"}
    return Recipe.of({**RECIPES["paper"].model_dump(), **given, **parsed})


def sampler() -> OptunaSearch:
    """Return Optuna's TPE, which begins with the paper's own recipe and with a noise-augmented one."""
    paper = {
        "features": 0, "hidden": "256,64", "latent": 16, "activation": "relu", "inputs": "standardised",
        "learning_rate": 1e-3, "schedule": "constant", "batch_size": 512, "stars": "paper", "noise": 0.0, "faint": 1.0,
        "beta_nll": 0.0, "cost_gamma": 0.5, "cost_bins": "10,15", "epsilon": 0.02, "l2": 1e-5, "weight_decay": NO_DECAY,
        "clip_norm": 0.0,
    }  # fmt: skip
    robust = {
        **paper, "activation": "silu", "inputs": "log", "schedule": "cosine", "stars": "wide", "noise": 1.0,
        "faint": 12.0, "beta_nll": 0.5, "weight_decay": 1e-2, "clip_norm": 1.0,
    }  # fmt: skip
    return OptunaSearch(points_to_evaluate=[paper, robust], seed=0)
