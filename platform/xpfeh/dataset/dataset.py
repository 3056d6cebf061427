"""A dataset on disk or in a bucket: features, or a catalog. Only this module knows its format.

A dataset is a folder of parts, one Parquet file per shard, with a ledger ``_xpfeh/``: ``plan.json`` (inputs, settings,
model, shards), ``done/SHARD.json`` (the record of each finished shard; ``records.parquet`` repeats many of them for
fast reading), ``failed/SHARD.json`` (why a shard failed) and ``rejected/SHARD.csv`` (rows that were not delivered). A
part is written to ``_xpfeh/tmp``, checked, moved to its final name, and only then recorded; a run that is killed loses
only the shards in progress. Parts are the files that the records name, with the recorded size: other files in the
folder are ignored.

Object stores have no rename: there a move is a copy on the server followed by a delete, and the copy becomes visible
only when it is complete. So a part appears whole or not at all there too, and two workers that make the same shard
write the same bytes to the same name.
"""

from __future__ import annotations

import csv
import io
import json
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.columns import PROVENANCE_KEY
from xpfeh.dataset.plan import FORMAT, Kind, Plan, Shard
from xpfeh.dataset.reading import check_part, read_lists, read_parts, read_some
from xpfeh.dataset.record_files import gather, parse, read_all
from xpfeh.dataset.records import Delivery, Failure, Record
from xpfeh.errors import UserError
from xpfeh.files import digest, exists, filesystem, first_line, list_files, list_infos, read_bytes, write_whole
from xpfeh.provenance import code_version
from xpfeh.sources.coefficients import Reject

_ROW_GROUP = 8 << 20  # bytes, uncompressed: large enough for a request to a bucket, small in memory
_BY_BYTES = "BYTE_STREAM_SPLIT"
_GATHERED = "records.parquet"


