"""The one predictor: evaluation, batch and online call this class and get the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xpfeh.model.backend import compiled  # isort: skip
import numpy as np
from keras import ops
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.model.bundle import read_bundle
from xpfeh.model.network import UACSNet

CHUNK = 1024
"""Stars a compiled call: always this many (the last padded), so that a star's bytes never depend on its batch."""


class Predictor:
    """Predict [Fe/H] from features with a trained bundle.

    Parameters
    ----------
    network : UACSNet
    card : dict
        The bundle's card, see `xpfeh.model.bundle`.
    """

    def __init__(self, network: UACSNet, card: dict[str, Any]) -> None:
        self.network = network
        self.card = card
        self._compiled = compiled(self._forward)

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """Load a bundle from its folder; a `UserError` says what is wrong with it."""
        return cls(*read_bundle(folder))

    @property
    def version(self) -> str:
        """The bundle's name: recipe and the beginning of its weights' SHA-256."""
        return str(self.card["version"])

    def check_features(self, preprocess: dict[str, Any], where: str) -> None:
        """Refuse features that were made with other settings than the training features.

        Raises
        ------
        UserError
            Naming the settings that differ.
        """
        expected = self.card["preprocess"]
        if preprocess != expected:
            names = sorted(n for n in {*preprocess, *expected} if preprocess.get(n) != expected.get(n))
            told = ", ".join(f"{n} is {preprocess.get(n)}, the model has {expected.get(n)}" for n in names)
            raise UserError(f"{where}: these features do not fit the model: {told}")

    def predict(self, flux: NDArray[np.float32], flux_error: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return ``feh`` and ``feh_err`` (dex) of N stars.

        Parameters
        ----------
        flux, flux_error : (N, pixels) float32
            Features; a star with NaN gets NaN.

        Returns
        -------
        dict of (N,) float32
            The ensemble's mean; the root of its mean variance plus the variance between its members.
        """
        n_stars = len(flux)
        usable = np.isfinite(flux).all(axis=1) & np.isfinite(flux_error).all(axis=1)
        padded = [np.ones((-(-n_stars // CHUNK) * CHUNK, flux.shape[1]), dtype=np.float32) for _ in range(2)]
        for target, values in zip(padded, (flux, flux_error), strict=True):
            target[:n_stars][usable] = values[usable]
        result = np.full((2, n_stars), np.nan, dtype=np.float32)
        for start in range(0, n_stars, CHUNK):
            stop = min(start + CHUNK, n_stars)
            chunk = self._compiled(*(ops.convert_to_tensor(values[start : start + CHUNK]) for values in padded))
            result[:, start:stop] = [ops.convert_to_numpy(values)[: stop - start] for values in chunk]
        result[:, ~usable] = np.nan
        return {"feh": result[0], "feh_err": result[1]}

    def _forward(self, flux: Any, flux_error: Any) -> tuple[Any, Any]:
        members = self.network.recipe.members
        inputs = tuple(ops.broadcast_to(x, (members, *x.shape)) for x in (flux, flux_error))
        mean, sigma = self.network(inputs)
        variance = ops.mean(ops.square(sigma), axis=0) + ops.var(mean, axis=0)
        return ops.mean(mean, axis=0), ops.sqrt(variance)
