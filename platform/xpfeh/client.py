"""A client of the endpoint: stars in, an astropy Table out, however many they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import requests
import tenacity
from astropy.table import Table
from numpy.typing import NDArray
from rich.progress import track

from xpfeh.columns import CATALOG, to_arrow
from xpfeh.commands.in_memory import Rejected, rejected_lines
from xpfeh.commands.one_table import read_all
from xpfeh.commands.star_source import source_of
from xpfeh.errors import EndpointError
from xpfeh.files import local_path, whole_file
from xpfeh.sources.coefficients import LIST_COLUMNS, Reject
from xpfeh.sources.companions import PHOTOMETRY
from xpfeh.sources.reader import CompanionFiles
from xpfeh.sources.samples import SAMPLES
from xpfeh.tables.astropy_table import to_astropy
from xpfeh.xp.parallax import PARALLAX

_ARROW = "application/vnd.apache.arrow.stream"
_WAIT = (429, 502, 503, 504)  # statuses that pass by themselves: limits, restarts, overload
_ATTEMPTS, _LONGEST_WAIT_S = 8, 60.0
_NO_ANSWERS = CATALOG.append(pa.field("error", pa.string())).empty_table()  # where all rows are rejected


class Client:
    """An endpoint of xpfeh, elsewhere.

    Parameters
    ----------
    url : str
        Where it answers, as in ``http://127.0.0.1:8000``.
    key : str, optional
        The collaborator's key.
    timeout_s : float
        Longest silence of the endpoint, s.

    Examples
    --------
    >>> stars = Client("http://127.0.0.1:8000").predict("XP_CONTINUOUS_RAW.csv")  # doctest: +SKIP
    """

    def __init__(self, url: str, key: str | None = None, timeout_s: float = 120.0) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = requests.Session()
        if key is not None:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def health(self) -> dict[str, Any]:
        """Return the endpoint's model and what a request may have.

        Raises
        ------
        EndpointError
            If it does not answer.
        """
        return self._ask("GET", "/v1/health").json()

    def predict(
        self, stars: Any, photometry: Any = None, distances: Any = None, keep: str | Path | None = None
    ) -> Table:
        """Return the catalog's rows of stars, in their order, as `xpfeh.predict` does.

        Parameters
        ----------
        stars, photometry, distances
            As `xpfeh.predict` takes them. Spectra that are named by identifiers come from Gaia's archive to this
            machine, and from here to the endpoint.
        keep : str or Path, optional
            Folder for the answers as they come; a call that was interrupted goes on from there.

        Returns
        -------
        astropy.table.Table
            ``meta["rejected"]`` has the rows that are not sound, and were not sent, and the stars that the endpoint
            did not answer.

        Raises
        ------
        InputError
            If the stars are none.
        EndpointError
            If the endpoint refuses a request, or does not answer.
        """
        health = self.health()
        source, companions = source_of(stars, health["release"]), CompanionFiles.find(photometry, distances)
        rejected: Rejected = []
        bodies = list(self._bodies(read_all(source, companions, rejected), health["max_stars"]))
        answers = [self._answer(body, health["model_version"], keep) for body in track(bodies, description="stars")]
        table = pa.concat_tables(answers) if answers else _NO_ANSWERS
        refused = pc.is_valid(table["error"])
        reasons = table.select(["source_id", "error"]).filter(refused).to_pylist()
        rows = np.flatnonzero(refused)  # among the stars that were sent
        rejected += [(self.url, Reject(int(row), *why.values())) for row, why in zip(rows, reasons, strict=True)]
        found = to_astropy(table.filter(pc.invert(refused)).drop_columns("error"))
        found.meta = {"model": health["model_version"], "rejected": rejected_lines(rejected)}
        return found

    def _bodies(self, raws: Iterable[Mapping[str, NDArray]], most: int) -> Iterator[bytes]:
        """Yield requests of at most `most` stars."""
        for raw in raws:
            lists = SAMPLES if "flux" in raw else LIST_COLUMNS
            # The parallax has no zero point any more: of what gives one nothing is sent.
            names = ("source_id", *PHOTOMETRY, *PARALLAX, "ebv", "rgeo", *lists)
            columns = {name: raw[name] for name in names if name in raw}
            table = pa.table({name: _arrow(values) for name, values in columns.items()})
            for start in range(0, len(table), most):
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, table.schema) as stream:
                    stream.write_table(table.slice(start, most))
                yield sink.getvalue().to_pybytes()

    def _answer(self, body: bytes, model: str, keep: str | Path | None) -> pa.Table:
        if keep is None:
            return self._request_answers(body)
        path = local_path(keep) / f"{hashlib.sha256(model.encode() + body).hexdigest()[:32]}.parquet"
        if not path.exists():
            table = self._request_answers(body)
            with whole_file(path) as temporary:
                pq.write_table(table, temporary)
        return pq.read_table(path)

    def _request_answers(self, body: bytes) -> pa.Table:
        headers = {"Content-Type": _ARROW, "Accept": _ARROW}
        response = self._ask("POST", "/v1/predict", data=body, headers=headers)
        with pa.ipc.open_stream(response.content) as stream:
            return stream.read_all()

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask, and again while the endpoint says that it is a matter of time."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_wait,
            retry=tenacity.retry_if_exception_type(requests.ConnectionError)
            | tenacity.retry_if_result(lambda response: response.status_code in _WAIT),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        try:
            response = retrying(self._session.request, method, f"{self.url}{path}", timeout=self._timeout_s, **options)
        except requests.RequestException as error:
            raise EndpointError(
                f"{self.url}: does not answer ({type(error).__name__}); is the endpoint running?"
            ) from None
        if response.status_code >= 400:
            raise EndpointError(f"{self.url}{path}: refused with status {response.status_code}: {_message(response)}")
        return response


def _arrow(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return to_arrow(values)
    return pa.FixedSizeListArray.from_arrays(to_arrow(values.reshape(-1)), values.shape[1])


def _wait(state: tenacity.RetryCallState) -> float:
    """Wait as long as the endpoint says, or twice as long each time."""
    doubled = min(0.5 * 2 ** (state.attempt_number - 1), _LONGEST_WAIT_S)
    if state.outcome is None or state.outcome.failed:
        return doubled
    said = state.outcome.result().headers.get("Retry-After", "")
    return min(float(said), _LONGEST_WAIT_S) if said.isdigit() else doubled


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.reason
