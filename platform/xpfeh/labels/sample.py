"""Labelled samples: features joined with labels, cut, and split by sky position."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xpfeh.columns import rows_of
from xpfeh.errors import UserError
from xpfeh.labels.cuts import training_cuts, usable
from xpfeh.labels.label_table import Labels
from xpfeh.large_arrays import MappedArray
from xpfeh.settings import SALT, PreprocessSettings
from xpfeh.tables.checks import IDS_PER_PIXEL, check_unique

Part = Literal["train", "validation", "test", "train-other", "validation-other", "test-other"]
LIKE_TEST: tuple[Part, ...] = ("train", "validation")
"""Stars that pass the paper's cuts, as the test stars do, and are not held out."""

TEST_FOLDS = 5
LAST_FOLD = TEST_FOLDS - 1
"""The fifth of the sky that is held out by default."""
_SPLIT_LEVEL = 5  # cells of 1.8 deg: stars of one cluster, and of one dust cloud, stay together
_IDS_PER_CELL = IDS_PER_PIXEL * 4 ** (12 - _SPLIT_LEVEL)
FEATURES = (
    "source_id", "b", "phot_g_mean_mag", "bp_rp0", "g0", "phot_bp_rp_excess_factor", "ebv", "m_g",
    "flux", "flux_error", "flags",
)  # fmt: skip
"""The columns of features that a sample needs."""
SPECTRA = ("flux", "flux_error")
"""Those of them that take nearly all the memory."""


@dataclass(frozen=True)
class FeaturesOrigin:
    """The origin of features: their folder or URI, what made them, and their total number of stars."""

    uri: str
    settings: PreprocessSettings
    fingerprint: str
    stars: int


class Split(BaseModel):
    """How the sky is divided into training, validation and test cells: see `split_by_sky`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    salt: str
    healpix_level: int
    test_fold: int

    @property
    def name(self) -> str:
        """Name of this split in a table: the salt, and the fold if it is not the last one."""
        return self.salt if self.test_fold == LAST_FOLD else f"{self.salt}, fold {self.test_fold}"


class SampleOrigin(BaseModel):
    """The inputs that a sample was made from.

    Attributes
    ----------
    preprocess : PreprocessSettings
        The settings of the features.
    features : str
        Fingerprint of the features' plan.
    labels_sha256 : str
    stars_left : dict of int
        Stars left after each cut, by its name.
    split : Split
    spectra_on_disk : bool
        Whether the spectra were in temporary files (``--memory``): networks then draw the stars in another order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preprocess: PreprocessSettings
    features: str
    labels_sha256: str
    stars_left: dict[str, int]
    split: Split
    spectra_on_disk: bool = False  # earlier cards lack it


@dataclass(frozen=True)
class Sample:
    """Stars with features and true [Fe/H].

    Attributes
    ----------
    columns : dict of (N, ...) arrays
        Feature columns plus ``feh``, ``feh_err``, ``logg``, ``teff``, ``alpha_m``, ``reference`` (text) and ``part``:
        "train", "validation" and "test" hold stars with [Fe/H] that pass the paper's cuts; "train-other",
        "validation-other" and "test-other" all others in the same sky: behind dust, near the plane, subgiants, dwarfs,
        odd photometry, stars without [Fe/H].
    origin : SampleOrigin
    """

    columns: dict[str, NDArray]
    origin: SampleOrigin

    def __len__(self) -> int:
        return len(self.columns["source_id"])

    def part(self, *parts: Part) -> Sample:
        """Return the stars of some parts of the split."""
        chosen = np.isin(self.columns["part"], parts)
        return Sample(rows_of(self.columns, chosen), self.origin)


