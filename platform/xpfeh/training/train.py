"""Train one recipe and write its bundle: the same function in the command line, in a trial and in a test."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.evaluate.cells import SPREADS, by_cell, spreads, standard_errors
from xpfeh.evaluate.metrics import summary
from xpfeh.evaluate.validation_stars import write_validation
from xpfeh.inference.bundle import write_bundle
from xpfeh.inference.calibration import Calibration, fit_calibration
from xpfeh.inference.card import ModelCard, StarCounts, Training
from xpfeh.inference.domain import WORST, domain_of
from xpfeh.inference.edges import edges_of
from xpfeh.inference.estimate import prediction_flags
from xpfeh.inference.graph import Graph
from xpfeh.inference.seen import seen
from xpfeh.inference.stretch import UNSTRETCHED, Stretch, stretch_of
from xpfeh.labels.sample import Sample, folds_by_sky
from xpfeh.settings import Recipe
from xpfeh.training.export import Model, check, files_of
from xpfeh.training.export import members as graph_of
from xpfeh.training.fit import Columns, FitMembers, Report, Roles, check_stars, ensemble, fit_members
from xpfeh.training.noise import fainter, fainter_factors
from xpfeh.xp.pixels import rebinned

_FOLD_SALT = "members"  # another division of the sky than the split into training and test cells
_CALIBRATION_SALT, _CALIBRATION_FOLDS = "calibration", 5


def train(
    sample: Sample,
    recipe: Recipe,
    out: str | Path,
    progress: Report | None = None,
    fit: FitMembers = fit_members,
) -> ModelCard:
    """Fit `recipe` to the training stars of `sample`, calibrate its errors, write the bundle and return its card.

    The errors are calibrated, and the card's ``validation`` numbers are taken, on what members say of stars like the
    test stars that they have not learnt from: the validation stars; or, if the recipe has folds, all but the test
    stars, each judged by the members that left its part of the sky out. Those stars lie beside the bundle, see
    `xpfeh.evaluate.validation_stars`.

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
    stars = seen_by(recipe, kept.columns)
    roles = roles_of(stars["part"], stars["source_id"], recipe)
    check_stars(stars, roles, recipe)
    trained = fit(stars, roles, recipe, progress)
    if not all(np.isfinite(member.validation_mae) for member in trained):
        raise UserError("training diverged: lower learning_rate, or set clip_norm")
    network = ensemble(trained, stars, roles, recipe)

    members = graph_of(network)
    check(members, network, stars)
    judged = np.asarray(roles.judged.any(axis=0))
    unseen = Unseen(
        _rows(stars, judged), roles.judged[:, judged], unseen_disagreement(members(stars)[0], roles, recipe)
    )
    judges = unseen.stars
    stretch = stretch_of(unseen.outputs(members)["feh"], judges["feh"], judges["feh_err"])
    calibration = _calibrated(members, unseen, stretch, recipe)
    outputs = unseen.outputs(members, stretch)
    taught = roles.learns.any(axis=0)
    domain = domain_of(stars["flux"][taught])
    score = domain.score(judges["flux"], judges["flux_error"], outputs["aleatoric"], outputs["epistemic"])
    intervals = calibration.intervals(**outputs)
    edges = edges_of(stars["feh"][taught])
    threshold = float(np.quantile(score, 1 - WORST))
    answers = edges.opened({"FEH": outputs["feh"], **intervals, "domain_score": score})
    flags = judges["flags"] | prediction_flags(answers, threshold)
    residual = outputs["feh"].astype(np.float64) - judges["feh"]
    errors = standard_errors(by_cell(judges["source_id"]), SPREADS, partial(spreads, residual))
    numbers = summary({"feh": judges["feh"], "FEH": outputs["feh"], **intervals})
    training = Training(
        **dict(sample.origin),
        stars=StarCounts(
            train=int(taught.sum()),
            validation=int(judged.sum()),
            test=len(sample.part("test")),
        ),
        stretch=stretch,
        calibration=calibration,
        edges=edges,
        restarted_members=sum(member.restarts > 0 for member in trained),
        domain_threshold=threshold,
        seen=seen({**judges, "flags": flags, "domain_score": score}),
        seconds=time.monotonic() - begun,
        validation=numbers | {"mae_error": errors["mae"]},
    )
    card = write_bundle(out, files_of(Model(network, stretch, calibration, domain, edges)), recipe, training)
    write_validation(out, {**judges, "FEH": outputs["feh"], "FEH_err": intervals["FEH_err"]})
    return card


def seen_by(recipe: Recipe, stars: Columns) -> dict[str, NDArray]:
    """Return the stars with their spectra in the recipe's pixels."""
    flux, flux_error = rebinned(stars["flux"], stars["flux_error"], recipe.n_pixels)
    return {**stars, "flux": flux, "flux_error": flux_error}


