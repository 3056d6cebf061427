"""A job at an endpoint: long work that continues there, whether or not anybody waits."""

from __future__ import annotations

import io
import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xpfeh.client.answers import found_of
from xpfeh.client.connection import Connection
from xpfeh.errors import EndpointError

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0  # between two status requests: a key may have few per minute


class Job:
    """A job at an endpoint, which keeps it for a day after it has ended; `Client.job` returns one.

    Attributes
    ----------
    id : str
    """

    def __init__(self, connection: Connection, job_id: str) -> None:
        self.id = job_id
        self._connection = connection

    def status(self) -> dict[str, Any]:
        """Return ``state`` (queued, running, done, failed, cancelled), ``stars``, ``done``, ``rejected``, and more.

        Raises
        ------
        EndpointError
            If the endpoint has no such job of this key, or does not answer.
        """
        return self._connection.ask("GET", self._path).json()

    def result(self) -> Table:
        """Wait for the end, with a progress bar, and return the catalog rows, as `Client.predict` does.

        Raises
        ------
        EndpointError
            If the job failed, was cancelled, or does not exist.
        """
        return found_of(self.answers(), self._connection.url)

    def answers(self) -> pa.Table:
        """Return the result as stored by the endpoint, with a column ``error``; see `result`."""
        self._wait()
        return pq.read_table(io.BytesIO(self._connection.download(f"{self._path}/result?format=parquet")))

    def cancel(self) -> None:
        """Cancel the job; delete it if it has finished.

        Raises
        ------
        EndpointError
            As `status`.
        """
        self._connection.ask("DELETE", self._path)

    @property
    def _path(self) -> str:
        return f"/v1/jobs/{self.id}"

    def _wait(self) -> None:
        columns = (TextColumn("job {task.fields[job]}: {task.description}"), BarColumn(), MofNCompleteColumn())
        pause = _FIRST_PAUSE_S
        with Progress(*columns, TextColumn("stars"), TimeRemainingColumn()) as bar:
            task = bar.add_task("", job=self.id)
            while True:
                status = self.status()
                bar.update(task, description=status["state"], total=status["stars"], completed=status["done"])
                if status["state"] not in ("queued", "running"):
                    break
                time.sleep(pause)
                pause = min(1.5 * pause, _LONGEST_PAUSE_S)
        if status["state"] != "done":
            reason = f": {status['error']}" if status["error"] else ""
            raise EndpointError(f"{self._connection.url}: the job {self.id} is {status['state']}{reason}")
