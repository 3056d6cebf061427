"""Two workers of a real Ray Train share the stars; the model is as good as one worker's."""

from pathlib import Path

import numpy as np
import pytest
import ray
from xpfeh.errors import UserError
from xpfeh.experiments.distributed import train_distributed
from xpfeh.labels.sample import Sample
from xpfeh.settings import Recipe
from xpfeh.training.train import train

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_two_workers_learn_what_one_learns(sample: Sample, tmp_path: Path) -> None:
    recipe = Recipe(steps=1500, schedule="cosine", inputs="log")
    alone = [
        train(sample, recipe.model_copy(update={"seed": seed}), tmp_path / f"one-{seed}")["validation"]["mae"]
        for seed in (0, 1, 2)
    ]
    history, card = train_distributed(sample, recipe, tmp_path / "two", workers=2)
    both = ray.remote(num_cpus=2)(lambda: "free")
    assert ray.get(both.remote(), timeout=60) == "free", "the workers still hold their CPUs"
    assert history[-1]["step"] == 1500
    assert (tmp_path / "two" / "card.json").is_file()
    assert abs(card["validation"]["mae"] - np.mean(alone)) < max(0.01, 3 * np.std(alone, ddof=1))


def test_more_workers_than_cpus_are_refused(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="99 workers need as many CPUs"):
        train_distributed(sample, Recipe(), tmp_path / "model", workers=99)
