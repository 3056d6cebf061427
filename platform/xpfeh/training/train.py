"""Train one recipe and write its bundle: the same function for the command line, for trials and for tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.evaluate.good_stars import good_numbers
from xpfeh.evaluate.metrics import summary, with_errors
from xpfeh.evaluate.validation_stars import write_validation
from xpfeh.flags import is_good
from xpfeh.inference.answers import answers_of
from xpfeh.inference.bundle import write_bundle
from xpfeh.inference.calibration import DUST_ERROR, Calibration, FurtherCalibration, fit_calibration, fit_further
from xpfeh.inference.card import ModelCard, StarCounts, Training
from xpfeh.inference.domain import WORST, domain_of
from xpfeh.inference.edges import edges_of
from xpfeh.inference.estimate import all_flags
from xpfeh.inference.further_labels import FURTHER_LABELS, TEFF, network_labels
from xpfeh.inference.graph import Graph
from xpfeh.inference.inputs import network_inputs
from xpfeh.inference.predictor import with_all_columns
from xpfeh.inference.seen import describe
from xpfeh.inference.stretch import UNSTRETCHED, Stretch, stretch_of
from xpfeh.labels.sample import LIKE_TEST, Part, Sample, folds_by_sky
from xpfeh.settings import Recipe
from xpfeh.training.export import TrainedModel, check, files_of
from xpfeh.training.export import members as graph_of
from xpfeh.training.fit import FitMembers, Report, Roles, check_stars, ensemble, fit_members
from xpfeh.training.noise import fainter, fainter_factors
from xpfeh.typing import Columns

_FOLD_SALT = "members"  # a division of the sky independent of the split into training and test cells
_CALIBRATION_SALT, _CALIBRATION_FOLDS = "calibration", 5


def train(
    sample: Sample,
    recipe: Recipe,
    out: str | Path,
    progress: Report | None = None,
    fit: FitMembers = fit_members,
) -> ModelCard:
    """Fit `recipe` to the training stars of `sample`, calibrate its errors, write the bundle and return its card.

    The errors are calibrated on, and the card's ``validation`` numbers come from, predictions for stars that the
    members were not trained on: the validation stars; or, if the recipe has folds, all but the test stars, each judged
    by the members that left out its part of the sky. Those of them that are like the test stars are stored in the
    bundle's folder, see `xpfeh.evaluate.validation_stars`.

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
        If the stars are too few or all alike, training diverges, or `out` contains something other than a bundle.
    """
    begun = time.monotonic()
    kept = stars_for(recipe, sample)
    stars = {**kept, **network_inputs(kept, recipe, sample.origin.preprocess)}
    roles = roles_of(stars, recipe)
    check_stars(stars, roles, recipe)
    trained = fit(stars, roles, recipe, progress)
    if not all(np.isfinite(member.validation_mae) for member in trained):
        raise UserError("training diverged: lower learning_rate, or set clip_norm")
    network = ensemble(trained, stars, roles, recipe)

    members = graph_of(network)
    check(members, network, stars)
    taught = np.asarray(roles.learns.any(axis=0))
    of_feh = _rows(stars, taught & np.isfinite(stars["feh"]))
    judged = np.asarray(roles.judged.any(axis=0))
    inflation = unseen_disagreement(members(stars)[0], roles, recipe)
    unseen = Unseen(_rows(stars, judged), roles.judged[:, judged], inflation)
    stretch = stretch_of(unseen.answers(members)["feh"], unseen.stars["feh"], unseen.stars["feh_err"])
    answers, copies = _with_copies(members, unseen, stretch, recipe)
    calibration, further = _calibrate(answers, unseen.stars, copies, recipe)
    whole_star = (network_labels(of_feh)[:, TEFF], answers) if recipe.further_labels else None
    domain = domain_of(of_feh["flux"], whole_star)
    edges = edges_of(_labels(stars, taught, recipe))
    model = TrainedModel(network, stretch, calibration, further, domain, edges)
    judges = unseen.stars
    columns = model.columns(unseen.answers(members, stretch), judges)
    final = edges.open_intervals(columns)
    threshold = float(np.quantile(columns["domain_score"], 1 - WORST))
    flags = all_flags(judges, with_all_columns(final), threshold)
    # A model's numbers are for stars like the test stars, whatever others it is trained on.
    answered = {**judges, **columns, "flags": flags, "good": is_good(flags, recipe.stars == "all")}
    like_test = _rows(answered, np.isin(judges["part"], LIKE_TEST))
    training = Training(
        **dict(sample.origin),
        stars=StarCounts(train=int(taught.sum()), validation=len(judges["feh"]), test=len(sample.part("test"))),
        stretch=stretch,
        calibration=calibration,
        further=further,
        edges=edges,
        restarted_members=sum(member.restarts > 0 for member in trained),
        domain_threshold=threshold,
        seen=describe(answered),
        seconds=time.monotonic() - begun,
        validation=summary(like_test) | {"mae_error": with_errors(like_test)["mae_se"]},
        good={name: value for name, value in good_numbers(answered).items() if np.isfinite(value)},
    )
    card = write_bundle(out, files_of(model), recipe, training)
    write_validation(out, like_test)
    return card


def stars_for(recipe: Recipe, sample: Sample) -> dict[str, NDArray]:
    """Return the stars that a recipe is trained or judged on: none of them is held out."""
    others: tuple[Part, ...] = ("train-other", "validation-other") if recipe.stars == "all" else ()
    return sample.part(*LIKE_TEST, *others).columns


def roles_of(stars: Columns, recipe: Recipe) -> Roles:
    """Return which stars each member is trained on, and which it has not seen and is judged on.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``part`` (`xpfeh.labels.sample.Part`), ``source_id`` and ``feh`` (dex, NaN where unknown).
    recipe : Recipe
    """
    part, judging = stars["part"], np.isfinite(stars["feh"])
    if recipe.folds:
        fold = folds_by_sky(stars["source_id"], _FOLD_SALT, recipe.folds)
        left_out = (np.arange(recipe.members) % recipe.folds)[:, None] == fold  # (E, N)
        return Roles(~left_out, left_out & judging)
    train = np.char.startswith(part, "train")
    return Roles(*(np.tile(mine, (recipe.members, 1)) for mine in (train, ~train & judging)))


@dataclass(frozen=True)
class Unseen:
    """Stars, each judged by the members that were not trained on it.

    Attributes
    ----------
    stars : mapping of (N, ...) arrays
    judged : (E, N) bool
        By which members: at least one per star.
    inflation : (L,) float64
        For each label, the factor by which members disagree more on a new star than on one they were trained on.
    """

    stars: Columns
    judged: NDArray[np.bool_]
    inflation: NDArray[np.float64]

    def answers(self, members: Graph, stretch: Stretch = UNSTRETCHED) -> dict[str, NDArray[np.float32]]:
        """Return the ensemble's answers as expected for new stars."""
        mean, sigma = members(self.stars)  # (N, E, L) both
        judged = self.judged.T
        weight = (judged / judged.sum(axis=1, keepdims=True))[:, :, None]  # 1 in each row
        agreeing = np.where(judged.all(axis=1, keepdims=True), 1.0, ~judged)  # the members trained on the star, or all
        agreeing = (agreeing / agreeing.sum(axis=1, keepdims=True))[:, :, None]
        centre = (agreeing * mean).sum(axis=1, keepdims=True)
        disagreement = self.inflation * np.sqrt((agreeing * np.square(mean - centre)).sum(axis=1))
        own_sigma = np.sqrt((weight * np.square(sigma)).sum(axis=1))
        answers = answers_of((weight * mean).sum(axis=1), own_sigma, disagreement, self.stars, stretch)
        return {name: values.astype(np.float32) for name, values in answers.items()}


