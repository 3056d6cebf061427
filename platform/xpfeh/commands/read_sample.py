"""The stars that have both features and labels, which several commands start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from xpfeh.columns import rows_of_lists, to_arrays
from xpfeh.dataset.dataset import Dataset
from xpfeh.labels.label_table import read_labels
from xpfeh.labels.sample import FEATURES, LAST_FOLD, SPECTRA, FeaturesOrigin, Sample, labelled_stars
from xpfeh.settings import SALT, check_name


def read_sample(features: str | Path, labels: str | Path, salt: str = SALT) -> Sample:
    """Return the labelled stars of a features dataset, the last fifth of the sky held out.

    Only their rows are read into memory.

    Parameters
    ----------
    features : str or Path
    labels : str or Path
    salt : str
        Names the split of the sky.

    Raises
    ------
    UserError
        If the features are incomplete, the labels cannot be read, or no star has both and passes the cuts.
    """
    (sample,) = read_samples(features, labels, salt, [LAST_FOLD])
    return sample


def read_samples(features: str | Path, labels: str | Path, salt: str, test_folds: Iterable[int]) -> Iterator[Sample]:
    """Yield the same stars, read once, each given fifth of the sky (0 to 4) held out in turn; see `read_sample`."""
    check_name("--salt", salt)
    labelled = read_labels(labels)
    dataset = Dataset.finished(features, "features")
    table = dataset.read(FEATURES, labelled.source_id)
    stars = labelled_stars(to_arrays(table.drop_columns(SPECTRA)), origin_of(dataset), labelled)
    spectra = {}
    for name in SPECTRA:
        spectra[name] = rows_of_lists(table[name], stars.rows)
        table = table.drop_columns(name)
        pa.default_memory_pool().release_unused()  # before the next one is copied
    for test_fold in test_folds:
        yield stars.split(spectra, salt, test_fold)


def origin_of(dataset: Dataset) -> FeaturesOrigin:
    """Return the origin of a features dataset's stars."""
    stars = sum(record.rows_written for record in dataset.records())
    return FeaturesOrigin(str(dataset.uri), dataset.plan.settings, dataset.plan.fingerprint(), stars)
