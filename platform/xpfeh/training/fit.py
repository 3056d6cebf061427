"""Training: whole stretches of optimiser steps compiled as one program, on every member at once.

The paper's 30,000 epochs are two steps each; `keras.Model.fit` would spend nearly all of its time in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.settings import Recipe
from xpfeh.training.backend import compiled, gradient, ops
from xpfeh.training.loss import cost_weights, member_losses
from xpfeh.training.network import UACSNet, build_network, is_kernel
from xpfeh.training.noise import fainter_factors, pixel_noise

STRETCH = 500
"""Optimiser steps between two looks at the validation stars."""

_MIN_VALIDATION = 30
_MEETING = 50
_NOISE_ROWS = 8192
_BETA_1, _BETA_2, _TINY = 0.9, 0.999, 1e-7
_WARM_UP = 0.05
_COLLAPSED = 0.6
_MAX_RESTARTS = 5

Columns = Mapping[str, NDArray]
Tensor = Any
"""Of Keras's backend, whichever it is."""
Tensors = tuple[Tensor, ...]
Progress = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Team:
    """Trainers that share the stars out among them and take the mean of their weights every 50 steps.

    That is local SGD (Stich 2019, arXiv:1805.09767).

    Attributes
    ----------
    rank, size : int
        This one's place among how many.
    mean : callable
        Takes this trainer's arrays and returns the mean over all of the team.
    """

    rank: int
    size: int
    mean: Callable[[list[NDArray]], list[NDArray]]


@dataclass
class Fit:
    """A trained network and how it came about.

    Attributes
    ----------
    network : UACSNet
        With each member's weights at its best validation error.
    history : list of dict
        ``step``, ``loss`` and ``validation_mae`` (mean over members) after each stretch.
    validation_mae : (E,) float64
        Each member's best, dex.
    restarts : int
        Members that had collapsed after the warm-up and were started afresh.
    """

    network: UACSNet
    history: list[dict[str, float]] = field(default_factory=list)
    validation_mae: NDArray[np.float64] = field(default_factory=lambda: np.array([]))
    restarts: int = 0


@dataclass
class _State:
    """Tensors with a member axis, in the order of the network's trainable variables."""

    weights: Tensors
    first: Tensors
    second: Tensors

    @classmethod
    def fresh(cls, recipe: Recipe, n_pixels: int, seed: int) -> _State:
        network = build_network(recipe, n_pixels, seed)
        weights = tuple(ops.copy(v.value) for v in network.trainable_variables)
        zeros = tuple(ops.zeros_like(w) for w in weights)
        return cls(weights, zeros, zeros)

    def replaced(self, members: NDArray[np.bool_], other: _State) -> _State:
        """Return this state with the chosen members taken from `other`."""

        def pick(mine: Tensors, theirs: Tensors) -> Tensors:
            return tuple(ops.where(members[:, None, None], b, a) for a, b in zip(mine, theirs, strict=True))

        return _State(pick(self.weights, other.weights), pick(self.first, other.first), pick(self.second, other.second))

    def mean_of(self, team: Team) -> _State:
        """Return the mean of the states of a team."""
        n = len(self.weights)
        mine = [ops.convert_to_numpy(x) for x in (*self.weights, *self.first, *self.second)]
        mean = tuple(ops.convert_to_tensor(x) for x in team.mean(mine))
        return _State(mean[:n], mean[n : 2 * n], mean[2 * n :])


def fit(
    stars: Columns,
    learns: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    recipe: Recipe,
    progress: Progress | None = None,
    team: Team | None = None,
) -> Fit:
    """Train UA-CSNet.

    Parameters
    ----------
    stars : mapping of arrays
        ``flux`` and ``flux_error`` (N, pixels) float32, ``feh`` (dex) and ``bp_rp0`` (mag).
    learns, judged : (E, N) bool
        Which stars each member learns from, and which it has not seen and is judged by.
    recipe : Recipe
    progress : callable, optional
        Called with the step and the latest numbers after each stretch.
    team : Team, optional
        Others that train the same network on other stars; all of them end with the same weights.

    Raises
    ------
    UserError
        If there are fewer training stars than cost bins, too few to validate with, or all have one [Fe/H].
    """
    bins = recipe.cost_bins[0] * recipe.cost_bins[1]
    n_learn, n_judged = int(learns.sum(axis=1).min()), int(judged.sum(axis=1).min())
    if n_learn < bins or n_judged < _MIN_VALIDATION:
        told = f"{n_learn} training and {n_judged} validation stars"
        raise UserError(f"{told} are too few; at least {bins} (one a cost bin) and {_MIN_VALIDATION} are needed")
    taught = stars["feh"][learns.any(axis=0)]
    if np.ptp(taught) == 0:
        raise UserError(f"all training stars have [Fe/H] {taught[0]}: there is nothing to learn")
    trainer = _Trainer(stars, learns, judged, recipe, team)
    state, restarts = trainer.warm_up(progress)
    result = trainer.run(state, progress)
    result.restarts = restarts
    return result