def unseen_disagreement(mean: NDArray[np.float32], roles: Roles, recipe: Recipe) -> NDArray[np.float64]:
    """Return the ratio of members' disagreement on stars that they have not seen to that on training stars.

    Members that leave out the same part of the sky differ only in their seeds: their variance there is compared with
    that on the other stars. Without folds it is unknown, and 1 is returned.

    Parameters
    ----------
    mean : (N, E, L) float32
        Each member's labels.
    roles : Roles
    recipe : Recipe
    """
    if not recipe.folds:
        return np.ones(mean.shape[2])
    alike = mean.reshape(len(mean), -1, recipe.folds, mean.shape[2])  # (N, members of a fold, folds, L)
    variance = alike.var(axis=1, ddof=1)  # (N, folds, L)
    judged, learned = (mine[: recipe.folds].T for mine in (roles.judged, roles.learns & roles.judged.any(axis=0)))
    return np.sqrt(variance[judged].mean(axis=0) / variance[learned].mean(axis=0))


def _with_copies(
    members: Graph, unseen: Unseen, stretch: Stretch, recipe: Recipe
) -> tuple[dict[str, NDArray[np.float32]], int]:
    """Return the answers for unseen stars, followed by those for copies as faint as in training.

    The second value is the number of copies of each star.
    """
    stars = unseen.stars
    answers = unseen.answers(members, stretch)
    if recipe.faint == 1:
        return answers, 0
    rng = np.random.default_rng([recipe.seed, 2])
    factors = fainter_factors(len(stars["feh"]), recipe.n_pixels, recipe.faint, rng)
    flux, flux_error = fainter(stars["flux"], stars["flux_error"], factors * stars["flux_error"], rng)
    faint = replace(unseen, stars={"flux": flux, "flux_error": flux_error, "ebv": stars["ebv"]})
    of_copies = faint.answers(members, stretch)
    return {name: np.concatenate([values, of_copies[name]]) for name, values in answers.items()}, 1


