from __future__ import annotations

import errno
import gc
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.large_arrays import MappedArray, in_memory, on_disk


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_another_process_opens_the_same_file() -> None:
    array = on_disk((1000, 343))
    array[:] = np.arange(343)
    sent = pickle.dumps(array, protocol=5)
    assert len(sent) < 1000
    other = pickle.loads(sent)
    np.testing.assert_array_equal(other, array)
    array[3, 4] = -1
    assert other[3, 4] == -1
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(other)[0, 0] = 1


def test_rows_are_written_in_any_order() -> None:
    array, rng = on_disk((1000, 5)), np.random.default_rng(0)
    expected = rng.normal(size=(1000, 5)).astype(np.float32)
    for rows in [*np.array_split(rng.permutation(900), 7), np.arange(900, 1000)]:
        array[rows] = expected[rows]
    np.testing.assert_array_equal(array, expected)


def test_rows_and_views_are_sent_by_value() -> None:
    array = on_disk((4, 3))
    array[:] = np.arange(12).reshape(4, 3)
    for part in (array[1:3], array[[2, 0]], array.T):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(part, protocol=5)), part)
    assert isinstance(array, MappedArray)
    assert not isinstance(array[[2, 0]], MappedArray)
    assert not isinstance(in_memory((4, 3)), MappedArray)


def test_the_file_is_deleted_with_the_array(folder: Path) -> None:
    array = on_disk((10, 10))
    (file,) = folder.iterdir()
    assert file.stat().st_size == 400
    del array
    gc.collect()
    assert not list(folder.iterdir())


def test_a_full_disk_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"no room for 2.7 GB \(No space left on device\); choose another by TMPDIR"):
        on_disk((2_000_000, 343))
    assert not list(folder.iterdir())


def test_a_file_of_another_machine_is_one_line(folder: Path) -> None:
    array = on_disk((10, 10))
    sent = pickle.dumps(array, protocol=5)
    (file,) = folder.iterdir()
    file.unlink()
    with pytest.raises(UserError, match="not found on this machine; set TMPDIR to a folder that all machines share"):
        pickle.loads(sent)


def test_memory_is_aligned_for_tensorflow() -> None:
    assert in_memory((7, 343)).ctypes.data % 64 == 0
    assert on_disk((7, 343)).ctypes.data % 64 == 0
