"""The stars of a report: those that have a label, are in a reference catalog, or belong to a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xpfeh.columns import rows_of, to_arrays
from xpfeh.commands.read_sample import origin_of
from xpfeh.dataset.dataset import Dataset
from xpfeh.errors import UserError
from xpfeh.grid import N_SAMPLES
from xpfeh.inference.cross_validated import CrossValidated
from xpfeh.labels.clusters import Members, members, read_clusters
from xpfeh.labels.label_table import Labels, read_labels
from xpfeh.labels.reference_catalogs import reference_of
from xpfeh.labels.references import ReferenceStars, match_to_gaia, read_reference
from xpfeh.labels.sample import FEATURES, SPECTRA, LabelledStars, Sample, labelled_stars
from xpfeh.large_arrays import in_memory
from xpfeh.training.blocks import blocks
from xpfeh.typing import Columns

_PLACES = ("source_id", "ra", "dec", "g0", "bp_rp0")
_COLUMNS = (*(name for name in FEATURES if name not in SPECTRA), "ra", "dec", "l", "rgeo")
_NUMBERS_OF_LABELS = ("feh", "feh_err", "logg", "teff", "alpha_m")


@dataclass(frozen=True)
class Comparisons:
    """What a report compares with, apart from the labels.

    Attributes
    ----------
    references : mapping of Path
        Files of reference catalogs, by names known to `xpfeh.labels.references.read_reference`.
    clusters : Path, optional
        A table for `xpfeh.labels.clusters.read_clusters`.
    catalog : str, optional
        Folder or URI of a catalog, for the section on the final sample.
    baseline : bool
        Also train XGBoost on the same folds and judge it.
    earlier, neighbourhood : Path, optional
        An earlier report on the same stars, and, if it is on the previous data release, the archive's table that
        matches the stars of both.
    """

    references: Mapping[str, Path] = field(default_factory=dict)
    clusters: Path | None = None
    catalog: str | None = None
    baseline: bool = False
    earlier: Path | None = None
    neighbourhood: Path | None = None

    def check(self) -> None:
        """Refuse names of catalogs and files that do not exist, before anything is computed.

        Raises
        ------
        UserError
            Shows the first refused name, or missing file.
        """
        for name in self.references:
            reference_of(name)
        for path in (*self.references.values(), self.clusters, self.earlier, self.neighbourhood):
            if path is not None and not path.exists():
                raise UserError(f"{path}: no such file")


NOTHING = Comparisons()


@dataclass(frozen=True)
class Given:
    """The stars of a report, and what they are compared with.

    Attributes
    ----------
    stars : mapping of (N, ...) arrays
        Features, labels (NaN where a star has none), ``snr`` and ``judges``, in the order of their identifiers.
    labelled : LabelledStars
        Those with a label and a usable spectrum.
    places : mapping of arrays
        Identifier and position of every star of the features; empty if nothing is matched by position.
    references : sequence of (ReferenceStars, polars.DataFrame)
        Each catalog, and its stars among those of the features.
    clusters : sequence of Members, optional
    """

    stars: Columns
    labelled: LabelledStars
    places: Columns
    references: Sequence[tuple[ReferenceStars, pl.DataFrame]]
    clusters: Sequence[Members] | None

    @classmethod
    def read(
        cls, models: Mapping[str, CrossValidated], features: str | Path, labels: str | Path, comparisons: Comparisons
    ) -> Given:
        """Read the stars that have a label, are in a reference catalog, or belong to a cluster."""
        _check_one_split(models)
        dataset = Dataset.finished(features, "features")
        for judge in models.values():
            judge.check_features(dataset.plan.settings, "the features")
        table = read_labels(labels)
        by_place = comparisons.references or comparisons.clusters
        places = to_arrays(dataset.read(_PLACES)) if by_place else {}
        references = []
        for name, path in comparisons.references.items():
            found = read_reference(name, path)
            references.append((found, match_to_gaia(found, places, dataset.plan.settings.release)))
        clusters = None
        if comparisons.clusters is not None:
            clusters = [members(each, places) for each in read_clusters(comparisons.clusters)]
        others = [matched["source_id"].to_numpy() for _, matched in references]
        others += [places["source_id"][each.rows] for each in clusters or ()]
        wanted = np.unique(np.concatenate([table.source_id, *others]))
        stars = to_arrays(dataset.read(_COLUMNS, wanted))
        stars = rows_of(stars, np.argsort(stars["source_id"]))
        labelled = labelled_stars(stars, origin_of(dataset), table)
        ids = labelled.columns["source_id"]
        stars = _with_labels(rows_of(stars, np.isin(stars["source_id"], np.concatenate([ids, *others]))), table)
        stars["judges"] = np.isin(stars["source_id"], ids[labelled.like_test])
        spectra = {name: in_memory((len(stars["source_id"]), N_SAMPLES)) for name in SPECTRA}
        dataset.read_lists(stars["source_id"], spectra)
        stars |= {**spectra, "snr": _signal_to_noise(**spectra)}
        return cls(stars, labelled, places, references, clusters)

    def sample(self, salt: str, test_fold: int) -> Sample:
        """Return the labelled sample with a fifth of the sky held out."""
        rows = np.searchsorted(self.stars["source_id"], self.labelled.columns["source_id"])
        return self.labelled.split({name: self.stars[name][rows] for name in SPECTRA}, salt, test_fold)


def _signal_to_noise(flux: NDArray, flux_error: NDArray) -> NDArray[np.float32]:
    """Return the (N,) medians over each spectrum."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.concatenate(
            [np.median(flux[rows] / flux_error[rows], axis=1) for rows in blocks(np.arange(len(flux)))]
        )


def _check_one_split(models: Mapping[str, CrossValidated]) -> None:
    salts = {judge.salt for judge in models.values()}
    if len(salts) > 1:
        raise UserError(f"the models were trained on different splits of the sky ({', '.join(sorted(salts))})")


def _with_labels(stars: Columns, labels: Labels) -> dict[str, NDArray]:
    place = np.searchsorted(labels.source_id, stars["source_id"], sorter=(order := np.argsort(labels.source_id)))
    row = order[np.minimum(place, len(order) - 1)]
    known = labels.source_id[row] == stars["source_id"]
    columns = {name: np.where(known, getattr(labels, name)[row], np.nan) for name in _NUMBERS_OF_LABELS}
    return {**stars, **columns, "reference": np.where(known, labels.reference[row], "")}
