"""All that a report is made of: what models say of stars that they have not seen, and what is known of these stars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.evaluate.metrics import sliced_summary
from xpfeh.evaluate.slices import slices_of
from xpfeh.inference.card import ModelCard
from xpfeh.labels.clusters import Members

Stars = Mapping[str, NDArray]


@dataclass(frozen=True)
class Judged:
    """What one model says.

    Attributes
    ----------
    cards : sequence of ModelCard
        Several of a cross-validated recipe; a baseline has none.
    asked : mapping of (N, ...) arrays
        Stars whose part of the sky the model that answers has not seen: the columns of features and labels without
        spectra, ``snr``, the predictor's columns, ``flags`` as in a catalog, and ``judges`` (bool): labelled giants
        that pass the paper's cuts. The others have no label, lie behind more dust or near the plane, or are dwarfs.
    in_sample : mapping of (K,) arrays
        ``source_id``, ``feh`` and ``FEH`` of stars that the model that answers has learnt from; empty if none.
    fainter : mapping of mappings
        The judging stars made fainter, by what they are called: ``feh`` and the predictor's columns.
    """

    cards: Sequence[ModelCard]
    asked: Stars
    in_sample: Stars = field(default_factory=dict)
    fainter: Mapping[str, Stars] = field(default_factory=dict)

    @cached_property
    def stars(self) -> dict[str, NDArray]:
        """The judging stars: those that every number of the model comes from, unless it says otherwise."""
        return rows_of(self.asked, self.asked["judges"])

    @cached_property
    def labelled(self) -> dict[str, NDArray]:
        """Every star with a label, of the whole sky: giants behind any dust, dwarfs, and the judging stars too."""
        return rows_of(self.asked, np.isfinite(self.asked["feh"]))

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
    """A catalog of the literature, or another answer from XP spectra, with the stars that the model was asked about.

    Attributes
    ----------
    name, title : str
    is_truth : bool
        Whether its [Fe/H] comes from spectroscopy; else it is a peer.
    stars : mapping of (N,) arrays
        The model's answers as in `Judged.asked`, with ``feh`` the reference's, ``feh_label`` the label's, and ``c_fe``,
        [C/Fe], where the reference has it.
    counts : mapping of int
        Its rows after each cut.
    """

    name: str
    title: str
    is_truth: bool
    stars: Stars
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Spectra:
    """Spectra of the first model's judging stars, and what its answers rest on.

    Attributes
    ----------
    flux : (N, 343) float32
        As observed.
    taken : (N, pixels) float32
        As the networks take it.
    slopes : (N, pixels) float32
        d[Fe/H] / d flux, of the flux as taken.
    """

    flux: NDArray[np.float32]
    taken: NDArray[np.float32]
    slopes: NDArray[np.float32]


@dataclass(frozen=True)
class Study:
    """All that a report is made of.

    Attributes
    ----------
    models : mapping of Judged
        By name; the first is the one that pictures show.
    spectra : Spectra
    truth : str
        What the labels are called.
    looks : int or None
        How often these stars were looked at so far, this time included, where that is counted.
    references : sequence of Compared
    absent : mapping of str
        What to download for the reference catalogs that were not given, by their titles.
    clusters : sequence of Members, optional
        Their rows are of the first model's `Judged.asked`; None if no table of clusters was given.
    catalog : polars.DataFrame, optional
        Columns of a catalog of a model, for the final sample.
    earlier : polars.DataFrame, optional
        The judging stars that an earlier report has too, as `xpfeh.evaluate.paired.in_both` gives them.
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
        """The model that pictures show."""
        return next(iter(self.models.values()))


def rows_of(stars: Stars, rows: NDArray) -> dict[str, NDArray]:
    """Return some of the stars: by (N,) bool or by row numbers.

    Examples
    --------
    >>> rows_of({"feh": np.array([-1.0, -2.0])}, np.array([False, True]))
    {'feh': array([-2.])}
    """
    return {name: values[rows] for name, values in stars.items()}
