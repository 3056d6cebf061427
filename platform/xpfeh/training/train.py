"""Train one recipe and write its bundle: the same function in the command line, in a trial and in a test."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpfeh.evaluate.metrics import summary
from xpfeh.inference.bundle import Model, write_bundle
from xpfeh.inference.calibration import GAUSSIAN, Calibration, calibrate
from xpfeh.inference.domain import WORST, domain_of
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import Sample, folds_by_sky
from xpfeh.settings import Recipe
from xpfeh.training.fit import Progress, Team, fit
from xpfeh.training.noise import fainter, fainter_factors

_MOST_CALIBRATORS = 2500
_FOLD_SALT = "members"

Columns = Mapping[str, NDArray]


def train(
    sample: Sample, recipe: Recipe, out: str | Path, progress: Progress | None = None, team: Team | None = None
) -> dict[str, Any]:
    """Fit `recipe` to the training stars of `sample`, calibrate its errors, write the bundle and return its card.

    The errors are calibrated, and the card's ``validation`` numbers are taken, on what members say of stars that they
    have not learnt from: the validation stars; or, if the recipe cross-fits, all stars but the test stars, each
    judged by the one member that left its part of the sky out.
    """
    begun = time.monotonic()
    kept = sample.part("train", "train-wide", "validation", "validation-wide")
    stars, part = kept.columns, kept.columns["part"]
    learns, judged = _roles(part, stars["source_id"], recipe)
    like_test = np.isin(part, ("train", "validation"))
    result = fit(stars, learns, judged & like_test, recipe, progress, team)

    taught = learns.any(axis=0)
    domain = domain_of(stars["flux"][taught])
    plain = Predictor(Model(result.network, GAUSSIAN, domain), {})
    calibration = _calibrated(plain, stars, judged, recipe)

    chosen = judged.any(axis=0) & like_test
    unseen = _rows(stars, chosen)
    outputs = _honest(plain, unseen, judged[:, chosen])
    intervals = calibration.intervals(**outputs)
    score = domain.score(unseen["flux"], unseen["flux_error"], outputs["aleatoric"], outputs["epistemic"])
    domain = domain.model_copy(update={"threshold": float(np.quantile(np.asarray(score), 1 - WORST))})
    said = {"FEH": outputs["feh"], **{name: np.asarray(values) for name, values in intervals.items()}}
    card = {
        **sample.origin,
        "stars": {"train": int(taught.sum()), "validation": int(chosen.sum()), "test": len(sample.part("test"))},
        "restarted_members": result.restarts,
        "domain_threshold": domain.threshold,
        "seconds": time.monotonic() - begun,
        "validation": summary({"feh": stars["feh"][chosen], **said}),
    }
    return write_bundle(out, Model(result.network, calibration, domain), card)


def _roles(
    part: NDArray[np.str_], source_id: NDArray[np.int64], recipe: Recipe
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which stars each member learns from, and which it has not seen: (E, N) both."""
    wide = recipe.stars == "wide"
    if recipe.cross_fit:
        fold = folds_by_sky(source_id, _FOLD_SALT, recipe.members)
        left_out = np.arange(recipe.members)[:, None] == fold
        return ~left_out & (wide | np.isin(part, ("train", "validation"))), left_out
    learns = np.isin(part, ("train", "train-wide") if wide else ("train",))
    judged = np.isin(part, ("validation", "validation-wide"))
    return np.tile(learns, (recipe.members, 1)), np.tile(judged, (recipe.members, 1))


def _calibrated(plain: Predictor, stars: Columns, judged: NDArray[np.bool_], recipe: Recipe) -> Calibration:
    """Calibrate on unseen stars, and on copies of them as faint as the network has learnt to expect."""
    rng = np.random.default_rng([recipe.seed, 2])
    rows = rng.permutation(np.flatnonzero(judged.any(axis=0)))[:_MOST_CALIBRATORS]
    chosen, roles = _rows(stars, rows), judged[:, rows]
    parts = [_honest(plain, chosen, roles)]
    if recipe.faint > 1:
        factors = fainter_factors(len(rows), chosen["flux"].shape[1], recipe.faint, rng)
        flux, flux_error = fainter(chosen["flux"], chosen["flux_error"], factors * chosen["flux_error"], rng)
        parts.append(_honest(plain, {"flux": flux, "flux_error": flux_error, "ebv": chosen["ebv"]}, roles))
    outputs = {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}
    return calibrate(outputs, np.tile(chosen["feh"], len(parts)), copies=len(parts) - 1)


def _honest(predictor: Predictor, stars: Columns, judged: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    """Return what the members that have not seen each star say of it, as `calibrate` takes it."""
    mean, sigma = predictor.members(stars)
    trust = judged.T / judged.sum(axis=0)[:, None]
    outputs = {
        "feh": (trust * mean).sum(axis=1),
        "aleatoric": np.sqrt((trust * np.square(sigma)).sum(axis=1)),
        "epistemic": mean.std(axis=1),
        "noise": stars["flux_error"].mean(axis=1),
        "ebv": stars["ebv"],
    }
    return {name: values.astype(np.float32) for name, values in outputs.items()}


def _rows(stars: Columns, rows: NDArray) -> dict[str, NDArray]:
    return {name: values[rows] for name, values in stars.items()}
