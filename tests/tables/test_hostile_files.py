"""Malicious files: for every reader the same guards refuse them, at once and in little memory."""

import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from xpfeh.errors import InputError
from xpfeh.labels.label_table import read_labels
from xpfeh.sources import reader
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.sources.companions import Companions
from xpfeh.sources.gaia_files import GaiaFile
from xpfeh.sources.library import Library
from xpfeh.tables.reading import read_table

LARGEST_PEAK_BYTES = 50e6  # importing aside; unguarded, each of these files takes gigabytes

NUMBERS = ("ra", "dec", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "rgeo", "feh")


def table(rows: int = 100) -> bytes:
    """A table that all readers but the library's would take, with an array of variable length."""
    lists = np.empty(rows, dtype=object)
    lists[:] = [np.zeros(1000)] * rows
    columns = [
        fits.Column("source_id", "K", array=np.arange(1, rows + 1)),
        *(fits.Column(name, "D", array=np.ones(rows)) for name in NUMBERS),
        *(fits.Column(name, "PD()", array=lists) for name in LIST_COLUMNS),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(file := io.BytesIO())
    return file.getvalue()


def with_card(name: str, value: int) -> Callable[[bytes], bytes]:
    """Change a number in the header of the table."""

    def change(content: bytes) -> bytes:
        place = content.index(f"{name:8}=".encode(), 2880)
        return content[:place] + f"{name:8}= {value:>20}".encode().ljust(80) + content[place + 80 :]

    return change


def sharing(content: bytes) -> bytes:
    """Let each array of variable length be the whole heap: 600 arrays of 5 MB."""
    with fits.open(io.BytesIO(content)) as units:
        offset, heap = units[1].fileinfo()["datLoc"], units[1].header["PCOUNT"]
        row, dtype = units[1].header["NAXIS1"], units[1].columns.dtype
    changed = bytearray(content)
    rows = np.frombuffer(changed, np.uint8, 100 * row, offset).reshape(100, row)
    for name in LIST_COLUMNS:
        at = dtype.fields[name][1]
        rows[:, at : at + 8] = np.array([heap // 8, 0], ">i4").view(np.uint8)
    return bytes(changed)


FITS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a billion axes": (with_card("NAXIS", 9_999_999_990), "NAXIS is above 999"),
    "a billion columns": (with_card("TFIELDS", 9_999_999_990), "TFIELDS is above 999"),
    "a trillion rows": (with_card("NAXIS2", 10**12), "not a FITS file with a valid table"),
    "rows of a trillion bytes": (with_card("NAXIS1", 10**12), "not a FITS file with a valid table"),
    "a heap of a trillion bytes": (with_card("PCOUNT", 10**12), "not a FITS file with a valid table"),
    "cut short": (lambda content: content[:-2880], "not a FITS file with a valid table"),
    "arrays that share their bytes": (sharing, "arrays of variable length are larger than the file"),
}
READ: dict[str, Callable[[str], object]] = {
    "a table": read_table,
    "spectra": lambda path: list(GaiaFile(path).read()),
    "the kind of spectra": lambda path: [file.ranges() for file in reader.find_spectra(path)],
    "the library's layout": lambda path: Library(path).ranges(),
    "photometry": lambda path: Companions([path], []).check(),
    "distances": lambda path: Companions([], [path]).check(),
    "labels": read_labels,
}


def refused(read: Callable[[str], object], path: Path, message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message) as error:
            read(str(path))
        assert tracemalloc.get_traced_memory()[1] < LARGEST_PEAK_BYTES
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("who", READ)
@pytest.mark.parametrize("fault", FITS)
def test_fits(tmp_path: Path, fault: str, who: str) -> None:
    change, message = FITS[fault]
    path = tmp_path / "stars.fits"
    path.write_bytes(change(table()))
    refused(READ[who], path, message)


@pytest.mark.parametrize("who", READ)
def test_gzipped_fits(tmp_path: Path, who: str) -> None:
    change, message = FITS["a billion columns"]
    path = tmp_path / "stars.fits.gz"
    path.write_bytes(gzip.compress(change(table())))
    refused(READ[who], path, message)


@pytest.mark.parametrize("who", ["a table", "photometry", "distances", "labels"])
def test_hdf5_of_a_terabyte(tmp_path: Path, who: str) -> None:
    """Chunks that were never written take no bytes."""
    path = tmp_path / "stars.h5"
    with h5py.File(path, "w") as file:
        for name in ("source_id", *NUMBERS):
            file.create_dataset(name, (10**11,), dtype="f8", chunks=(1000,))
    refused(READ[who], path, "its datasets are larger than the file can hold")
