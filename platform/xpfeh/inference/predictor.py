"""The one predictor: evaluation, catalogs and the endpoint use this class and get the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.errors import ModelError, UserError
from xpfeh.inference.bundle import CARD, MODEL, SLOPES, read_card, read_file
from xpfeh.inference.card import ModelCard
from xpfeh.inference.further_labels import FURTHER_LABELS
from xpfeh.inference.golden import agrees, golden_answer
from xpfeh.inference.graph import Graph
from xpfeh.inference.inputs import network_inputs
from xpfeh.settings import PreprocessSettings, Recipe
from xpfeh.xp import dust

_FEH_COLUMNS = (
    "FEH", "FEH_err", "FEH_lo68", "FEH_hi68", "FEH_lo95", "FEH_hi95", "FEH_err_aleatoric", "FEH_err_epistemic",
    "domain_score",
)  # fmt: skip
_FURTHER_COLUMNS = tuple(name for label in FURTHER_LABELS for name in (label.column, label.error_column))
COLUMNS = (*_FEH_COLUMNS, *_FURTHER_COLUMNS)
"""The columns that a predictor returns; NaN if its recipe has not learned a label."""

Features = Mapping[str, NDArray]
"""``flux``, ``flux_error`` (N, 343) and ``ebv`` (N,), as returned by `xpfeh.xp.preprocess.preprocess`."""


def columns_of(recipe: Recipe) -> tuple[str, ...]:
    """Return the columns that a recipe's graph returns, in order.

    Examples
    --------
    >>> columns_of(Recipe(further_labels=0.02))[-2:]
    ('ALPHA_M', 'ALPHA_M_err')
    """
    return COLUMNS if recipe.further_labels else _FEH_COLUMNS


def with_all_columns(columns: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return all `COLUMNS` for N stars, NaN where a recipe predicts none."""
    unknown = np.full_like(columns["FEH"], np.nan)
    return {name: columns.get(name, unknown).copy() for name in COLUMNS}


class Predictor:
    """Predict [Fe/H] from features with a trained model.

    Parameters
    ----------
    folder : str or Path
        The model's bundle.

    Attributes
    ----------
    card : ModelCard

    Raises
    ------
    UserError
        If the folder is not a bundle, a file does not match its checksum on the card, or the prediction for the golden
        star is not the one on the card.
    """

    def __init__(self, folder: str | Path) -> None:
        self.card: ModelCard = read_card(folder)
        self._folder = folder
        self._columns = self._graph(MODEL)
        self._check_golden_star()

    @property
    def version(self) -> str:
        """The bundle's name: recipe and the beginning of its content's SHA-256."""
        return self.card.version

    def preprocess_by(self, dust_map: str | None) -> PreprocessSettings:
        """Return the settings that turn spectra into features for this model; E(B-V) may be from another map.

        Parameters
        ----------
        dust_map : {"sfd-nside64", "sfd"}, optional
            By default the map that the model was trained with.

        Raises
        ------
        UserError
            If the map is unknown or not on this machine, or the model's recipe removes dust.
        """
        own = self.card.preprocess
        if dust_map is None:
            dust_map = own.dust_map
        settings = PreprocessSettings.of({**own.model_dump(mode="json"), "dust_map": dust_map})
        recipe = self.card.recipe
        if recipe.dust == "removed" and dust_map != own.dust_map:
            raise ModelError(
                f"recipe {recipe.name} dereddens with the map it was trained with ({own.dust_map}), so {self.version} "
                f"cannot use {dust_map}; models whose recipe has dust=hint can"
            )
        dust.check(dust_map)
        return settings

    def check_features(self, preprocess: PreprocessSettings, where: str) -> None:
        """Raise an error if features were made with other settings than the training features.

        Raises
        ------
        UserError
            Naming the settings that differ.
        """
        given, expected = dict(preprocess), dict(self.card.preprocess)
        if self.card.recipe.dust == "hint":
            del expected["dust_map"]  # to these networks E(B-V) is only a hint, with an error known to be large
        if differences := [
            f"{name} is {given[name]}, the model expects {expected[name]}"
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
            ``FEH_err_epistemic``, the networks' own sigma and their disagreement, not recalibrated;
            ``domain_score``, see `xpfeh.inference.domain`. Then ``TEFF`` (K), ``LOGG`` and ``ALPHA_M`` (dex), each
            with ``_err``, half its calibrated 68 % interval, NaN by the same rules, or if the recipe does not learn it.
        """
        (columns,) = self._columns(self._inputs(features))
        return with_all_columns(dict(zip(columns_of(self.card.recipe), columns.T, strict=True)))

    def sensitivity(self, features: Features) -> NDArray[np.float32]:
        """Return d[Fe/H] / d flux (dex, flux being 1 around 550 nm) for N stars in the recipe's pixels, (N, pixels).

        The flux is the networks' input: dereddened if the recipe removes dust.
        """
        (slopes,) = self._slopes(self._inputs(features))
        return slopes

    @cached_property
    def _slopes(self) -> Graph:
        return self._graph(SLOPES)

    def _check_golden_star(self) -> None:
        answer = golden_answer(self._columns, self.card.recipe, self.card.preprocess)
        if not agrees(answer, self.card.golden):
            raise ModelError(
                f"{self._folder}: predicts [Fe/H] {answer[0]} for the golden star, but its {CARD} has "
                f"{self.card.golden[0]}; the card was changed, or "
                "this machine computes wrongly: compare its versions with constraints.txt"
            )

    def _graph(self, name: str) -> Graph:
        content = read_file(self._folder, name, self.card)
        try:
            graph = Graph(content)
        except UserError as error:
            raise ModelError(f"{self._folder}/{name}: {error}; copy the bundle from its source again") from None
        if graph.widths["flux"] != (self.card.recipe.n_pixels,):
            raise ModelError(f"{self._folder}/{name}: does not fit the recipe; copy the bundle from its source again")
        return graph

    def _inputs(self, features: Features) -> dict[str, NDArray]:
        return network_inputs(features, self.card.recipe, self.card.preprocess)