@dataclass(frozen=True)
class LabelledStars:
    """Stars with a label and a usable spectrum, before the sky is split.

    Attributes
    ----------
    rows : (N,) intp
        Their rows in the features.
    columns : dict of (N,) arrays
        The columns of `Sample`, without spectra and ``part``.
    like_test : (N,) bool
        Which have [Fe/H] and pass the paper's cuts.
    stars_left : dict of int
        Stars left after each cut, by its name.
    features_origin : FeaturesOrigin
    labels_sha256 : str
    """

    rows: NDArray[np.intp]
    columns: dict[str, NDArray]
    like_test: NDArray[np.bool_]
    stars_left: dict[str, int]
    features_origin: FeaturesOrigin
    labels_sha256: str

    def reordered(self, order: NDArray[np.intp]) -> LabelledStars:
        """Return the same stars in another order."""
        columns = rows_of(self.columns, order)
        return replace(self, rows=self.rows[order], columns=columns, like_test=self.like_test[order])

    def split(self, spectra: Mapping[str, NDArray], salt: str = SALT, test_fold: int = LAST_FOLD) -> Sample:
        """Return them as a sample; samples split in different ways share their arrays.

        Parameters
        ----------
        spectra : mapping of (N, ...) arrays
            `SPECTRA`, in the order of `columns`.
        salt : str
            Names the split.
        test_fold : int
            Which fifth of the sky is held out.
        """
        part = split_by_sky(self.columns["source_id"], salt, test_fold)
        others = int((~self.like_test & (part != "test")).sum())
        origin = SampleOrigin(
            preprocess=self.features_origin.settings,
            features=self.features_origin.fingerprint,
            labels_sha256=self.labels_sha256,
            stars_left={**self.stars_left, "others: any giant or dwarf, behind any dust": others},
            split=Split(salt=salt, healpix_level=_SPLIT_LEVEL, test_fold=test_fold),
            spectra_on_disk=any(isinstance(values, MappedArray) for values in spectra.values()),
        )
        part = np.where(self.like_test, part, np.char.add(part, "-other"))
        return Sample({**self.columns, **spectra, "part": part}, origin)


def labelled_stars(features: Mapping[str, NDArray], features_origin: FeaturesOrigin, labels: Labels) -> LabelledStars:
    """Join features with labels, and apply the paper's cuts.

    Parameters
    ----------
    features : mapping of (N,) arrays
        `FEATURES`, of which `SPECTRA` are not used, of at least the stars that have a label.
    features_origin : FeaturesOrigin
    labels : Labels

    Raises
    ------
    UserError
        If no star has both features and a label, no star passes the cuts, or a labelled star is in the features twice.
    """
    check_unique(features["source_id"], features_origin.uri)
    _, in_features, in_labels = np.intersect1d(
        features["source_id"], labels.source_id, assume_unique=True, return_indices=True
    )
    if not in_features.size:
        raise UserError(
            f"{features_origin.uri}: none of its {features_origin.stars} stars has a label; do the source_ids agree?"
        )
    stars = {name: values[in_features] for name, values in features.items() if name not in SPECTRA}
    stars |= {
        name: getattr(labels, name)[in_labels] for name in ("feh", "feh_err", "logg", "teff", "alpha_m", "reference")
    }

    left = np.isfinite(stars["feh"])
    counts = {"features": features_origin.stars, "with a label": in_features.size, "with [Fe/H]": int(left.sum())}
    for name, passes in training_cuts(stars, stars["logg"]).items():
        left &= passes
        counts[name] = int(left.sum())
    if not left.any():
        listed = ", ".join(f"{step} {count}" for step, count in counts.items())
        raise UserError(f"{features_origin.uri}: no star passes the cuts: {listed}")
    kept = usable(stars)  # one of the cuts, so that no star in `left` is lost
    stars = rows_of(stars, kept)
    return LabelledStars(in_features[kept], stars, left[kept], counts, features_origin, labels.fingerprint)


def split_by_sky(source_id: NDArray[np.int64], salt: str, test_fold: int = LAST_FOLD) -> NDArray[np.str_]:
    """Return the part of each star, 70 % "train", 10 % "validation", 20 % "test", by HEALPix cell.

    All stars of a cell (level 5, 1.8 deg) are in the same part, whatever other stars there are. The test cells of the
    five folds of a salt, 0 to 4, together cover the whole sky, each cell once.

    >>> split_by_sky(np.array([4295806720, 34361129088]), "xpfeh").tolist()  # two stars of one cell
    ['test', 'test']
    """
    uniform = (_uniform_by_cell(source_id, salt) + (LAST_FOLD - test_fold) / TEST_FOLDS) % 1
    return np.select([uniform < 0.7, uniform < 0.8], ["train", "validation"], "test")


def folds_by_sky(source_id: NDArray[np.int64], salt: str, folds: int) -> NDArray[np.int64]:
    """Return one of `folds` equal parts for each star, the same for all stars of a HEALPix cell."""
    return np.minimum((_uniform_by_cell(source_id, salt) * folds).astype(np.int64), folds - 1)


def _uniform_by_cell(source_id: NDArray[np.int64], salt: str) -> NDArray[np.float64]:
    """Return (N,) numbers from 0 to 1, the same for all stars of a cell."""
    cell = (source_id // _IDS_PER_CELL).astype(np.uint64)
    key = np.uint64(int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "little"))
    return _mix(cell ^ _mix(np.atleast_1d(key))) / np.float64(2**64)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele et al. 2014, DOI 10.1145/2714064.2660195): a fixed, even hash."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
