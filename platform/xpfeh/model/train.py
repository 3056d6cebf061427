"""Train one recipe and write its bundle: the same function in the command line, in a trial and in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xpfeh.evaluate.metrics import summary
from xpfeh.labels.samples import Sample
from xpfeh.model.bundle import Model, write_bundle
from xpfeh.model.calibration import GAUSSIAN, calibrate
from xpfeh.model.domain import WORST, domain_of
from xpfeh.model.fit import Progress, fit
from xpfeh.model.noise import fainter, fainter_factors
from xpfeh.model.predictor import Predictor
from xpfeh.settings import Recipe

_FAINT_COPIES = 1


def train(sample: Sample, recipe: Recipe, out: str | Path, progress: Progress | None = None) -> dict[str, Any]:
    """Fit `recipe` to the training stars of `sample`, calibrate its errors, write the bundle and return its card."""
    training = sample.part("train", "train-wide") if recipe.stars == "wide" else sample.part("train")
    validation = sample.part("validation").columns
    result = fit(training.columns, validation, recipe, progress)

    plain = Model(result.network, GAUSSIAN, domain_of(training.columns["flux"]))
    copies = _FAINT_COPIES if recipe.faint > 1 else 0
    calibrators = _with_fainter_copies(sample.part("validation", "validation-wide").columns, copies, recipe)
    said = Predictor(plain, {}).predict(calibrators)
    outputs = {
        "feh": said["FEH"],
        "aleatoric": said["FEH_err_aleatoric"],
        "epistemic": said["FEH_err_epistemic"],
        "noise": calibrators["flux_error"].mean(axis=1),
        "ebv": calibrators["ebv"],
    }
    score = Predictor(plain, {}).predict(validation)["domain_score"]
    domain = plain.domain.model_copy(update={"threshold": float(np.quantile(score, 1 - WORST))})
    model = Model(result.network, calibrate(outputs, calibrators["feh"], copies), domain)
    card = {
        **sample.origin,
        "stars": {
            "train": len(training),
            "validation": len(validation["feh"]),
            "test": len(sample.part("test")),
        },
        "restarted_members": result.restarts,
        "domain_threshold": domain.threshold,
    }
    card["validation"] = summary({**validation, **Predictor(model, card).predict(validation)})
    return write_bundle(out, model, card)


def _with_fainter_copies(stars: dict[str, Any], copies: int, recipe: Recipe) -> dict[str, Any]:
    """Return the stars, followed by copies of them with errors up to as many times larger as the network has seen."""
    rng = np.random.default_rng([recipe.seed, 2])
    n_stars, n_pixels = stars["flux"].shape
    flux, flux_error = [stars["flux"]], [stars["flux_error"]]
    for _ in range(copies):
        factors = fainter_factors(n_stars, n_pixels, recipe.faint, rng)
        noisy = fainter(stars["flux"], stars["flux_error"], factors * stars["flux_error"], rng)
        flux.append(noisy[0])
        flux_error.append(noisy[1])
    repeated = {name: np.tile(stars[name], len(flux)) for name in ("feh", "ebv")}
    return {**repeated, "flux": np.concatenate(flux), "flux_error": np.concatenate(flux_error)}
