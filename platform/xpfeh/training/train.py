"""Train one recipe and write its bundle: the same function in the command line, in a trial and in a test."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.evaluate.metrics import summary
from xpfeh.inference.bundle import Model, write_bundle
from xpfeh.inference.calibration import Calibration, fit_calibration
from xpfeh.inference.card import ModelCard, StarCounts, Training
from xpfeh.inference.domain import WORST, domain_of
from xpfeh.inference.predictor import Members
from xpfeh.labels.sample import Sample, folds_by_sky
from xpfeh.settings import Recipe
from xpfeh.training.fit import Columns, FitMembers, Report, Roles, check_stars, ensemble, fit_members
from xpfeh.training.noise import fainter, fainter_factors

_MOST_CALIBRATORS = 2500  # the quantile regression slows down with the square of them, LOG 2026-11-23
_FOLD_SALT = "members"  # another division of the sky than the split into training and test cells


def train(
    sample: Sample,
    recipe: Recipe,
    out: str | Path,
    progress: Report | None = None,
    fit: FitMembers = fit_members,
) -> ModelCard:
    """Fit `recipe` to the training stars of `sample`, calibrate its errors, write the bundle and return its card.

    The errors are calibrated, and the card's ``validation`` numbers are taken, on what members say of stars that they
    have not learnt from: the validation stars; or, if the recipe cross-fits, all stars but the test stars, each
    judged by the one member that left its part of the sky out.

    Parameters
    ----------
    sample : Sample
    recipe : Recipe
    out : str or Path
        Folder of the bundle.
    progress : callable, optional
    fit : callable
        Trains the members: in this process, or on the workers of a cluster.

    Raises
    ------
    UserError
        If the stars are too few or all alike, training diverges, or `out` holds something else than a bundle.
    """
    begun = time.monotonic()
    kept = sample.part("train", "train-wide", "validation", "validation-wide")
    stars, part = kept.columns, kept.columns["part"]
    # Wide stars may calibrate, if a member has not seen them; only stars like the test stars judge.
    unseen = roles_of(part, stars["source_id"], recipe)
    like_test = np.isin(part, ("train", "validation"))
    roles = Roles(unseen.learns, unseen.judged & like_test)
    check_stars(stars, roles, recipe)
    trained = fit(stars, roles, recipe, progress)
    if not all(np.isfinite(member.validation_mae) for member in trained):
        raise UserError("training diverged: lower learning_rate, or set clip_norm")
    network = ensemble(trained, stars, roles, recipe)

    members = Members(network)
    calibration = _calibrated(members, stars, unseen.judged, recipe)
    taught = roles.learns.any(axis=0)
    judged = np.asarray(roles.judged.any(axis=0))
    judges = _rows(stars, judged)
    outputs = _outputs_of_unseen(members, judges, roles.judged[:, judged])
    domain = domain_of(stars["flux"][taught])
    score = domain.score(judges["flux"], judges["flux_error"], outputs["aleatoric"], outputs["epistemic"])
    domain = domain.model_copy(update={"threshold": float(np.quantile(np.asarray(score), 1 - WORST))})
    intervals = {name: np.asarray(values) for name, values in calibration.intervals(**outputs).items()}
    training = Training(
        **dict(sample.origin),
        stars=StarCounts(train=int(taught.sum()), validation=int(judged.sum()), test=len(sample.part("test"))),
        restarted_members=sum(member.restarts > 0 for member in trained),
        domain_threshold=domain.threshold,
        seconds=time.monotonic() - begun,
        validation=summary({"feh": judges["feh"], "FEH": outputs["feh"], **intervals}),
    )
    return write_bundle(out, Model(network, calibration, domain), training)


def roles_of(part: NDArray[np.str_], source_id: NDArray[np.int64], recipe: Recipe) -> Roles:
    """Return which stars each member learns from, and which it has not seen.

    Parameters
    ----------
    part : (N,) str
        `xpfeh.labels.sample.Part` of each star.
    source_id : (N,) int64
    recipe : Recipe
    """
    wide = recipe.stars == "wide"
    if recipe.cross_fit:
        fold = folds_by_sky(source_id, _FOLD_SALT, recipe.members)
        left_out = np.arange(recipe.members)[:, None] == fold  # (E, N)
        return Roles(~left_out & (wide | np.isin(part, ("train", "validation"))), left_out)
    learns = np.isin(part, ("train", "train-wide") if wide else ("train",))
    judged = np.isin(part, ("validation", "validation-wide"))
    return Roles(np.tile(learns, (recipe.members, 1)), np.tile(judged, (recipe.members, 1)))


def _calibrated(members: Members, stars: Columns, judged: NDArray[np.bool_], recipe: Recipe) -> Calibration:
    """Calibrate on unseen stars, and on copies of them as faint as the network has learnt to expect."""
    rng = np.random.default_rng([recipe.seed, 2])
    rows = rng.permutation(np.flatnonzero(judged.any(axis=0)))[:_MOST_CALIBRATORS]
    chosen, judged = _rows(stars, rows), judged[:, rows]
    parts = [_outputs_of_unseen(members, chosen, judged)]
    if recipe.faint > 1:
        factors = fainter_factors(len(rows), chosen["flux"].shape[1], recipe.faint, rng)
        flux, flux_error = fainter(chosen["flux"], chosen["flux_error"], factors * chosen["flux_error"], rng)
        copies = {"flux": flux, "flux_error": flux_error, "ebv": chosen["ebv"]}
        parts.append(_outputs_of_unseen(members, copies, judged))
    outputs = {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}
    return fit_calibration(outputs, np.tile(chosen["feh"], len(parts)), copies=len(parts) - 1)


def _outputs_of_unseen(members: Members, stars: Columns, judged: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    """Return what the members that have not seen each star say of it, as `fit_calibration` takes it."""
    mean, sigma = members(stars)  # (N, E) both
    weight = judged.T / judged.sum(axis=0)[:, None]  # (N, E), 1 in each row
    outputs = {
        "feh": (weight * mean).sum(axis=1),
        "aleatoric": np.sqrt((weight * np.square(sigma)).sum(axis=1)),
        "epistemic": mean.std(axis=1),
        "noise": stars["flux_error"].mean(axis=1),
        "ebv": stars["ebv"],
    }
    return {name: values.astype(np.float32) for name, values in outputs.items()}


def _rows(stars: Columns, rows: NDArray) -> dict[str, NDArray]:
    return {name: values[rows] for name, values in stars.items()}
