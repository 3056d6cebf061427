"""A client of the endpoint: any number of stars in, an astropy Table out."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from numpy.typing import NDArray
from rich.console import Console

from xpfeh.client.answers import NO_ANSWERS, found_of
from xpfeh.client.connection import Connection
from xpfeh.client.job import Job
from xpfeh.columns import to_arrow
from xpfeh.commands.in_memory import Rejected
from xpfeh.commands.one_table import read_all
from xpfeh.commands.star_source import ids_or_source, source_of
from xpfeh.errors import EndpointError
from xpfeh.files import local_path, whole_file
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.sources.companions import PHOTOMETRY
from xpfeh.sources.reader import CompanionFiles
from xpfeh.sources.samples import SAMPLES
from xpfeh.xp.parallax import PARALLAX

_ARROW, _JSON = "application/vnd.apache.arrow.stream", "application/json"
_PIECE = 1_000  # stars: a body consists of whole pieces, 26 MB of coefficients each
_FULL = 0.9  # of the largest body allowed: Arrow's own bytes are not counted
_SENT_BYTES = 60e6  # at 16 Mbit/s these arrive within 30 s, the time limit of a request


@dataclass(frozen=True)
class _Body:
    """The body of one request or job."""

    stars: int
    content: bytes
    kind: str = _ARROW


class Client:
    """An xpfeh endpoint that others run.

    Parameters
    ----------
    url : str
        Its address, as in ``http://127.0.0.1:8000``.
    key : str, optional
        The collaborator's key.
    timeout_s : float
        Longest silence of the endpoint, s.

    Examples
    --------
    >>> stars = Client("http://127.0.0.1:8000").predict("XP_CONTINUOUS_RAW.csv")  # doctest: +SKIP
    """

    def __init__(self, url: str, key: str | None = None, timeout_s: float = 120.0) -> None:
        self._connection = Connection(url, key, timeout_s)
        self.url = self._connection.url

    def health(self) -> dict[str, Any]:
        """Return the endpoint's model and the limits of a request.

        Raises
        ------
        EndpointError
            If it does not answer.
        """
        return self._connection.ask("GET", "/v1/health").json()

    def job(self, job_id: str) -> Job:
        """Return a job that was started earlier, here or elsewhere.

        Examples
        --------
        >>> stars = Client("http://127.0.0.1:8000").job("6b0c3c272aa02d259631ba905a6f14fb").result()  # doctest: +SKIP
        """
        return Job(self._connection, job_id)

    def predict(
        self, stars: Any, photometry: Any = None, distances: Any = None, keep: str | Path | None = None
    ) -> Table:
        """Return the catalog rows of stars, in their order, as `xpfeh.predict` does.

        More stars than fit into one request become jobs: each shows its progress, continues if this call is
        interrupted, and is deleted once its result is downloaded.

        Parameters
        ----------
        stars, photometry, distances
            As for `xpfeh.predict`. Spectra of stars given by identifiers come from Gaia's archive: directly to the
            endpoint if they become a job there, otherwise through this machine.
        keep : str or Path, optional
            Folder for the answers as they arrive; an interrupted call resumes from there.

        Returns
        -------
        astropy.table.Table
            ``meta["rejected"]`` lists the invalid rows, which were not sent, and the stars that the endpoint did not
            answer.

        Raises
        ------
        InputError
            If the stars cannot be read.
        EndpointError
            If the endpoint refuses a request, or does not answer.
        """
        health = self.health()
        rejected: Rejected = []
        source, alone = ids_or_source(stars), photometry is None and distances is None
        if isinstance(source, np.ndarray) and len(source) > health["max_stars"] and health["archive"] and alone:
            bodies = _of_ids(source, health["max_job_stars"])
        else:
            companions = CompanionFiles.find(photometry, distances)
            raws = read_all(source_of(stars, health["release"]), companions, rejected)
            bodies = _of_spectra(raws, min(_SENT_BYTES, _FULL * health["max_file_bytes"]))
        answers = [self._answers_to(body, health, keep) for body in bodies]
        return found_of(pa.concat_tables(answers) if answers else NO_ANSWERS, self.url, rejected)

    def _answers_to(self, body: _Body, health: Mapping[str, Any], keep: str | Path | None) -> pa.Table:
        if keep is None:
            with self._answer(body, health, None) as table:
                return table
        name = hashlib.sha256(health["model_version"].encode() + body.content).hexdigest()[:32]
        path = local_path(keep) / f"{name}.parquet"
        if not path.exists():
            note = path.with_suffix(".job")
            with self._answer(body, health, note) as table, whole_file(path) as temporary:
                pq.write_table(table, temporary)
        return pq.read_table(path)

    @contextmanager
    def _answer(self, body: _Body, health: Mapping[str, Any], note: Path | None) -> Iterator[pa.Table]:
        """Yield the answers; a job that gave them is deleted afterwards, once the caller has stored them."""
        if body.stars > health["max_stars"]:
            yield from self._by_job(body, note)
            return
        headers = {"Content-Type": body.kind, "Accept": _ARROW}
        response = self._connection.ask("POST", "/v1/predict", data=body.content, headers=headers)
        with pa.ipc.open_stream(response.content) as stream:
            yield stream.read_all()

    def _by_job(self, body: _Body, note: Path | None) -> Iterator[pa.Table]:
        """Yield the answers of a job: of an earlier one, if the file `note` has its id."""
        job = self._earlier_job(note)
        if job is None:
            # If the connection is lost with the reply, the repeated request finds the job by this key.
            headers = {"Content-Type": body.kind, "Idempotency-Key": uuid.uuid4().hex}
            job = self.job(self._connection.ask("POST", "/v1/jobs", data=body.content, headers=headers).json()["id"])
        if note:
            with whole_file(note) as temporary:
                temporary.write_text(job.id)
        try:
            answers = job.answers()
        except KeyboardInterrupt:
            line = f'the job continues: client.job("{job.id}").result() fetches its answers, .cancel() stops it'
            Console(stderr=True).print(line, soft_wrap=True)
            raise
        yield answers
        if note:
            note.unlink()
        with suppress(EndpointError):  # the endpoint deletes it after a day
            job.cancel()

    def _earlier_job(self, note: Path | None) -> Job | None:
        """Return the job whose id is in the file `note`, unless it has failed, or been cancelled or deleted."""
        if note is None or not note.exists():
            return None
        job = self.job(note.read_text())
        try:
            return job if job.status()["state"] in ("queued", "running", "done") else None
        except EndpointError:  # it has been deleted
            return None


def _of_ids(ids: NDArray[np.int64], most: int) -> Iterator[_Body]:
    for start in range(0, len(ids), most):
        some = ids[start : start + most].tolist()
        yield _Body(len(some), json.dumps({"source_ids": some}).encode(), _JSON)


def _of_spectra(raws: Iterable[Mapping[str, NDArray]], most_bytes: float) -> Iterator[_Body]:
    """Yield Arrow streams of at most `most_bytes` each."""
    waiting: list[pa.Table] = []
    for piece in _pieces(raws):
        full = sum(table.nbytes for table in waiting) + piece.nbytes > most_bytes
        if waiting and (full or piece.schema != waiting[0].schema):
            yield _stream(waiting)
            waiting = []
        waiting.append(piece)
    if waiting:
        yield _stream(waiting)


def _pieces(raws: Iterable[Mapping[str, NDArray]]) -> Iterator[pa.Table]:
    for raw in raws:
        lists = SAMPLES if "flux" in raw else LIST_COLUMNS
        # The parallax is already corrected: the columns that give its zero point are not sent.
        names = ("source_id", *PHOTOMETRY, *PARALLAX, "ebv", "rgeo", *lists)
        columns = {name: raw[name] for name in names if name in raw}
        table = pa.table({name: _arrow(values) for name, values in columns.items()})
        for start in range(0, len(table), _PIECE):
            yield table.slice(start, _PIECE)


def _stream(tables: list[pa.Table]) -> _Body:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, tables[0].schema) as stream:
        for table in tables:
            stream.write_table(table)
    return _Body(sum(map(len, tables)), sink.getvalue().to_pybytes())


def _arrow(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return to_arrow(values)
    return pa.FixedSizeListArray.from_arrays(to_arrow(values.reshape(-1)), values.shape[1])
