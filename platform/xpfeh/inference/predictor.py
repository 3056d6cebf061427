"""The one predictor: evaluation, batch and online call this class and get the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.inference.bundle import Model, read_bundle
from xpfeh.training.backend import compiled, gradient, ops

CHUNK = 2048
"""Stars a compiled call: always this many (the last padded), so that a star's bytes never depend on its batch."""

INPUTS = ("flux", "flux_error", "ebv")
COLUMNS = (
    "FEH", "FEH_err", "FEH_lo68", "FEH_hi68", "FEH_lo95", "FEH_hi95", "FEH_err_aleatoric", "FEH_err_epistemic",
    "domain_score",
)  # fmt: skip


class Predictor:
    """Predict [Fe/H] from features with a trained model.

    Parameters
    ----------
    model : Model
        Network, calibration and domain.
    card : dict
        The bundle's card, see `xpfeh.inference.bundle`.
    """

    def __init__(self, model: Model, card: dict[str, Any]) -> None:
        self.model = model
        self.card = card
        self._predict = compiled(self._forward)
        self._tell_apart = compiled(self._each)
        self._differentiate = compiled(self._slopes)

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """Load a bundle from its folder; a `UserError` says what is wrong with it."""
        return cls(*read_bundle(folder))

    @property
    def version(self) -> str:
        """The bundle's name: recipe and the beginning of its content's SHA-256."""
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

    def predict(self, features: Mapping[str, NDArray]) -> dict[str, NDArray[np.float32]]:
        """Return [Fe/H] and its errors for N stars.

        Parameters
        ----------
        features : mapping of arrays
            ``flux``, ``flux_error`` (N, pixels) and ``ebv`` (N,), as `xpfeh.xp.preprocess.preprocess` makes them. A
            star with NaN there gets NaN.

        Returns
        -------
        dict of (N,) float32
            ``FEH``, the ensemble's mean (dex); ``FEH_lo68``, ``FEH_hi68``, ``FEH_lo95``, ``FEH_hi95``, calibrated
            intervals; ``FEH_err``, half the 68 % interval; ``FEH_err_aleatoric`` and ``FEH_err_epistemic``, what the
            networks say of the noise and how far they disagree, not recalibrated; ``domain_score``, see
            `xpfeh.inference.domain`.
        """
        said = self._by_chunks(self._predict, features)["columns"]
        return {name: said[:, i].copy() for i, name in enumerate(COLUMNS)}

    def members(self, features: Mapping[str, NDArray]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return each member's mean and sigma (dex) of N stars, (N, E) both."""
        said = self._by_chunks(self._tell_apart, features)
        return said["mean"], said["sigma"]

    def sensitivity(self, features: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """Return d[Fe/H] / d flux (dex, flux being 1 around 550 nm) of N stars by pixel, (N, pixels)."""
        return self._by_chunks(self._differentiate, features)["slopes"]

    def _by_chunks(
        self, work: Callable[..., dict[str, Any]], features: Mapping[str, NDArray]
    ) -> dict[str, NDArray[np.float32]]:
        n_stars = len(features["flux"])
        usable = np.isfinite(features["ebv"])
        for name in ("flux", "flux_error"):
            usable &= np.isfinite(features[name]).all(axis=1)
        padded = []
        for name in INPUTS:
            values = features[name]
            room = np.ones((max(1, -(-n_stars // CHUNK)) * CHUNK, *values.shape[1:]), dtype=np.float32)
            room[:n_stars] = values
            room[:n_stars][~usable] = 1.0
            padded.append(room)
        results: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(padded[0]), CHUNK):
            chunk = work(*(ops.convert_to_tensor(values[start : start + CHUNK]) for values in padded))
            for name, values in chunk.items():
                found = ops.convert_to_numpy(values)
                whole = results.setdefault(name, np.empty((len(padded[0]), *found.shape[1:]), dtype=np.float32))
                whole[start : start + CHUNK] = found
        for name, values in results.items():
            results[name] = values[:n_stars]
            results[name][~usable] = np.nan
        return results

    def _forward(self, flux: Any, flux_error: Any, ebv: Any) -> dict[str, Any]:
        mean, sigma = self._members(flux, flux_error)
        feh = ops.mean(mean, axis=0)
        aleatoric = ops.sqrt(ops.mean(ops.square(sigma), axis=0))
        epistemic = ops.std(mean, axis=0)
        noise = ops.mean(flux_error, axis=1)
        columns = {
            "FEH": feh,
            **self.model.calibration.intervals(feh, aleatoric, epistemic, noise, ebv),
            "FEH_err_aleatoric": aleatoric,
            "FEH_err_epistemic": epistemic,
            "domain_score": self.model.domain.score(flux, flux_error, aleatoric, epistemic),
        }
        return {"columns": ops.stack([columns[name] for name in COLUMNS], axis=1)}

    def _each(self, flux: Any, flux_error: Any, ebv: Any) -> dict[str, Any]:
        mean, sigma = self._members(flux, flux_error)
        return {"mean": ops.transpose(mean), "sigma": ops.transpose(sigma)}

    def _slopes(self, flux: Any, flux_error: Any, ebv: Any) -> dict[str, Any]:
        def total(at: tuple[Any, ...]) -> Any:
            return ops.sum(ops.mean(self._members(at[0], flux_error)[0], axis=0))

        return {"slopes": gradient(total, (flux,))[1][0]}

    def _members(self, flux: Any, flux_error: Any) -> tuple[Any, Any]:
        members = self.model.network.recipe.members
        return self.model.network(tuple(ops.broadcast_to(x, (members, *x.shape)) for x in (flux, flux_error)))
