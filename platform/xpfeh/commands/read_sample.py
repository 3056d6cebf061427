"""The stars that have both features and labels, which several commands start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpfeh.columns import to_arrays
from xpfeh.dataset.dataset import Dataset
from xpfeh.grid import N_SAMPLES
from xpfeh.labels.label_table import read_labels
from xpfeh.labels.sample import FEATURES, LAST_FOLD, SPECTRA, FeaturesOrigin, Sample, labelled_stars
from xpfeh.large_arrays import in_memory, on_disk
from xpfeh.settings import SALT, check_name

_STRETCH_OF_SKY = 32_768  # stars: a quarter of what a network is trained on between two validations


def read_sample(features: str | Path, labels: str | Path, salt: str = SALT, memory_gb: float | None = None) -> Sample:
    """Return the labelled stars of a features dataset, the last fifth of the sky held out.

    Only their rows are read.

    Parameters
    ----------
    features : str or Path
    labels : str or Path
    salt : str
        Names the split of the sky.
    memory_gb : float, optional
        Larger spectra are stored in a temporary file and read from it as needed; by default all are in memory.

    Raises
    ------
    UserError
        If the features are incomplete, the labels cannot be read, no star has both and passes the cuts, or the disk of
        the temporary file is too small.
    """
    (sample,) = read_samples(features, labels, salt, [LAST_FOLD], memory_gb)
    return sample


def read_samples(
    features: str | Path, labels: str | Path, salt: str, test_folds: Iterable[int], memory_gb: float | None = None
) -> Iterator[Sample]:
    """Yield the same stars, read once, each given fifth of the sky (0 to 4) held out in turn; see `read_sample`."""
    check_name("--salt", salt)
    labelled = read_labels(labels)
    dataset = Dataset.finished(features, "features")
    numbers = dataset.read([name for name in FEATURES if name not in SPECTRA], labelled.source_id)
    stars = labelled_stars(to_arrays(numbers), origin_of(dataset), labelled)
    shape = (len(stars.rows), N_SAMPLES)
    fits = memory_gb is None or len(SPECTRA) * np.dtype(np.float32).itemsize * np.prod(shape) <= memory_gb * 1e9
    if not fits:
        stars = stars.reordered(_mixed(len(stars.rows)))
    spectra = {name: in_memory(shape) if fits else on_disk(shape) for name in SPECTRA}
    dataset.read_lists(stars.columns["source_id"], spectra)
    for test_fold in test_folds:
        yield stars.split(spectra, salt, test_fold)


def _mixed(stars: int) -> NDArray[np.intp]:
    """Return an order in which neighbours in a file come from all over the sky, so that training reads it in order.

    Within a stretch the order is kept: what is read in the order of the sky is then written in a few places at a time.
    """
    stretch = np.random.default_rng(0).permutation(stars) // _STRETCH_OF_SKY
    return np.argsort(stretch, kind="stable")


def origin_of(dataset: Dataset) -> FeaturesOrigin:
    """Return the origin of a features dataset's stars."""
    stars = sum(record.rows_written for record in dataset.records())
    return FeaturesOrigin(str(dataset.uri), dataset.plan.settings, dataset.plan.fingerprint(), stars)
