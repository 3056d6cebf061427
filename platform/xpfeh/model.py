"""A model, with the calls that users make of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpfeh.commands.in_memory import table_of
from xpfeh.commands.predict import catalog_rows, sensitivity_rows
from xpfeh.experiments.models import bundle_folder
from xpfeh.inference.card import ModelCard
from xpfeh.inference.predictor import Predictor

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure


class Model:
    """A trained model, loaded once. `xpfeh.predict`, `xpfeh.sensitivity` and `xpfeh.plot` describe the arguments.

    Parameters
    ----------
    model : str or Path
        As `xpfeh.load_model` takes it.

    Examples
    --------
    >>> Model("pretrained").card.recipe.name
    'best'
    """

    def __init__(self, model: str | Path) -> None:
        self._predictor = Predictor(bundle_folder(model))

    @property
    def card(self) -> ModelCard:
        """What it was trained on, and its numbers on held-out stars."""
        return self._predictor.card

    @property
    def version(self) -> str:
        """Its recipe, and the first 12 digits of the SHA-256 of its content."""
        return self._predictor.version

    def predict(self, stars: Any, photometry: Any = None, distances: Any = None, dust_map: str | None = None) -> Table:
        """Return [Fe/H] with its errors for each star; see `xpfeh.predict`."""
        settings = self._predictor.preprocess_by(dust_map)
        return table_of(stars, settings.release, photometry, distances, catalog_rows(self._predictor, settings))

    def sensitivity(self, stars: Any, photometry: Any = None, distances: Any = None) -> Table:
        """Return which wavelengths each star's [Fe/H] depends on; see `xpfeh.sensitivity`."""
        release = self.card.preprocess.release
        return table_of(stars, release, photometry, distances, sensitivity_rows(self._predictor))

    def plot(
        self, stars: Any, source_id: int | str | None = None, photometry: Any = None, distances: Any = None
    ) -> Figure:
        """Return a figure of one star; see `xpfeh.plot`."""
        from xpfeh.commands.plot import star_picture  # Matplotlib, which only figures need

        return star_picture(stars, source_id, self._predictor, photometry, distances)
