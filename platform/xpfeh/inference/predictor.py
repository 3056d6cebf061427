"""The one predictor: evaluation, batch and online call this class and get the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import UserError
from xpfeh.inference.bundle import CARD, MODEL, SLOPES, read_card, read_file
from xpfeh.inference.card import ModelCard
from xpfeh.inference.golden import agrees, golden_answer
from xpfeh.inference.graph import Graph
from xpfeh.settings import PreprocessSettings
from xpfeh.xp.pixels import rebinned

COLUMNS = (
    "FEH", "FEH_err", "FEH_lo68", "FEH_hi68", "FEH_lo95", "FEH_hi95", "FEH_err_aleatoric", "FEH_err_epistemic",
    "domain_score",
)  # fmt: skip
INPUTS = ("flux", "flux_error", "ebv")

Features = Mapping[str, NDArray]
"""``flux``, ``flux_error`` (N, 343) and ``ebv`` (N,), as `xpfeh.xp.preprocess.preprocess` makes them."""


class Predictor:
    """Predict [Fe/H] from features with a trained model.

    Parameters
    ----------
    folder : str or Path
        Of the model's bundle.

    Attributes
    ----------
    card : ModelCard

    Raises
    ------
    UserError
        If it is no bundle, its files are not those that its card names, or they give something else here for the golden
        star than where it was trained.
    """

    def __init__(self, folder: str | Path) -> None:
        self.card: ModelCard = read_card(folder)
        self._folder = folder
        self._columns = self._graph(MODEL)
        self._give_the_golden_answer()

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
        (columns,) = self._columns(self._seen(features))
        return {name: columns[:, i].copy() for i, name in enumerate(COLUMNS)}

    def sensitivity(self, features: Features) -> NDArray[np.float32]:
        """Return d[Fe/H] / d flux (dex, flux being 1 around 550 nm) of N stars by the recipe's pixels, (N, pixels)."""
        (slopes,) = self._slopes(self._seen(features))
        return slopes

    @cached_property
    def _slopes(self) -> Graph:
        return self._graph(SLOPES)

    def _give_the_golden_answer(self) -> None:
        answer = golden_answer(self._columns)
        if not agrees(answer, self.card.golden):
            raise UserError(
                f"{self._folder}: gives [Fe/H] {answer[0]} for the golden star where its {CARD} has "
                f"{self.card.golden[0]}; the card was changed, or "
                "this machine computes wrongly: are its versions those of constraints.txt?"
            )

    def _graph(self, name: str) -> Graph:
        content = read_file(self._folder, name, self.card)
        try:
            graph = Graph(content)
        except UserError as error:
            raise UserError(f"{self._folder}/{name}: {error}; take the bundle from its source again") from None
        if graph.widths["flux"] != (self.card.recipe.n_pixels,):
            raise UserError(f"{self._folder}/{name}: does not fit the recipe; take the bundle from its source again")
        return graph

    def _seen(self, features: Features) -> dict[str, NDArray]:
        """Return the inputs in the recipe's pixels."""
        flux, flux_error = rebinned(features["flux"], features["flux_error"], self.card.recipe.n_pixels)
        return {"flux": flux, "flux_error": flux_error, "ebv": features["ebv"]}
