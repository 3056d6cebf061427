"""Predictions for stars by the members of an ensemble that have not seen them: what its errors are calibrated on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.inference.answers import answers_of
from xpfeh.inference.graph import Graph
from xpfeh.inference.inputs import INPUTS
from xpfeh.inference.stretch import UNSTRETCHED, Stretch
from xpfeh.settings import Recipe
from xpfeh.training.blocks import blocks, joined, numbers_of, thinned
from xpfeh.training.export import TrainedModel
from xpfeh.training.fit import Roles
from xpfeh.training.noise import fainter, fainter_factors
from xpfeh.typing import Columns

ENOUGH = 131_072
"""Stars: 1,600 or more are beyond each end of a 95 % interval. All of a million would take gigabytes and minutes."""


@dataclass(frozen=True)
class Unseen:
    """Stars, each judged by the members that were not trained on it.

    Attributes
    ----------
    stars : mapping of (N, ...) arrays
    rows : (M,) intp
        Their rows among these stars.
    judged : (E, M) bool
        By which members: at least one per star.
    predicted : (M, E, L) float32, twice
        Mean and sigma by each member.
    inflation : (L,) float64
        For each label, the factor by which members disagree more on a new star than on one they were trained on.
    """

    stars: Columns
    rows: NDArray[np.intp]
    judged: NDArray[np.bool_]
    predicted: tuple[NDArray[np.float32], NDArray[np.float32]]
    inflation: NDArray[np.float64]

    @cached_property
    def labels(self) -> dict[str, NDArray]:
        """Columns of these stars without their spectra."""
        return numbers_of(self.stars, self.rows)

    def answers(self, stretch: Stretch = UNSTRETCHED) -> dict[str, NDArray[np.float32]]:
        """Return the ensemble's answers as expected for new stars."""
        return joined(
            self._answers(block, _inputs_of(self.stars, self.rows[block]), stretch) for block in self._blocks()
        )

    def columns(self, model: TrainedModel) -> dict[str, NDArray[np.float32]]:
        """Return the predictor's columns, before the edges apply."""

        def of_block(block: NDArray[np.intp]) -> dict[str, NDArray[np.float32]]:
            inputs = _inputs_of(self.stars, self.rows[block])
            return model.columns(self._answers(block, inputs, model.stretch), inputs)

        return joined(map(of_block, self._blocks()))

    def fainter(
        self, members: Graph, stretch: Stretch, recipe: Recipe, rng: np.random.Generator
    ) -> dict[str, NDArray[np.float32]]:
        """Return the answers for copies as faint as in training."""

        def of_block(block: NDArray[np.intp]) -> dict[str, NDArray[np.float32]]:
            inputs = _inputs_of(self.stars, self.rows[block])
            factors = fainter_factors(len(block), recipe.n_pixels, recipe.faint, rng)
            flux, flux_error = fainter(inputs["flux"], inputs["flux_error"], factors * inputs["flux_error"], rng)
            faint = {"flux": flux, "flux_error": flux_error, "ebv": inputs["ebv"]}
            mean, sigma = members(faint)
            return _answers(mean, sigma, self.judged[:, block].T, self.inflation, faint, stretch)

        return joined(map(of_block, self._blocks()))

    def _blocks(self) -> Iterator[NDArray[np.intp]]:
        return blocks(np.arange(len(self.rows)))

    def _answers(self, block: NDArray[np.intp], inputs: Columns, stretch: Stretch) -> dict[str, NDArray[np.float32]]:
        mean, sigma = (each[block] for each in self.predicted)
        return _answers(mean, sigma, self.judged[:, block].T, self.inflation, inputs, stretch)


def unseen_by(members: Graph, stars: Columns, roles: Roles, recipe: Recipe) -> Unseen:
    """Return stars that some member has not seen, at most `ENOUGH`, with the predictions of all."""
    rows = thinned(np.flatnonzero(roles.judged.any(axis=0)), ENOUGH)
    each = [members(_inputs_of(stars, block)) for block in blocks(rows)]
    mean, sigma = (np.concatenate(same) for same in zip(*each, strict=True))
    among = Roles(roles.learns[:, rows], roles.judged[:, rows])
    return Unseen(stars, rows, among.judged, (mean, sigma), unseen_disagreement(mean, among, recipe))


def _answers(
    mean: NDArray[np.float32],
    sigma: NDArray[np.float32],
    judged: NDArray[np.bool_],
    inflation: NDArray[np.float64],
    inputs: Columns,
    stretch: Stretch,
) -> dict[str, NDArray[np.float32]]:
    """Return the answers of the members that have not seen a star, from (B, E, L) predictions; (B, E) `judged`."""
    weight = (judged / judged.sum(axis=1, keepdims=True))[:, :, None]  # 1 in each row
    agreeing = np.where(judged.all(axis=1, keepdims=True), 1.0, ~judged)  # the members trained on the star, or all
    agreeing = (agreeing / agreeing.sum(axis=1, keepdims=True))[:, :, None]
    centre = (agreeing * mean).sum(axis=1, keepdims=True)
    disagreement = inflation * np.sqrt((agreeing * np.square(mean - centre)).sum(axis=1))
    own_sigma = np.sqrt((weight * np.square(sigma)).sum(axis=1))
    answers = answers_of((weight * mean).sum(axis=1), own_sigma, disagreement, inputs, stretch)
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


def _inputs_of(stars: Columns, rows: NDArray[np.intp]) -> dict[str, NDArray]:
    return rows_of({name: stars[name] for name in INPUTS}, rows)
