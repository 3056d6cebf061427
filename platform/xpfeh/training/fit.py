"""Training: stretches of many optimiser steps compiled as one program, one member of the ensemble after another.

The paper's 30,000 epochs are two steps each; `keras.Model.fit` would spend nearly all of its time in Python.

Each member is trained separately: random numbers are drawn from the seed for the whole ensemble, and the member uses
its share. So its weights are the same whether the others are trained before it in one process or on other machines. On
a CPU that costs nothing: five networks in one matrix product take five times as long as one (LOG 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.inference.further_labels import network_labels
from xpfeh.inference.inputs import INPUTS
from xpfeh.settings import Recipe
from xpfeh.training import adam
from xpfeh.training.adam import AdamState
from xpfeh.training.backend import Tensor, Tensors, compile_function, gradient, ops, tensors
from xpfeh.training.batches import STRETCH, Batches
from xpfeh.training.blocks import Blocks
from xpfeh.training.loss import cost_weights, feh_losses, further_losses
from xpfeh.training.network import UACSNet, build_network, is_kernel
from xpfeh.typing import Columns

_MIN_VALIDATION = 30  # stars: with fewer, a mean absolute error is accurate to no better than 15 %
_MAX_VALIDATION = 32_768  # stars: 0.5 %; validating on more would take longer than the steps in between
_WARM_UP = 0.05  # share of the steps after which a member is checked, LOG 2026-11-22
_COLLAPSED = 0.6  # times the error of a constant: by then members that learn are far below, LOG 2026-11-22
_MAX_RESTARTS = 5

Report = Callable[[int, int, dict[str, float]], None]
"""Called after each stretch of a member with its number, its optimiser step and its latest numbers."""


@dataclass(frozen=True)
class Roles:
    """The stars that each member is trained and judged on.

    Attributes
    ----------
    learns : (E, N) bool
        The stars that each member is trained on.
    judged : (E, N) bool
        The stars with [Fe/H] that it has not seen, and is judged on.
    """

    learns: NDArray[np.bool_]
    judged: NDArray[np.bool_]


@dataclass(frozen=True)
class Member:
    """One trained network of an ensemble.

    Attributes
    ----------
    weights : list of (1, ...) float32
        The trainable weights that the recipe keeps, in the order of `UACSNet.trainable_variables`.
    scales : list of float32 arrays
        Of the inputs, by the training stars of all members: `UACSNet.non_trainable_variables`.
    history : list of dict
        ``step``, ``loss`` and ``validation_mae`` (dex) after each stretch.
    validation_mae : float
        With these weights, dex.
    restarts : int
        How often it collapsed in the warm-up and was restarted.
    """

    weights: list[NDArray[np.float32]]
    scales: list[NDArray[np.float32]]
    history: list[dict[str, float]] = field(default_factory=list)
    validation_mae: float = float("inf")
    restarts: int = 0


FitMembers = Callable[[Columns, Roles, Recipe, Report | None], list[Member]]
"""Trains all members of a recipe, in this process or on workers."""


def fit_members(stars: Columns, roles: Roles, recipe: Recipe, progress: Report | None = None) -> list[Member]:
    """Train every member of UA-CSNet in this process.

    Parameters
    ----------
    stars : mapping of arrays
        ``flux`` and ``flux_error`` (N, the recipe's pixels) float32, ``ebv`` (mag), ``feh`` and ``feh_err`` (dex, NaN
        where unknown) and ``bp_rp0`` (mag).
    roles : Roles
    recipe : Recipe
    progress : callable, optional

    Raises
    ------
    UserError
        If there are fewer training stars than cost bins, too few validation stars, or all have the same [Fe/H].
    """
    trainer = Trainer(stars, roles, recipe)
    return [trainer.train(member, progress) for member in range(recipe.members)]


def ensemble(members: Sequence[Member], recipe: Recipe) -> UACSNet:
    """Return the members as one network."""
    network = build_network(recipe, recipe.seed)
    stacked = [np.concatenate(same) for same in zip(*(member.weights for member in members), strict=True)]
    # E times (1, in, out) -> (E, in, out); the scales are the same for all.
    for variable, value in zip(network.trainable_variables, stacked, strict=True):
        variable.assign(value)
    for variable, value in zip(network.non_trainable_variables, members[0].scales, strict=True):
        variable.assign(value)
    return network


class Trainer:
    """Trains the members of a recipe one by one; they share stars, scales and compiled programs."""

    def __init__(self, stars: Columns, roles: Roles, recipe: Recipe) -> None:
        check_stars(stars, roles, recipe)
        self.recipe = recipe
        self._network = build_network(recipe.model_copy(update={"members": 1}), recipe.seed)
        any_member = np.flatnonzero(roles.learns.any(axis=0))
        self._network.adapt(*(Blocks(stars[name], any_member) for name in INPUTS))
        self._fixed = tuple(ops.copy(v.value) for v in self._network.non_trainable_variables)
        self._decays = tuple(is_kernel(v) for v in self._network.trainable_variables)
        # A star without [Fe/H] has no cost for it, but its other labels count.
        taught = roles.learns.any(axis=0) & np.isfinite(stars["feh"])
        cost = np.zeros(len(stars["feh"]), dtype=np.float32)
        cost[taught] = cost_weights(stars["bp_rp0"][taught], stars["feh"][taught], recipe.cost_bins, recipe.cost_gamma)
        label_error = np.nan_to_num(stars["feh_err"]) if recipe.label_errors else np.zeros_like(cost)
        further = [network_labels(stars)] if recipe.further_labels else []
        columns = (*(stars[n] for n in INPUTS), np.nan_to_num(stars["feh"]), label_error, cost, *further)
        self.batches = Batches(columns, roles.learns, recipe)
        # All members are judged on the same number of stars, so that one compiled program validates each of them.
        fewest = roles.judged.sum(axis=1).min()
        thinned = slice(0, fewest, -(-fewest // _MAX_VALIDATION))
        self._judges = np.stack([np.flatnonzero(mine)[thinned] for mine in roles.judged])
        self._judged = {name: stars[name] for name in (*INPUTS, "feh")}
        self._constant_mae = float(np.abs(stars["feh"][self._judges] - np.median(stars["feh"][taught])).mean())
        self._warm_steps = min(recipe.steps, max(STRETCH, int(recipe.steps * _WARM_UP)))
        self._stretch = compile_function(self._run_steps)
        self._validate = compile_function(self._validation_mae)

    def train(self, member: int, progress: Report | None = None) -> Member:
        """Train one member."""
        held_out = tensors(*(values[self._judges[[member]]] for values in self._judged.values()))
        state, restarts = self._warm_up(member, held_out)
        kept, kept_mae = state.weights, np.inf
        history: list[dict[str, float]] = [{"step": self._warm_steps}]
        rng = np.random.default_rng([self.recipe.seed, 1])
        step = self._warm_steps
        while True:
            mae = self._mae(state, held_out)
            if self.recipe.keep == "last" or mae < kept_mae:
                kept, kept_mae = state.weights, mae
            history[-1]["validation_mae"] = mae
            if progress:
                progress(member, step, history[-1])
            if step >= self.recipe.steps:
                break
            count = min(STRETCH, self.recipe.steps - step)
            state, loss = self._advance(member, state, step, count, rng)
            step += count
            history.append({"step": step, "loss": loss})
        weights, scales = ([ops.convert_to_numpy(each) for each in values] for values in (kept, self._fixed))
        return Member(weights, scales, history, kept_mae, restarts)

    def _warm_up(self, member: int, held_out: Tensors) -> tuple[AdamState, int]:
        """Train the first steps; a member that collapses there is restarted from another seed."""
        for restarts in range(_MAX_RESTARTS + 1):
            seed = self.recipe.seed + 10_000 * restarts
            state = adam.initial_state(self._draw(member, seed))
            state, _ = self._advance(member, state, 0, self._warm_steps, np.random.default_rng([seed, 0]))
            mae = self._mae(state, held_out)
            too_short_to_judge = self._warm_steps < STRETCH
            if mae < _COLLAPSED * self._constant_mae or too_short_to_judge:
                break
        return state, restarts

    def _draw(self, member: int, seed: int) -> Tensors:
        """Return a member's initial weights: its share of those drawn for the whole ensemble."""
        network = build_network(self.recipe, seed)
        return tuple(v.value[member : member + 1] for v in network.trainable_variables)

    def _mae(self, state: AdamState, held_out: Tensors) -> float:
        return float(ops.convert_to_numpy(self._validate(state.weights, held_out))[0])

    def _advance(
        self, member: int, state: AdamState, step: int, count: int, rng: np.random.Generator
    ) -> tuple[AdamState, float]:
        """Run `count` steps in stretches of one compiled length; return the new state and the mean loss."""
        losses = []
        for start in range(step, step + count, STRETCH):
            length = min(STRETCH, step + count - start)
            stars, *drawn = self.batches.of(member, start, length, rng)
            given = (*drawn, np.float32(start), np.int32(length))
            state, loss = self._stretch(state, stars, *map(ops.convert_to_tensor, given))
            losses.append(float(loss))
        return AdamState(*state), float(np.mean(losses))

    def _run_steps(
        self,
        state: AdamState,
        stars: Tensors,
        order: Tensor,
        noise_rows: Tensor,
        noise: Tensor,
        factors: Tensor,
        start: Tensor,
        length: Tensor,
    ) -> tuple[AdamState, Tensor]:
        """Run the first `length` of the drawn steps, after `start` earlier ones; return state and mean loss.

        Parameters
        ----------
        state : AdamState
        stars : tuple of tensors
            Flux and error (N, P), E(B-V), [Fe/H], its error and cost (N,), and further labels (N, L) if learned.
        order, noise_rows : (STRETCH, 1, B) int32 tensors
            See `Batches.draw`.
        noise, factors : (NOISE_ROWS, P) tensors
            See `Batches.of`.
        start, length : scalar tensors
        """
        flux, flux_error, *columns = stars

        def body(i: Tensor, carry: tuple[AdamState, Tensor]) -> tuple[AdamState, Tensor]:
            state, total = carry
            rows = order[i]  # (1, B)
            batch_error = ops.take(flux_error, rows, axis=0)  # (N, P) -> (1, B, P)
            batch_flux = ops.take(flux, rows, axis=0)
            if self.batches.noisy:
                # A star whose error grows by `factor` gets the missing variance, in addition to the recipe's own noise.
                factor = ops.take(factors, noise_rows[i], axis=0)
                added = ops.sqrt(self.recipe.noise**2 + factor**2 - 1) * batch_error
                batch_flux = batch_flux + added * ops.take(noise, noise_rows[i], axis=0)
                batch_error = batch_error * factor
            batch = (batch_flux, batch_error, *(ops.take(values, rows, axis=0) for values in columns))
            loss, slopes = gradient(lambda weights: self._loss(weights, batch), state.weights)
            done = start + ops.cast(i, "float32")
            return adam.step(state, slopes, self._decays, done, self.recipe), total + loss

        state, total = ops.fori_loop(0, length, body, (state, ops.zeros((), dtype="float32")))
        return state, total / ops.cast(length, "float32")

    def _loss(self, weights: Tensors, batch: Tensors) -> Tensor:
        flux, flux_error, ebv, feh, feh_error, cost, *further = batch
        inputs = (flux, flux_error, ebv)
        (mean, sigma), _ = self._network.stateless_call(list(weights), list(self._fixed), inputs)
        total = ops.sum(feh_losses(mean[..., 0], sigma[..., 0], feh, feh_error, cost, self.recipe.beta_nll))
        for labels in further:
            total += self.recipe.further_labels * ops.sum(further_losses(mean[..., 1:], sigma[..., 1:], labels))
        if self.recipe.l2:
            total += self.recipe.l2 * sum(
                ops.sum(ops.square(w)) for w, decays in zip(weights, self._decays, strict=True) if decays
            )
        return total

    def _validation_mae(self, weights: Tensors, held_out: Tensors) -> Tensor:
        *inputs, feh = held_out
        (mean, _), _ = self._network.stateless_call(list(weights), list(self._fixed), tuple(inputs))
        return ops.mean(ops.abs(mean[..., 0] - feh), axis=-1)


def check_stars(stars: Columns, roles: Roles, recipe: Recipe) -> None:
    """Raise a `UserError` if the stars are too few or all alike, before any worker starts."""
    bins = recipe.cost_bins[0] * recipe.cost_bins[1]
    with_feh = roles.learns & np.isfinite(stars["feh"])
    n_learn, n_judged = int(with_feh.sum(axis=1).min()), int(roles.judged.sum(axis=1).min())
    if n_learn < bins or n_judged < _MIN_VALIDATION:
        raise UserError(
            f"{n_learn} training and {n_judged} validation stars are too few; at least {bins} (one per cost bin) and "
            f"{_MIN_VALIDATION} are needed; provide more labels, or reduce cost_bins"
        )
    taught = stars["feh"][with_feh.any(axis=0)]
    if np.ptp(taught) == 0:
        raise UserError(f"all training stars have [Fe/H] {taught[0]}: there is nothing to learn")
