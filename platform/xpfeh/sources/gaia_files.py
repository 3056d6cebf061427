"""Gaia's files of XP spectra, continuous or sampled: bulk ECSV, DataLink CSV, ECSV, FITS, VOTable, and Parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq

from xpfeh.errors import InputError, UserError
from xpfeh.files import absolute, filesystem
from xpfeh.releases import release_named, releases_of
from xpfeh.sources.coefficients import RawBatch, coefficients_per_star, to_batch
from xpfeh.sources.gaia_tables import parquet_ranges, read_fits, read_parquet, read_votable
from xpfeh.sources.gaia_text import read_text
from xpfeh.sources.input_files import FITS, PARQUET, TEXT, readable
from xpfeh.sources.samples import check_one_spectrum_each, is_sampled, to_sampled_batch
from xpfeh.tables.gunzip import gunzip, gunzip_beginning, suffix_of
from xpfeh.xp.bases import BANDS

_HEADER_BYTES = 1 << 16  # Gaia's headers have about 20 kB
# As `xpfeh spectra` records it, in any format.
_PROCESSED = re.compile(r"\bstage\W+(?:value\W+)?(corrected|dereddened)", re.IGNORECASE)


class GaiaFile:
    """A file of XP mean spectra as Gaia's archive provides them: coefficients, or samples, in one row for each star.

    Parameters
    ----------
    path : str
        Local path or URI; the suffix determines the format, the content whether it is gzip.

    Examples
    --------
    >>> GaiaFile("s3://gaia/XpContinuousMeanSpectrum_000000-003111.csv.gz").ranges()
    [(0, None)]
    """

    takes_companions = True

    def __init__(self, path: str) -> None:
        self.path = self.location = absolute(path)
        self._suffix = suffix_of(path)

    @cached_property
    def releases(self) -> tuple[str, ...]:
        """The data release named in the file's header, or else those that have its numbers of coefficients.

        Empty if the spectra are sampled. Only the rows up to the first with both bands are read. If every star lacks a
        band, the other one decides.

        Raises
        ------
        UserError
            If the file is empty or unreadable, no release has these numbers, or the named release has others.
        """
        widths: dict[str, int] = {}
        stars, sampled = 0, False
        for table in self._tables():
            stars += table.num_rows
            sampled = is_sampled(table.column_names)
            for band in () if sampled else BANDS:
                if band not in widths and (width := coefficients_per_star(table[f"{band}_coefficients"], band)):
                    widths[band] = width
            if len(widths) == len(BANDS) or (sampled and stars):
                break
        if not stars:
            raise InputError(f"{self.path}: holds no star")
        if sampled:
            self._check_samples()
            return ()
        try:
            found = releases_of(*(widths.get(band) for band in BANDS))
        except UserError as error:
            raise InputError(f"{self.path}: {error}") from None
        named = release_named(self._header())
        if named and named not in found:
            numbers = " and ".join(map(str, widths.values()))
            raise InputError(
                f"{self.path}: its header names Gaia {named.upper()}, but its {numbers} coefficients are "
                f"{found[0].upper()}'s; check with xpfeh probe {named}"
            )
        return (named,) if named else found

    def ranges(self) -> list[tuple[int, int | None]]:
        """Return whole row groups of a large Parquet file as (first row, rows); (0, None) for any other file.

        Raises
        ------
        UserError
            If a Parquet file cannot be read.
        """
        if self._suffix not in PARQUET:
            return [(0, None)]
        with self._open() as file:
            return parquet_ranges(file)

    def read(self, start: int = 0, rows: int | None = None) -> Iterator[RawBatch]:
        """Yield the rows of a range in batches: each row once, accepted or rejected with a reason.

        Raises
        ------
        UserError
            If the file cannot be read to its end.
        """
        row, seen = start, set[int]()
        for table in self._tables(start, rows):
            if is_sampled(table.column_names):
                if row == start:  # once, since it opens the file again
                    self._check_samples()
                check_one_spectrum_each(table, self.path)
                yield to_sampled_batch(table, row, seen)
            else:
                yield to_batch(table, self.releases, row, seen)
            row += table.num_rows

    def source_ids(self, start: int = 0, rows: int | None = None) -> Iterator[pa.Array]:
        """Yield the identifiers (int64) of all rows of a range; null where one cannot be read."""
        for table in self._tables(start, rows, spectra=False):
            yield table["source_id"].combine_chunks()

    def _check_samples(self) -> None:
        """Raise a `UserError` for samples of another release than DR3, or that xpfeh has corrected or dereddened."""
        header = self._header()
        if (named := release_named(header)) not in (None, "dr3"):
            raise InputError(
                f"{self.path}: sampled spectra of Gaia {named.upper()} are not supported; use coefficients"
            )
        if processed := _PROCESSED.search(header):
            raise InputError(f"{self.path}: holds {processed[1].lower()} spectra; give those that they were made from")

    def _header(self) -> str:
        """Return the beginning of the file, or Parquet's metadata."""
        with self._open() as file:
            if self._suffix in PARQUET:
                metadata = pq.ParquetFile(file).schema_arrow.metadata or {}
                header = b" ".join((*metadata.keys(), *metadata.values()))
            else:
                header = gunzip_beginning(file.read(_HEADER_BYTES))
        return header.decode("latin-1")

    def _tables(self, start: int = 0, rows: int | None = None, spectra: bool = True) -> Iterator[pa.Table]:
        """Yield tables of ``source_id`` and the spectra's lists, whatever the file's format."""
        with self._open() as file:
            if self._suffix in TEXT:
                yield from read_text(file, self.path, spectra)
            elif self._suffix in PARQUET:
                yield from read_parquet(file, self.path, spectra, start, rows)
            else:
                read = read_fits if self._suffix in FITS else read_votable
                yield read(gunzip(file.read()), self.path, spectra)

    @contextmanager
    def _open(self) -> Iterator[pa.NativeFile]:
        """Open the file; any fault found while it is open becomes one line with its name."""
        fs, inside = filesystem(self.path)
        with readable(self.path), fs.open_input_file(inside) as file:
            if file.size() == 0:
                raise InputError(f"{self.path}: is empty")
            yield file