class _Trainer:
    def __init__(
        self,
        stars: Columns,
        learns: NDArray[np.bool_],
        judged: NDArray[np.bool_],
        recipe: Recipe,
        team: Team | None = None,
    ) -> None:
        self.recipe = recipe
        self._noisy = recipe.noise > 0 or recipe.faint > 1
        self.n_pixels = stars["flux"].shape[1]
        train = {name: values[learns.any(axis=0)] for name, values in stars.items()}
        self.network = build_network(recipe, self.n_pixels, recipe.seed)
        self.network.flux_scale.adapt(train["flux"])
        self.network.error_scale.adapt(train["flux_error"])
        self.fixed = tuple(ops.copy(v.value) for v in self.network.non_trainable_variables)
        self.decays = tuple(is_kernel(v) for v in self.network.trainable_variables)
        cost = np.zeros(len(stars["feh"]), dtype=np.float32)
        cost[learns.any(axis=0)] = cost_weights(train["bp_rp0"], train["feh"], recipe.cost_bins, recipe.cost_gamma)
        self.stars = tuple(
            ops.convert_to_tensor(np.asarray(values, dtype=np.float32))
            for values in (stars["flux"], stars["flux_error"], stars["feh"], cost)
        )
        self.team = team
        rank, size = (team.rank, team.size) if team else (0, 1)
        self.own = [np.flatnonzero(mine).astype(np.int32)[rank::size] for mine in learns]
        judges = np.stack([np.flatnonzero(mine)[: judged.sum(axis=1).min()] for mine in judged])
        self.held_out = tuple(
            ops.convert_to_tensor(stars[name][judges].astype(np.float32)) for name in ("flux", "flux_error", "feh")
        )
        self.constant_mae = float(np.abs(stars["feh"][judges] - np.median(train["feh"])).mean())
        self.batch = min(max(1, recipe.batch_size // size), *map(len, self.own))
        self.warm_steps = min(recipe.steps, max(STRETCH, int(recipe.steps * _WARM_UP)))
        self._stretch = compiled(self._run_steps)
        self._validate = compiled(self._validation_mae)

    def warm_up(self, progress: Progress | None) -> tuple[_State, int]:
        """Train the first steps; members that collapse there are started afresh from other seeds."""
        seed = self.recipe.seed
        state, collapsed = self._warmed(seed, progress)
        restarts = 0
        while collapsed.any() and restarts < _MAX_RESTARTS * self.recipe.members:
            restarts += int(collapsed.sum())
            seed += 10_000
            fresh, still = self._warmed(seed, progress)
            state, collapsed = state.replaced(collapsed, fresh), collapsed & still
        return state, restarts

    def _warmed(self, seed: int, progress: Progress | None) -> tuple[_State, NDArray[np.bool_]]:
        """Return freshly drawn members after the first steps, and which of them have collapsed."""
        state = _State.fresh(self.recipe, self.n_pixels, seed)
        state, _ = self._advance(state, 0, self.warm_steps, np.random.default_rng([seed, 0]))
        mae = ops.convert_to_numpy(self._validate(state.weights, self.held_out))
        if progress:
            progress(self.warm_steps, {"validation_mae": float(np.mean(mae))})
        too_short_to_tell = self.warm_steps < STRETCH
        return state, ~((mae < _COLLAPSED * self.constant_mae) | too_short_to_tell)

    def run(self, state: _State, progress: Progress | None) -> Fit:
        """Train the remaining steps, keeping each member's weights at its best validation error."""
        best_mae = np.full(self.recipe.members, np.inf)
        best = state
        history: list[dict[str, float]] = []
        rng = np.random.default_rng([self.recipe.seed, 1])
        step = self.warm_steps
        while True:
            mae = ops.convert_to_numpy(self._validate(state.weights, self.held_out)).astype(np.float64)
            better = mae < best_mae
            if better.any():
                best, best_mae = best.replaced(better, state), np.where(better, mae, best_mae)
            if history:
                history[-1]["validation_mae"] = float(mae.mean())
                if progress:
                    progress(step, history[-1])
            if step >= self.recipe.steps:
                break
            count = min(STRETCH, self.recipe.steps - step)
            state, loss = self._advance(state, step, count, rng)
            step += count
            history.append({"step": step, "loss": loss})
        for variable, value in zip(self.network.trainable_variables, best.weights, strict=True):
            variable.assign(value)
        return Fit(self.network, history, best_mae)

    def _advance(self, state: _State, step: int, count: int, rng: np.random.Generator) -> tuple[_State, float]:
        """Run `count` steps in stretches of one compiled length; return the new state and the mean loss."""
        losses = []
        pace = _MEETING if self.team else STRETCH
        for start in range(step, step + count, pace):
            length = min(pace, step + count - start)
            order = self._batches(length, rng)
            noise_rows = rng.integers(_NOISE_ROWS, size=order.shape, dtype=np.int32)
            tensors = tuple(
                ops.convert_to_tensor(x)
                for x in (order, noise_rows, *self._noise(rng), np.float32(start), np.int32(length))
            )
            weights, first, second, loss = self._stretch(state.weights, state.first, state.second, self.stars, *tensors)
            state = _State(weights, first, second)
            if self.team:
                state = state.mean_of(self.team)
            losses.append(float(loss))
        return state, float(np.mean(losses))

    def _batches(self, length: int, rng: np.random.Generator) -> NDArray[np.int32]:
        """Return (STRETCH, E, B) star indices, the first `length` rows used: each member walks its own epochs."""
        needed = length * self.batch
        order = np.zeros((STRETCH, self.recipe.members, self.batch), dtype=np.int32)
        for member, own in enumerate(self.own):
            epochs = -(-needed // len(own))
            walk = rng.permuted(np.tile(own, (epochs, 1)), axis=1).reshape(-1)
            order[:length, member] = walk[:needed].reshape(length, self.batch)
        return order

    def _noise(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (rows, pixels) noise, and the factors by which each row enlarges a star's errors: 1 for half."""
        if not self._noisy:
            return (np.zeros((_NOISE_ROWS, 1), dtype=np.float32),) * 2
        factors = np.ones((_NOISE_ROWS, self.n_pixels), dtype=np.float32)
        if self.recipe.faint > 1:
            half = _NOISE_ROWS // 2
            factors[:half] = fainter_factors(half, self.n_pixels, self.recipe.faint, rng)
        return pixel_noise(_NOISE_ROWS, self.n_pixels, rng), factors

    def _run_steps(
        self,
        weights: Tensors,
        first: Tensors,
        second: Tensors,
        stars: Tensors,
        order: Tensor,
        noise_rows: Tensor,
        noise: Tensor,
        factors: Tensor,
        start: Tensor,
        length: Tensor,
    ) -> tuple[Tensors, Tensors, Tensors, Tensor]:
        flux, flux_error, feh, cost = stars

        def body(i: Tensor, carry: Tensors) -> Tensors:
            weights, first, second, total = carry
            rows = order[i]
            batch_error = ops.take(flux_error, rows, axis=0)
            batch_flux = ops.take(flux, rows, axis=0)
            if self._noisy:
                factor = ops.take(factors, noise_rows[i], axis=0)
                added = ops.sqrt(self.recipe.noise**2 + factor**2 - 1) * batch_error
                batch_flux = batch_flux + added * ops.take(noise, noise_rows[i], axis=0)
                batch_error = batch_error * factor
            batch = (batch_flux, batch_error, ops.take(feh, rows, axis=0), ops.take(cost, rows, axis=0))
            loss, slopes = gradient(lambda w: self._loss(w, batch), weights)
            weights, first, second = self._adam(weights, first, second, slopes, start + ops.cast(i, "float32"))
            return weights, first, second, total + loss

        carry = (weights, first, second, ops.zeros((), dtype="float32"))
        weights, first, second, total = ops.fori_loop(0, length, body, carry)
        return weights, first, second, total / (ops.cast(length, "float32") * self.recipe.members)

    def _loss(self, weights: Tensors, batch: Tensors) -> Tensor:
        flux, flux_error, feh, cost = batch
        (mean, sigma), _ = self.network.stateless_call(list(weights), list(self.fixed), (flux, flux_error))
        total = ops.sum(member_losses(mean, sigma, feh, cost, self.recipe.beta_nll))
        if self.recipe.l2:
            total += self.recipe.l2 * sum(
                ops.sum(ops.square(w)) for w, on in zip(weights, self.decays, strict=True) if on
            )
        return total

    def _adam(
        self, weights: Tensors, first: Tensors, second: Tensors, slopes: Tensors, step: Tensor
    ) -> tuple[Tensors, Tensors, Tensors]:
        """Adam, or AdamW where the recipe decays weights (Loshchilov & Hutter 2019, arXiv:1711.05101)."""
        recipe = self.recipe
        if recipe.clip_norm:
            norm = ops.sqrt(sum(ops.sum(ops.square(g), axis=(1, 2), keepdims=True) for g in slopes))
            slopes = tuple(g * ops.minimum(1.0, recipe.clip_norm / (norm + _TINY)) for g in slopes)
        rate = recipe.learning_rate
        if recipe.schedule == "cosine":
            rate = rate * 0.5 * (1 + ops.cos(np.pi * step / recipe.steps))
        t = step + 1.0
        scale = rate * ops.sqrt(1 - _BETA_2**t) / (1 - _BETA_1**t)
        first = tuple(_BETA_1 * m + (1 - _BETA_1) * g for m, g in zip(first, slopes, strict=True))
        second = tuple(_BETA_2 * v + (1 - _BETA_2) * g * g for v, g in zip(second, slopes, strict=True))
        weights = tuple(
            w - scale * m / (ops.sqrt(v) + _TINY) - (rate * recipe.weight_decay * w if decays else 0.0)
            for w, m, v, decays in zip(weights, first, second, self.decays, strict=True)
        )
        return weights, first, second

    def _validation_mae(self, weights: Tensors, held_out: Tensors) -> Tensor:
        flux, flux_error, feh = held_out
        (mean, _), _ = self.network.stateless_call(list(weights), list(self.fixed), (flux, flux_error))
        return ops.mean(ops.abs(mean - feh), axis=-1)
