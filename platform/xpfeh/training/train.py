"""Train one recipe and write its bundle: the same function for the command line, for trials and for tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.errors import UserError
from xpfeh.evaluate.good_stars import good_numbers
from xpfeh.evaluate.metrics import summary, with_errors
from xpfeh.evaluate.validation_stars import write_validation
from xpfeh.flags import is_good
from xpfeh.inference.bundle import write_bundle
from xpfeh.inference.calibration import DUST_ERROR, Calibration, FurtherCalibration, fit_calibration, fit_further
from xpfeh.inference.card import ModelCard, StarCounts, Training
from xpfeh.inference.domain import WORST, domain_of, to_ranges
from xpfeh.inference.edges import edges_of
from xpfeh.inference.estimate import all_flags
from xpfeh.inference.further_labels import FURTHER_LABELS, TEFF, network_labels
from xpfeh.inference.graph import Graph
from xpfeh.inference.inputs import network_inputs
from xpfeh.inference.predictor import with_all_columns
from xpfeh.inference.seen import describe
from xpfeh.inference.stretch import Stretch, stretch_of
from xpfeh.labels.sample import LIKE_TEST, Part, Sample, folds_by_sky
from xpfeh.settings import Recipe
from xpfeh.training.blocks import blocks, joined, numbers_of, thinned
from xpfeh.training.export import TrainedModel, check, files_of
from xpfeh.training.export import members as graph_of
from xpfeh.training.fit import FitMembers, Report, Roles, check_stars, ensemble, fit_members
from xpfeh.training.unseen import ENOUGH, Unseen, unseen_by
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
    stars = {**sample.columns, **network_inputs(sample.columns, recipe, sample.origin.preprocess)}
    roles = roles_of(stars, recipe)
    check_stars(stars, roles, recipe)
    trained = fit(stars, roles, recipe, progress)
    if not all(np.isfinite(member.validation_mae) for member in trained):
        raise UserError("training diverged: lower learning_rate, or set clip_norm")
    network = ensemble(trained, recipe)

    members = graph_of(network)
    taught = np.asarray(roles.learns.any(axis=0))
    of_feh = thinned(np.flatnonzero(taught & np.isfinite(stars["feh"])), ENOUGH)
    check(members, network, stars)
    unseen = unseen_by(members, stars, roles, recipe)
    judges = unseen.labels
    stretch = stretch_of(unseen.answers()["feh"], judges["feh"], judges["feh_err"])
    answers, copies = _with_copies(members, unseen, stretch, recipe)
    calibration, further = _calibrate(answers, judges, copies, recipe)
    whole_star = (network_labels(numbers_of(stars, of_feh))[:, TEFF], answers) if recipe.further_labels else None
    domain = domain_of(_ranges(stars, of_feh), whole_star)
    edges = edges_of(_labels(stars, taught, recipe))
    model = TrainedModel(network, stretch, calibration, further, domain, edges)
    columns = unseen.columns(model)
    final = edges.open_intervals(columns)
    threshold = float(np.quantile(columns["domain_score"], 1 - WORST))
    flags = all_flags(judges, with_all_columns(final), threshold)
    # A model's numbers are for stars like the test stars, whatever others it is trained on.
    answered = {**judges, **columns, "flags": flags, "good": is_good(flags, recipe.stars == "all")}
    like_test = rows_of(answered, np.isin(judges["part"], LIKE_TEST))
    training = Training(
        **dict(sample.origin),
        stars=StarCounts(
            train=int(taught.sum()), validation=len(unseen.rows), test=int((stars["part"] == "test").sum())
        ),
        stretch=stretch,
        calibration=calibration,
        further=further,
        edges=edges,
        restarted_members=sum(member.restarts > 0 for member in trained),
        domain_threshold=threshold,
        seen=describe({**answered, "flux": _ranges(stars, unseen.rows)}),
        seconds=time.monotonic() - begun,
        validation=summary(like_test) | {"mae_error": with_errors(like_test)["mae_se"]},
        good={name: value for name, value in good_numbers(answered).items() if np.isfinite(value)},
    )
    card = write_bundle(out, files_of(model), recipe, training)
    write_validation(out, like_test)
    return card


def parts_of(recipe: Recipe) -> tuple[Part, ...]:
    """Return the parts of a sample that a recipe is trained or judged on: none of them is held out."""
    return (*LIKE_TEST, "train-other", "validation-other") if recipe.stars == "all" else LIKE_TEST


def roles_of(stars: Columns, recipe: Recipe) -> Roles:
    """Return which stars each member is trained on, and which it has not seen and is judged on.

    A held-out star has neither role: stars are chosen by number, since a copy of the others would be as large.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``part`` (`xpfeh.labels.sample.Part`), ``source_id`` and ``feh`` (dex, NaN where unknown).
    recipe : Recipe
    """
    part = stars["part"]
    kept = np.isin(part, parts_of(recipe))
    judging = kept & np.isfinite(stars["feh"])
    if recipe.folds:
        fold = folds_by_sky(stars["source_id"], _FOLD_SALT, recipe.folds)
        left_out = (np.arange(recipe.members) % recipe.folds)[:, None] == fold  # (E, N)
        return Roles(~left_out & kept, left_out & judging)
    train = np.char.startswith(part, "train")
    return Roles(*(np.tile(mine, (recipe.members, 1)) for mine in (train & kept, ~train & judging)))


def _with_copies(
    members: Graph, unseen: Unseen, stretch: Stretch, recipe: Recipe
) -> tuple[dict[str, NDArray[np.float32]], int]:
    """Return the answers for unseen stars, followed by those for copies as faint as in training.

    The second value is the number of copies of each star.
    """
    answers = unseen.answers(stretch)
    if recipe.faint == 1:
        return answers, 0
    of_copies = unseen.fainter(members, stretch, recipe, np.random.default_rng([recipe.seed, 2]))
    return joined([answers, of_copies]), 1


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


def _ranges(stars: Columns, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the spectra of some stars in the domain's few ranges."""
    return np.concatenate([to_ranges(stars["flux"][block]) for block in blocks(rows)])