def roles_of(part: NDArray[np.str_], source_id: NDArray[np.int64], recipe: Recipe) -> Roles:
    """Return which stars each member learns from, and which like the test stars it has not seen and is judged by.

    Parameters
    ----------
    part : (N,) str
        `xpfeh.labels.sample.Part` of each star.
    source_id : (N,) int64
    recipe : Recipe
    """
    wide = recipe.stars == "wide"
    like_test = np.isin(part, ("train", "validation"))
    if recipe.folds:
        fold = folds_by_sky(source_id, _FOLD_SALT, recipe.folds)
        left_out = (np.arange(recipe.members) % recipe.folds)[:, None] == fold  # (E, N)
        return Roles(~left_out & (wide | like_test), left_out & like_test)
    learns = np.isin(part, ("train", "train-wide") if wide else ("train",))
    return Roles(*(np.tile(mine, (recipe.members, 1)) for mine in (learns, part == "validation")))


@dataclass(frozen=True)
class Unseen:
    """Stars of which each is judged by the members that have not learnt from it.

    Attributes
    ----------
    stars : mapping of (N, ...) arrays
    judged : (E, N) bool
        By which members: one at least.
    inflation : float
        The members that have learnt from a star agree on it more than they will on a new one: by so much.
    """

    stars: Columns
    judged: NDArray[np.bool_]
    inflation: float

    def outputs(self, members: Graph, stretch: Stretch = UNSTRETCHED) -> dict[str, NDArray[np.float32]]:
        """Return what `fit_calibration` takes: the ensemble's answers as they would be for new stars, stretched."""
        mean, sigma = members(self.stars)  # (N, E) both
        judged = self.judged.T
        weight = judged / judged.sum(axis=1, keepdims=True)  # 1 in each row
        agreeing = np.where(judged.all(axis=1, keepdims=True), 1.0, ~judged)  # those that have learnt, or all
        agreeing = agreeing / agreeing.sum(axis=1, keepdims=True)
        centre = (agreeing * mean).sum(axis=1, keepdims=True)
        feh = (weight * mean).sum(axis=1)
        disagreement = self.inflation * np.sqrt((agreeing * np.square(mean - centre)).sum(axis=1))
        outputs = {
            "feh": stretch.feh(feh),
            "aleatoric": stretch.errors(feh, np.sqrt((weight * np.square(sigma)).sum(axis=1))),
            "epistemic": stretch.errors(feh, disagreement),
            "noise": self.stars["flux_error"].mean(axis=1),
            "ebv": self.stars["ebv"],
        }
        return {name: values.astype(np.float32) for name, values in outputs.items()}


def unseen_disagreement(mean: NDArray[np.float32], roles: Roles, recipe: Recipe) -> float:
    """Return how many times more members disagree on stars that they have not seen than on those they learnt from.

    Members that leave out the same part of the sky differ in their seeds alone: their variance there is compared with
    that on the other stars. Of fewer than two such members nothing can be said, and 1 is returned.

    Parameters
    ----------
    mean : (N, E) float32
        Each member's [Fe/H], dex.
    roles : Roles
    recipe : Recipe
    """
    if not recipe.folds or recipe.members == recipe.folds:
        return 1.0
    alike = mean.reshape(len(mean), -1, recipe.folds)  # (N, members of a fold, folds)
    variance = alike.var(axis=1, ddof=1)  # (N, folds)
    judged, learnt = (mine[: recipe.folds].T for mine in (roles.judged, roles.learns & roles.judged.any(axis=0)))
    return float(np.sqrt(variance[judged].mean() / variance[learnt].mean()))


def _calibrated(members: Graph, unseen: Unseen, stretch: Stretch, recipe: Recipe) -> Calibration:
    """Calibrate on unseen stars, and on copies of them as faint as the network has learnt to expect."""
    stars = unseen.stars
    parts = [unseen.outputs(members, stretch)]
    if recipe.faint > 1:
        rng = np.random.default_rng([recipe.seed, 2])
        factors = fainter_factors(len(stars["feh"]), recipe.n_pixels, recipe.faint, rng)
        flux, flux_error = fainter(stars["flux"], stars["flux_error"], factors * stars["flux_error"], rng)
        faint = replace(unseen, stars={"flux": flux, "flux_error": flux_error, "ebv": stars["ebv"]})
        parts.append(faint.outputs(members, stretch))
    outputs = {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}
    fold = folds_by_sky(stars["source_id"], _CALIBRATION_SALT, _CALIBRATION_FOLDS)
    feh, feh_err, fold = (np.tile(values, len(parts)) for values in (stars["feh"], stars["feh_err"], fold))
    return fit_calibration(outputs, feh, feh_err, fold, copies=len(parts) - 1)


def _rows(stars: Columns, rows: NDArray) -> dict[str, NDArray]:
    return {name: values[rows] for name, values in stars.items()}
