"""The one predictor: evaluation, batch and online call this class and get the same bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.inference.bundle import Model, read_bundle
from xpfeh.inference.card import ModelCard
from xpfeh.settings import PreprocessSettings
from xpfeh.training.backend import Tensor, compiled, gradient, ops
from xpfeh.training.network import UACSNet
from xpfeh.xp.pixels import rebinned

CHUNK = 2048
"""Stars a compiled call: always this many (the last padded), so that a star's bytes never depend on its batch."""

INPUTS = ("flux", "flux_error", "ebv")
COLUMNS = (
    "FEH", "FEH_err", "FEH_lo68", "FEH_hi68", "FEH_lo95", "FEH_hi95", "FEH_err_aleatoric", "FEH_err_epistemic",
    "domain_score",
)  # fmt: skip

Features = Mapping[str, NDArray]
"""``flux``, ``flux_error`` (N, 343) and ``ebv`` (N,), as `xpfeh.xp.preprocess.preprocess` makes them."""


class Members:
    """The answers of each network of an ensemble, one by one.

    Parameters
    ----------
    network : UACSNet
    """

    def __init__(self, network: UACSNet) -> None:
        self._network = network
        self._compiled = compiled(self._outputs)

    def __call__(self, features: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return each member's mean and sigma (dex) of N stars, (N, E) both; the flux is in the recipe's pixels."""
        mean, sigma = _in_chunks(self._compiled, features)
        return mean, sigma

    def forward(self, flux: Tensor, flux_error: Tensor, ebv: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and sigma as (E, B) tensors of (B, pixels) and (B,) tensors."""
        return self._network((flux[None], flux_error[None], ebv[None]))  # the members' axis is broadcast

    def _outputs(self, flux: Tensor, flux_error: Tensor, ebv: Tensor) -> tuple[Tensor, Tensor]:
        mean, sigma = self.forward(flux, flux_error, ebv)
        return ops.transpose(mean), ops.transpose(sigma)  # (E, B) -> (B, E)


class Predictor:
    """Predict [Fe/H] from features with a trained model.

    Parameters
    ----------
    model : Model
        Network, stretch, calibration, domain and edges.
    card : ModelCard
    """

    def __init__(self, model: Model, card: ModelCard) -> None:
        self.model = model
        self.card = card
        self._members = Members(model.network)
        self._predict = compiled(self._columns)
        self._differentiate = compiled(self._slopes)

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """Load a bundle from its folder; a `UserError` says what is wrong with it."""
        return cls(*read_bundle(folder))

    @property
    def version(self) -> str:
        """The bundle's name: recipe and the beginning of its content's SHA-256."""
        return self.card.version

    def check_features(self, preprocess: PreprocessSettings, where: str) -> None:
        """Refuse features that were made with other settings than the training features.

        Raises
        ------
        UserError
            Naming the settings that differ.
        """
        given, expected = dict(preprocess), dict(self.card.preprocess)
        if differences := [
            f"{name} is {given[name]}, the model has {expected[name]}"
            for name in sorted(expected)
            if given[name] != expected[name]
        ]:
            raise UserError(f"{where}: these features do not fit the model: {', '.join(differences)}")

    def predict(self, features: Features) -> dict[str, NDArray[np.float32]]:
        """Return [Fe/H] and its errors for N stars; a star with NaN in its features gets NaN.

        Returns
        -------
        dict of (N,) float32
            ``FEH``, the ensemble's mean, stretched below -2 (dex), NaN far beyond the labels' range; ``FEH_lo68``,
            ``FEH_hi68``, ``FEH_lo95``, ``FEH_hi95``, calibrated intervals, NaN where they are open
            (`xpfeh.inference.edges`); ``FEH_err``, half the 68 % interval; ``FEH_err_aleatoric`` and
            ``FEH_err_epistemic``, what the networks say of the noise and how far they disagree, not recalibrated;
            ``domain_score``, see `xpfeh.inference.domain`.
        """
        (columns,) = _in_chunks(self._predict, self._seen(features))
        return {name: columns[:, i].copy() for i, name in enumerate(COLUMNS)}

    def sensitivity(self, features: Features) -> NDArray[np.float32]:
        """Return d[Fe/H] / d flux (dex, flux being 1 around 550 nm) of N stars by the recipe's pixels, (N, pixels)."""
        (slopes,) = _in_chunks(self._differentiate, self._seen(features))
        return slopes

    def _seen(self, features: Features) -> dict[str, NDArray]:
        """Return the inputs in the recipe's pixels."""
        flux, flux_error = rebinned(features["flux"], features["flux_error"], self.card.recipe.n_pixels)
        return {"flux": flux, "flux_error": flux_error, "ebv": features["ebv"]}

    def _columns(self, flux: Tensor, flux_error: Tensor, ebv: Tensor) -> tuple[Tensor]:
        mean, sigma = self._members.forward(flux, flux_error, ebv)  # (E, B) both
        stretch, mean_feh = self.model.stretch, ops.mean(mean, axis=0)
        feh = stretch.feh(mean_feh)
        aleatoric = stretch.errors(mean_feh, ops.sqrt(ops.mean(ops.square(sigma), axis=0)))
        epistemic = stretch.errors(mean_feh, ops.std(mean, axis=0))
        noise = ops.mean(flux_error, axis=1)
        columns = {
            "FEH": feh,
            **self.model.calibration.intervals(feh, aleatoric, epistemic, noise, ebv),
            "FEH_err_aleatoric": aleatoric,
            "FEH_err_epistemic": epistemic,
            "domain_score": self.model.domain.score(flux, flux_error, aleatoric, epistemic),
        }
        columns = self.model.edges.opened(columns)
        # One array of nine columns leaves the compiled call faster than nine arrays.
        return (ops.stack([columns[name] for name in COLUMNS], axis=1),)  # (B, 9)

    def _slopes(self, flux: Tensor, flux_error: Tensor, ebv: Tensor) -> tuple[Tensor]:
        def total(at: tuple[Tensor]) -> Tensor:
            mean, _ = self._members.forward(at[0], flux_error, ebv)
            return ops.sum(self.model.stretch.feh(ops.mean(mean, axis=0)))

        _, slopes = gradient(total, (flux,))
        return slopes


def _in_chunks(work: Callable[..., tuple[Tensor, ...]], features: Features) -> tuple[NDArray[np.float32], ...]:
    """Return the arrays (N, ...) that `work` gives for tensors of `CHUNK` stars, NaN for a star with NaN."""
    n_stars = len(features["flux"])
    usable = np.isfinite(features["ebv"])
    for name in ("flux", "flux_error"):
        usable &= np.isfinite(features[name]).all(axis=1)
    n_padded = max(1, math.ceil(n_stars / CHUNK)) * CHUNK
    padded = []
    for name in INPUTS:
        values = np.ones((n_padded, *features[name].shape[1:]), dtype=np.float32)
        values[:n_stars] = features[name]
        values[:n_stars][~usable] = 1.0  # any number: their results become NaN below
        padded.append(values)
    results: list[NDArray[np.float32]] = []
    for start in range(0, n_padded, CHUNK):
        found = work(*(ops.convert_to_tensor(values[start : start + CHUNK]) for values in padded))
        arrays = [ops.convert_to_numpy(values) for values in found]
        if not results:
            results = [np.empty((n_padded, *array.shape[1:]), dtype=np.float32) for array in arrays]
        for whole, array in zip(results, arrays, strict=True):
            whole[start : start + CHUNK] = array
    results = [whole[:n_stars] for whole in results]
    for whole in results:
        whole[~usable] = np.nan
    return tuple(results)