class Dataset:
    """The plan, the records and the parts of one folder."""

    def __init__(self, uri: str | Path, plan: Plan) -> None:
        self.uri = uri
        self.plan = plan
        self.fs, self.folder = filesystem(uri)

    @classmethod
    def begin(cls, uri: str | Path, plan: Plan) -> Dataset:
        """Start `plan` in a new folder, or resume it in its own.

        Raises
        ------
        UserError
            If the folder has another plan (the message lists the differences), or cannot be created.
        """
        dataset = cls(uri, plan)
        plan_file = dataset._ledger("plan.json")
        if exists(dataset.fs, plan_file):
            begun = cls.at(uri)
            if differences := begun.plan.differences(plan):
                raise UserError(f"{uri} holds another run: {differences}; choose another --out, or delete the folder")
            return begun
        try:
            write_whole(dataset.fs, plan_file, plan.model_dump_json(indent=1).encode())
        except UserError as error:
            raise UserError(f"{uri}: cannot become a folder, a file is in the way ({first_line(error)})") from None
        return dataset

    @classmethod
    def at(cls, uri: str | Path) -> Dataset:
        """Return the dataset in a folder, finished or not.

        Raises
        ------
        UserError
            If the folder has none, its plan cannot be read, or it has another format.
        """
        fs, folder = filesystem(uri)
        path = f"{folder}/_xpfeh/plan.json"
        if not exists(fs, path):
            raise UserError(
                f"{uri}: not an xpfeh dataset (no _xpfeh/plan.json); give the --out of ingest or catalog run"
            )
        plan = parse(read_bytes(fs, path), path, Plan)
        if not plan.is_of_this_format:
            raise UserError(
                f"{uri}: {plan.kind} of another version of xpfeh (this version reads format {FORMAT}); "
                "make them again, with another --out"
            )
        return cls(uri, plan)

    @classmethod
    def finished(cls, uri: str | Path, kind: Kind) -> Dataset:
        """Return the dataset in a folder if it is of this kind and complete.

        Raises
        ------
        UserError
            Otherwise.
        """
        dataset = cls.at(uri)
        if dataset.plan.kind != kind:
            raise UserError(f"{uri}: holds a dataset of kind {dataset.plan.kind}, not {kind}")
        dataset.require_whole()
        return dataset

    def require_whole(self) -> None:
        """Raise a `UserError` if a part is missing, or does not have its recorded size."""
        if pending := self.pending():
            raise UserError(
                f"{self.uri}: {len(pending)} of {len(self.plan.shards)} parts are missing or not of their recorded "
                f"size (first: {pending[0].name}); rerun the command that made it"
            )

    def pending(self) -> list[Shard]:
        """Return the shards without a record, or without a part of the recorded size."""
        return self.without_part(self.records())

    def without_part(self, records: Iterable[Record]) -> list[Shard]:
        """Return the shards that have none of `records`, or no part of the recorded size."""
        sizes = {info.base_name: info.size for info in list_infos(self.fs, self.folder, ".parquet")}
        done = {r.shard for r in records if sizes.get(f"{r.shard}.parquet") == r.bytes}
        return [shard for shard in self.plan.shards if shard.name not in done]

    def records(self) -> list[Record]:
        """Return the record of each finished shard, in the plan's order.

        A record copied here from another dataset, with another source or model, is ignored.
        """
        present = read_all(self.fs, self._ledger("done"), Record, self._ledger(_GATHERED))
        records = []
        for shard in self.plan.shards:
            if record := present.get(shard.name):
                found = (record.shard, record.source_fingerprint, record.model)
                if found == (shard.name, shard.fingerprint, self.plan.model):
                    records.append(record)
        return records

    def gather_records(self) -> None:
        """Collect many records in one file for fast reading; a run calls this now and then."""
        gather(self.fs, self._ledger("done"), self._ledger(_GATHERED))

    def failures(self) -> list[Failure]:
        """Return the shards that have failed so far, by name."""
        return list(read_all(self.fs, self._ledger("failed"), Failure).values())

    def check_parts(self) -> None:
        """Read all parts and check them, see `xpfeh.dataset.reading.check_part`."""
        for record in track(self.records(), "checking parts"):
            check_part(self.fs, self.part(record.shard), record.fingerprint)

    def other_files(self) -> list[str]:
        """Return the names of Parquet files in the folder that are not part of this dataset."""
        planned = {f"{shard.name}.parquet" for shard in self.plan.shards}
        present = [Path(path).name for path in list_files(self.fs, self.folder, ".parquet")]
        return [name for name in present if name not in planned]

    def part(self, shard: str) -> str:
        """Return the path of a shard's part."""
        return f"{self.folder}/{shard}.parquet"

    def rejects(self, shard: str) -> str:
        """Return the path of the table of a shard's rejected rows, which exists if there are any."""
        return self._ledger(f"rejected/{shard}.csv")

    def read(self, columns: Iterable[str] | None = None, source_ids: NDArray[np.int64] | None = None) -> pa.Table:
        """Return the rows of all parts, or those of some stars, in the order of the parts.

        Every part's bytes are compared with its record. Memory holds the result and a few row groups; row groups that
        cannot contain any of the stars are skipped.

        Parameters
        ----------
        columns : iterable of str, optional
            All by default.
        source_ids : (K,) int64, optional
            The stars to read; all by default.

        Raises
        ------
        UserError
            If a part is missing, differs from its record, or cannot be read.
        """
        self.require_whole()
        parts = [(self.part(record.shard), record.fingerprint) for record in self.records()]
        return read_parts(self.fs, parts, list(columns) if columns is not None else None, source_ids)

    def read_lists(self, source_ids: NDArray[np.int64], into: Mapping[str, NDArray]) -> None:
        """Copy lists of some stars into arrays, after `read` has compared the parts with their records.

        Parameters
        ----------
        source_ids : (K,) int64
        into : mapping of (K, width) arrays
            By the column's name. Besides them, memory holds a few row groups.

        Raises
        ------
        UserError
            If a part cannot be read, or a star is in none.
        """
        read_lists(self.fs, [self.part(record.shard) for record in self.records()], source_ids, into)

    def some(self, rows: int) -> pa.Table:
        """Return about this many rows from all over the dataset, without comparing the parts' bytes with their records.

        Raises
        ------
        UserError
            If a part cannot be read.
        """
        return read_some(self.fs, [self.part(shard.name) for shard in self.plan.shards], rows)

    def commit(self, shard: Shard, deliveries: Iterable[Delivery]) -> Record:
        """Write a shard's rows as its part, check the part, and only then record it.

        Memory holds one delivery or row group at a time. Rejected rows go to ``_xpfeh/rejected/SHARD.csv``.

        Raises
        ------
        ValueError
            If rows were lost, or a ``source_id`` appears twice.
        """
        begun = time.perf_counter()
        temporary = self._ledger(f"tmp/{shard.name}.{uuid.uuid4().hex}.parquet")
        if self.fs.type_name == "local":
            self.fs.create_dir(self._ledger("tmp"), recursive=True)
        try:
            ids, rejected, counts = self._write_part(temporary, deliveries)
            if shard.rows is not None and len(ids) + len(rejected) != shard.rows:
                raise ValueError(f"{len(ids)} rows and {len(rejected)} rejected do not add up to {shard.rows}")
            if np.unique(ids).size != len(ids):
                raise ValueError("a source_id appears twice")
            written = pq.read_table(temporary, filesystem=self.fs, columns=["source_id"])["source_id"].to_numpy()
            if not np.array_equal(written, ids):
                raise ValueError(f"{temporary} has other rows when read back")
            fingerprint, size = digest(self.fs, temporary), self.fs.get_file_info(temporary).size
            self.fs.move(temporary, self.part(shard.name))
        except BaseException:
            if exists(self.fs, temporary):
                self.fs.delete_file(temporary)
            raise
        if rejected:
            text = io.StringIO()
            csv.writer(text).writerows(
                [("source", "row", "source_id", "reason"), *((shard.source, *reject) for reject in rejected)]
            )
            write_whole(self.fs, self.rejects(shard.name), text.getvalue().encode())
        record = Record(
            shard=shard.name,
            source=shard.source,
            source_fingerprint=shard.fingerprint,
            model=self.plan.model,
            rows_read=len(ids) + len(rejected),
            rows_written=len(ids),
            rejected=Counter(reject.reason for reject in rejected),
            matched=counts["matched"],
            kinds=counts["kinds"],
            fingerprint=fingerprint,
            bytes=size,
            seconds=round(time.perf_counter() - begun, 3),
            finished=datetime.now(UTC),
            made_by=code_version(),
        )
        write_whole(self.fs, self._ledger(f"done/{shard.name}.json"), record.model_dump_json(indent=1).encode())
        failure = self._ledger(f"failed/{shard.name}.json")
        if exists(self.fs, failure):
            self.fs.delete_file(failure)
        return record

    def fail(self, shard: Shard, error: Exception) -> Failure:
        """Record why a shard failed, if the disk has room; the next run retries it."""
        line = first_line(error)
        failure = Failure(
            shard=shard.name,
            source=shard.source,
            reason=line if isinstance(error, UserError) else f"{shard.source}: {type(error).__name__}: {line}",
            trace="".join(traceback.format_exception(error)),
            when=datetime.now(UTC),
        )
        with suppress(OSError):  # a full disk may be the very reason
            write_whole(self.fs, self._ledger(f"failed/{shard.name}.json"), failure.model_dump_json(indent=1).encode())
        return failure

    def clear(self) -> None:
        """Delete files that killed workers left unfinished; only call it while no shard is in progress."""
        if self.fs.get_file_info(self._ledger("tmp")).type == pafs.FileType.Directory:
            self.fs.delete_dir(self._ledger("tmp"))

    @cached_property
    def _provenance(self) -> bytes:
        return json.dumps(self.plan.provenance()).encode()

    def _ledger(self, inside: str) -> str:
        return f"{self.folder}/_xpfeh/{inside}"

    def _write_part(
        self, path: str, deliveries: Iterable[Delivery]
    ) -> tuple[NDArray[np.int64], list[Reject], dict[str, Counter[str]]]:
        ids, rejected = [np.empty(0, dtype=np.int64)], list[Reject]()
        counts: dict[str, Counter[str]] = {"matched": Counter(), "kinds": Counter()}

        def tables() -> Iterator[pa.Table]:
            for delivery in deliveries:
                rejected.extend(delivery.rejected)
                counts["matched"].update(delivery.matched or {})
                counts["kinds"].update(delivery.kinds or {})
                ids.append(delivery.table["source_id"].to_numpy())
                yield delivery.table

        groups = _row_groups(tables())
        first = next(groups, None)
        if first is None:
            raise ValueError("a shard must deliver at least one table, even if empty")
        schema = first.schema.with_metadata({**(first.schema.metadata or {}), PROVENANCE_KEY: self._provenance})
        # Dictionaries of numbers that rarely repeat cost two thirds of the time and a quarter of the space. Spectra
        # are smooth and rounded: split by byte, the first bytes of neighbours are alike and the last are zero.
        strings = [field.name for field in schema if pa.types.is_string(field.type)]
        spectra = {
            f"{field.name}.list.element": _BY_BYTES for field in schema if pa.types.is_fixed_size_list(field.type)
        }
        with pq.ParquetWriter(
            path,
            schema,
            filesystem=self.fs,
            compression="zstd",
            compression_level=1,
            use_dictionary=strings,
            column_encoding=spectra or None,
        ) as writer:
            for table in chain([first], groups):
                writer.write_table(table.replace_schema_metadata(schema.metadata))
        return np.concatenate(ids), rejected, counts


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Combine tables until they fill a row group; yield at least one, even if empty."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(each.nbytes for each in waiting) >= _ROW_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
