"""Models that share the sky: each star is predicted by the one that has not seen its part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.errors import UserError
from xpfeh.inference.card import ModelCard
from xpfeh.inference.estimate import predict_and_flag
from xpfeh.inference.inputs import INPUTS
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.sample import split_by_sky
from xpfeh.settings import PreprocessSettings
from xpfeh.typing import Columns

NONE = -1
"""Stands for no model: all have seen the star's part of the sky."""


def answers(predictor: Predictor, stars: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return the stars with the predictor's columns, and ``flags`` and ``good`` as in a catalog."""
    return {**stars, **predict_and_flag(stars, predictor)}


class CrossValidated:
    """One model, or several of one recipe that each hold out a different part of the sky.

    Parameters
    ----------
    bundles : sequence of str or Path
        Their folders: one model, which has not seen one fifth of the sky, or five, each with a different unseen fifth.

    Raises
    ------
    UserError
        If a folder is not a bundle, the models differ in recipe or data, or two hold out the same stars.
    """

    def __init__(self, bundles: Sequence[str | Path]) -> None:
        self.predictors = [Predictor(bundle) for bundle in bundles]
        first, *others = self.cards
        for card in others:
            if (card.recipe, card.features, card.labels_sha256, card.split.salt) != (
                first.recipe, first.features, first.labels_sha256, first.split.salt
            ):  # fmt: skip
                raise UserError(
                    f"{card.version} and {first.version} differ in recipe, data or split: not from one cross-validation"
                )
        folds = [card.split.test_fold for card in self.cards]
        if len(set(folds)) < len(folds):
            raise UserError(f"{first.version}: two models hold out the same fifth of the sky; give one model per fifth")

    @property
    def cards(self) -> list[ModelCard]:
        """The models' cards."""
        return [predictor.card for predictor in self.predictors]

    @property
    def salt(self) -> str:
        """The name of the split of the sky."""
        return self.cards[0].split.salt

    @property
    def held_out(self) -> str:
        """The part of the sky that the models have not seen, as text: the split and its folds."""
        if len(self.cards) == 1:
            return self.cards[0].split.name
        return f"{self.salt}, folds {', '.join(str(card.split.test_fold) for card in self.cards)}"

    def check_features(self, preprocess: PreprocessSettings, where: str) -> None:
        """Raise a `UserError` if features were made with other settings than the training features."""
        for predictor in self.predictors:
            predictor.check_features(preprocess, where)

    def unseen_by(self, source_id: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return, for each of N stars, the model that has not seen its part of the sky, or `NONE`."""
        return self._model_for(source_id, "test")

    def taught_by(self, source_id: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return, for each of N stars, a model trained on its part of the sky, or `NONE`."""
        return self._model_for(source_id, "train")

    def answers(self, stars: Mapping[str, NDArray], by: NDArray[np.int64]) -> dict[str, NDArray]:
        """Return the K stars that have a model in `by`, in order, with that model's columns and without spectra.

        Parameters
        ----------
        stars : mapping of (N, ...) arrays
        by : (N,) int64
            As returned by `unseen_by`.
        """
        found = [answers(predictor, mine) for predictor, mine in self._shares(stars, by)]
        names, order = [name for name in found[0] if name not in INPUTS or name == "ebv"], _order(by)
        return {name: np.concatenate([part[name] for part in found])[order] for name in names}

    def sensitivity(self, stars: Mapping[str, NDArray], by: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return d[Fe/H] / d flux for the K stars that have a model in `by`, (K, pixels)."""
        inputs = {name: stars[name] for name in INPUTS}
        slopes = [predictor.sensitivity(mine) for predictor, mine in self._shares(inputs, by)]
        return np.concatenate(slopes)[_order(by)]

    def _shares(self, stars: Columns, by: NDArray[np.int64]) -> Iterator[tuple[Predictor, dict[str, NDArray]]]:
        """Yield each model with its stars, in their order."""
        for number, predictor in enumerate(self.predictors):
            yield predictor, rows_of(stars, by == number)

    def _model_for(self, source_id: NDArray[np.int64], part: str) -> NDArray[np.int64]:
        model = np.full(len(source_id), NONE)
        for number, card in enumerate(self.cards):
            model[split_by_sky(source_id, card.split.salt, card.split.test_fold) == part] = number
        return model


def _order(by: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the indices that put stars grouped by model back into their order."""
    return np.argsort(np.argsort(by[by != NONE], kind="stable"))
