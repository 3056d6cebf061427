"""The stars that have both features and labels, which several commands start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from xpfeh.columns import rows_of_lists, to_arrays
from xpfeh.dataset.dataset import Dataset
from xpfeh.labels.label_table import Labels, read_labels
from xpfeh.labels.sample import FEATURES, LAST_FOLD, SPECTRA, FeaturesOrigin, Sample, labelled_stars
from xpfeh.settings import SALT, check_name


def read_sample(
    features: str | Path, labels: str | Path | Labels, salt: str = SALT, test_fold: int = LAST_FOLD
) -> Sample:
    """Return the labelled stars of a features dataset; only their rows are read into memory.

    Parameters
    ----------
    features : str or Path
    labels : str, Path or Labels
    salt : str
        Names the split of the sky.
    test_fold : int
        Which fifth of the sky is held out, 0 to 4.

    Raises
    ------
    UserError
        If the features are incomplete, the labels cannot be read, or no star has both and passes the cuts.
    """
    (sample,) = read_samples(features, labels, salt, [test_fold])
    return sample


def read_samples(
    features: str | Path, labels: str | Path | Labels, salt: str, test_folds: Iterable[int]
) -> Iterator[Sample]:
    """Yield the same stars, read once, with each given fifth of the sky held out in turn; else as `read_sample`."""
    check_name("--salt", salt)
    read = labels if isinstance(labels, Labels) else read_labels(labels)
    dataset = Dataset.finished(features, "features")
    table = dataset.read(FEATURES, read.source_id)
    stars = labelled_stars(to_arrays(table.drop_columns(SPECTRA)), origin_of(dataset), read)
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