def _calibrate(
    answers: Mapping[str, NDArray[np.float32]], stars: Columns, copies: int, recipe: Recipe
) -> tuple[Calibration, FurtherCalibration | None]:
    """Calibrate on unseen stars and their copies."""
    fold = folds_by_sky(stars["source_id"], _CALIBRATION_SALT, _CALIBRATION_FOLDS)
    feh, feh_err, fold = (np.tile(values, 1 + copies) for values in (stars["feh"], stars["feh_err"], fold))
    feh = judged_by_all(feh, answers, "feh", recipe)
    dust_error = DUST_ERROR if recipe.dust == "removed" else 0.0
    calibration = fit_calibration(answers, feh, feh_err, fold, copies, dust_error)
    if not recipe.further_labels:
        return calibration, None
    names = [label.name for label in FURTHER_LABELS]
    labels = np.tile(network_labels(stars), (1 + copies, 1)).T
    nearer = [judged_by_all(each, answers, name, recipe) for each, name in zip(labels, names, strict=True)]
    return calibration, fit_further(answers, np.stack(nearer, axis=1), copies)


def judged_by_all(
    label: NDArray[np.floating], answers: Mapping[str, NDArray[np.float32]], name: str, recipe: Recipe
) -> NDArray[np.float64]:
    """Return labels moved as close to the answers as they would be to those of the whole ensemble.

    An unseen star is judged by the few members that left it out, and their mean is less accurate: disagreement adds 1/m
    of its variance to a mean of m members. Without this, intervals are a few per cent too wide (LOG 2026-11-29).

    Parameters
    ----------
    label : (N,) floats
    answers : mapping of (N,) arrays
    name : str
        The label's name in the answers.
    recipe : Recipe

    Examples
    --------
    >>> answers = {"feh": np.zeros(1), "aleatoric": np.full(1, 0.1), "epistemic": np.full(1, 0.1)}
    >>> two_of_ten = Recipe(members=10, folds=5)  # disagreement is half the variance; 1 - 0.5 (1/2 - 1/10) = 0.8
    >>> judged_by_all(np.ones(1), answers, "feh", two_of_ten).round(3)
    array([0.894])
    """
    if not recipe.folds:
        return label.astype(np.float64)
    few, all_members = recipe.members // recipe.folds, recipe.members
    prefix = "" if name == "feh" else f"{name}_"
    disagreement = np.square(answers[f"{prefix}epistemic"])
    share = disagreement / (disagreement + np.square(answers[f"{prefix}aleatoric"]))
    nearer = answers[name] + np.sqrt(1 - (1 / few - 1 / all_members) * share) * (label - answers[name])
    return nearer.astype(np.float64)


def _labels(stars: Columns, taught: NDArray[np.bool_], recipe: Recipe) -> dict[str, NDArray]:
    """Return the labels that a recipe learns, for the stars that it is trained on."""
    names = ["feh", *(label.name for label in FURTHER_LABELS if recipe.further_labels)]
    return {name: stars[name][taught] for name in names}


def _rows(stars: Columns, rows: NDArray) -> dict[str, NDArray]:
    return {name: values[rows] for name, values in stars.items()}
