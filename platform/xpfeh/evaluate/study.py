"""The input of a report: models' predictions for stars that they have not seen, and the labels of these stars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.evaluate.metrics import sliced_summary
from xpfeh.evaluate.slices import slices_of
from xpfeh.inference.card import ModelCard
from xpfeh.labels.clusters import Members
from xpfeh.typing import Columns


@dataclass(frozen=True)
class Judged:
    """A model and its predictions. In a cross-validated recipe, each star is predicted by the model for its fold.

    Attributes
    ----------
    cards : sequence of ModelCard
        Several for a cross-validated recipe; none for a baseline.
    unseen : mapping of (N, ...) arrays
        Stars whose part of the sky the model has not seen: the columns of features and labels without spectra,
        ``snr``, the predictor's columns, ``flags`` as in a catalog, and ``judges`` (bool): labelled giants that pass
        the paper's cuts. The others have no label, are behind more dust or near the plane, or are dwarfs.
    in_sample : mapping of (K,) arrays
        ``source_id``, ``feh`` and ``FEH`` of the model's training stars; may be empty.
    fainter : mapping of mappings
        The judging stars made fainter, by a name: ``feh`` and the predictor's columns.
    """

    cards: Sequence[ModelCard]
    unseen: Columns
    in_sample: Columns = field(default_factory=dict)
    fainter: Mapping[str, Columns] = field(default_factory=dict)

    @cached_property
    def stars(self) -> dict[str, NDArray]:
        """The judging stars, the source of all the model's numbers unless stated otherwise."""
        return rows_of(self.unseen, self.unseen["judges"])

    @cached_property
    def labelled(self) -> dict[str, NDArray]:
        """Every labelled star of the whole sky: giants behind any amount of dust, dwarfs, and the judging stars."""
        return rows_of(self.unseen, np.isfinite(self.unseen["feh"]))

    @cached_property
    def chosen(self) -> dict[str, NDArray[np.bool_]]:
        """Which of the judging stars are in each of `xpfeh.evaluate.slices.slices_of`."""
        return slices_of(self.stars)

    @cached_property
    def slices(self) -> dict[str, dict[str, float]]:
        """`xpfeh.evaluate.metrics.sliced_summary` of the judging stars."""
        return sliced_summary(self.stars)


@dataclass(frozen=True)
class Compared:
    """A catalog from the literature, or another one based on XP spectra, and the model's predictions for its stars.

    Attributes
    ----------
    name, title : str
    is_truth : bool
        Whether its [Fe/H] comes from spectroscopy; otherwise it is a peer.
    stars : mapping of (N,) arrays
        As in `Judged.unseen`, with ``feh`` the reference's, ``feh_label`` the label's, and ``c_fe``, [C/Fe], where the
        reference has it.
    counts : mapping of int
        Its rows after each cut.
    """

    name: str
    title: str
    is_truth: bool
    stars: Columns
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Spectra:
    """Spectra of the first model's judging stars, and how its [Fe/H] depends on them.

    Attributes
    ----------
    flux : (N, 343) float32
        As observed.
    inputs : (N, pixels) float32
        The networks' input.
    slopes : (N, pixels) float32
        d[Fe/H] / d flux, with respect to ``inputs``.
    """

    flux: NDArray[np.float32]
    inputs: NDArray[np.float32]
    slopes: NDArray[np.float32]


@dataclass(frozen=True)
class Study:
    """The input of a report.

    Attributes
    ----------
    models : mapping of Judged
        By name; figures show the first.
    spectra : Spectra
    truth : str
        Name of the labels in text.
    looks : int or None
        Number of looks at these stars so far, including this one; None if looks are not counted.
    references : sequence of Compared
    absent : mapping of str
        What to download for the reference catalogs not provided, by their titles.
    clusters : sequence of Members, optional
        Their rows refer to the first model's `Judged.unseen`; None if no table of clusters was provided.
    catalog : polars.DataFrame, optional
        Columns of a model's catalog, for the final sample.
    earlier : polars.DataFrame, optional
        The judging stars that are also in an earlier report, as returned by `xpfeh.evaluate.paired.in_both`.
    """

    models: Mapping[str, Judged]
    spectra: Spectra
    truth: str
    looks: int | None = None
    references: Sequence[Compared] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    clusters: Sequence[Members] | None = None
    catalog: pl.DataFrame | None = None
    earlier: pl.DataFrame | None = None

    @property
    def first(self) -> Judged:
        """The model that figures show."""
        return next(iter(self.models.values()))
