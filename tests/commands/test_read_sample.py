from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from xpfeh.columns import to_arrays
from xpfeh.commands.read_sample import _mixed, read_sample
from xpfeh.dataset.dataset import Dataset
from xpfeh.errors import UserError
from xpfeh.labels.sample import SPECTRA, Sample
from xpfeh.large_arrays import MappedArray


@pytest.fixture
def on_disk(features_dir: Path, labels_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sample:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return read_sample(features_dir, labels_file, memory_gb=0)


def test_each_star_gets_its_own_spectrum(sample: Sample, features_dir: Path) -> None:
    features = to_arrays(Dataset.at(features_dir).read(["source_id", *SPECTRA]))
    order = np.argsort(features["source_id"])
    rows = order[np.searchsorted(features["source_id"], sample.columns["source_id"], sorter=order)]
    for name in SPECTRA:
        np.testing.assert_array_equal(sample.columns[name], features[name][rows])


def test_a_sample_on_disk_has_the_same_stars_in_another_order(sample: Sample, on_disk: Sample, tmp_path: Path) -> None:
    assert len(list(tmp_path.iterdir())) == 2
    assert on_disk.origin == sample.origin.model_copy(update={"spectra_on_disk": True})
    order = np.argsort(on_disk.columns["source_id"])
    for name, values in sample.columns.items():
        np.testing.assert_array_equal(on_disk.columns[name][order], values)
    assert {name for name, values in on_disk.columns.items() if isinstance(values, MappedArray)} == set(SPECTRA)


def test_memory_that_suffices_is_used(features_dir: Path, labels_file: Path, sample: Sample) -> None:
    needed = sum(sample.columns[name].nbytes for name in SPECTRA) / 1e9
    assert not isinstance(read_sample(features_dir, labels_file, memory_gb=needed * 1.01).columns["flux"], MappedArray)
    assert isinstance(read_sample(features_dir, labels_file, memory_gb=needed * 0.99).columns["flux"], MappedArray)


def test_neighbours_in_a_file_come_from_all_over_the_sky() -> None:
    order = _mixed(200_000)
    assert np.array_equal(np.sort(order), np.arange(200_000))
    for start in range(0, 190_000, 32_768):
        stretch = order[start : start + 32_768]
        assert (np.diff(stretch) > 0).all()  # written in the order in which they are read
        assert np.histogram(stretch, 20, (0, 200_000))[0].min() > len(stretch) / 30


def test_a_part_that_changes_while_it_is_read_is_reported(
    features_dir: Path, labels_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Dataset.read_lists

    def of_other_stars(self: Dataset, source_ids: np.ndarray, into: dict[str, np.ndarray]) -> None:
        real(self, np.concatenate([[1], source_ids[1:]]), into)

    monkeypatch.setattr(Dataset, "read_lists", of_other_stars)
    with pytest.raises(UserError, match="stars were found when reading their spectra; was a part changed"):
        read_sample(features_dir, labels_file)
