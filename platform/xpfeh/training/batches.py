"""The batches of an ensemble's members: which stars, and which noise, in each of many steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xpfeh.large_arrays import MappedArray, in_memory
from xpfeh.settings import Recipe
from xpfeh.training.backend import Tensors, tensors
from xpfeh.training.noise import fainter_factors, pixel_noise

STRETCH = 500
"""Optimiser steps between two validations: half a second of work on one core."""
NOISE_ROWS = 8192
"""Per stretch, from which its batches draw: generating noise for each batch would cost more than the step."""


class Batches:
    """Draws the batches of every member; what a member gets does not depend on which others are trained with it.

    Parameters
    ----------
    columns : sequence of (N, ...) arrays
        Flux, its error and what else a step needs. If the flux is on disk, only a stretch's stars are in memory.
    learns : (E, N) bool
        The stars that each member is trained on.
    recipe : Recipe
    """

    def __init__(self, columns: Sequence[NDArray], learns: NDArray[np.bool_], recipe: Recipe) -> None:
        self._recipe = recipe
        self.noisy = recipe.noise > 0 or recipe.faint > 1
        self.own = [np.flatnonzero(mine).astype(np.int32) for mine in learns]
        """The stars that each member goes through, in this order if they are too many for one stretch."""
        self.size = min(recipe.batch_size, *map(len, self.own))
        self._columns = [np.asarray(values, dtype=np.float32) for values in columns]
        self._on_disk = isinstance(columns[0], MappedArray)
        if not self._on_disk:  # the order of a file is random already
            self.own = [self._shuffled(own) if len(own) > STRETCH * self.size else own for own in self.own]
        self._stars = None if self._on_disk else tensors(*self._columns)

    def of(
        self, member: int, start: int, length: int, rng: np.random.Generator
    ) -> tuple[Tensors, NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Return a member's next stretch: stars, their rows and those of the noise by batch, noise, and factors.

        The stars' errors are multiplied by the factors, (NOISE_ROWS, pixels) like the noise; half of these are 1.
        """
        order, noise_rows = self.draw(member, start, length, rng)
        stars, order = self._in_memory(order)
        return stars, order, noise_rows, *self._noise(rng)

    def _in_memory(self, order: NDArray[np.int32]) -> tuple[Tensors, NDArray[np.int32]]:
        """Return the stars, and the rows in them of some batches; of stars on disk only those in these batches."""
        if self._stars is not None:
            return self._stars, order
        rows = np.unique(order)  # in the file's order
        rows = np.pad(rows, (0, order.size - len(rows)), "edge")  # to one shape, so that one program is compiled
        stars = tensors(*(_rows_in_memory(values, rows) for values in self._columns))
        return stars, np.searchsorted(rows, order).astype(np.int32)

    def draw(
        self, member: int, start: int, length: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the stars and the rows of noise in each of a member's batches: (STRETCH, 1, B) both.

        The first `length` steps are used, after `start` earlier ones. A member goes through all its stars before any is
        repeated: in a new random order each time, or, if they are on disk or too many for one stretch, always in the
        same order, mixed within these steps.
        """
        needed = length * self.size
        walks = [self._walk(each, start, needed, rng) for each in range(self._recipe.members)]
        order = np.zeros((STRETCH, 1, self.size), dtype=np.int32)
        order[:length, 0] = walks[member].reshape(length, self.size)
        noise_rows = rng.integers(NOISE_ROWS, size=(STRETCH, self._recipe.members, self.size), dtype=np.int32)
        return order, noise_rows[:, member : member + 1]

    def _walk(self, member: int, start: int, needed: int, rng: np.random.Generator) -> NDArray[np.int32]:
        own = self.own[member]
        if len(own) <= STRETCH * self.size and not self._on_disk:
            epochs = -(-needed // len(own))  # rounded up
            return rng.permuted(np.tile(own, (epochs, 1)), axis=1).reshape(-1)[:needed]
        # Members begin in different places, since they may end before they have gone through all stars.
        place = member * len(own) // self._recipe.members + start * self.size
        return rng.permutation(own[(place + np.arange(needed)) % len(own)])

    def _shuffled(self, own: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.random.default_rng([self._recipe.seed, 3]).permutation(own)

    def _noise(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if not self.noisy:  # the compiled steps need two arrays, but use neither
            unused = np.zeros((NOISE_ROWS, 1), dtype=np.float32)
            return unused, unused
        n_pixels = self._recipe.n_pixels
        factors = np.ones((NOISE_ROWS, n_pixels), dtype=np.float32)
        if self._recipe.faint > 1:
            half = NOISE_ROWS // 2
            factors[:half] = fainter_factors(half, n_pixels, self._recipe.faint, rng)
        return pixel_noise(NOISE_ROWS, n_pixels, rng), factors


def _rows_in_memory(values: NDArray, rows: NDArray[np.int32]) -> NDArray[np.float32]:
    # Without the mode NumPy would fill a second array of this size first.
    return np.take(values, rows, axis=0, out=in_memory((len(rows), *values.shape[1:])), mode="clip")
