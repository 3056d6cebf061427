"""HTTP to an endpoint: patient where it is a matter of time, one line where it is not."""

from __future__ import annotations

from typing import Any

import requests
import tenacity

from xpfeh.errors import EndpointError

_WAIT = (429, 502, 503, 504)  # statuses that pass by themselves: limits, restarts, overload
_ATTEMPTS, _LONGEST_WAIT_S = 8, 60.0
_CHUNK = 1 << 16  # bytes: of one that is cut nothing is kept


class Connection:
    """An endpoint's address, and the key that is shown there.

    Parameters
    ----------
    url : str
    key : str or None
    timeout_s : float
        Longest silence of the endpoint, s.
    """

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = requests.Session()
        if key is not None:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask, and again while the endpoint says that it is a matter of time.

        Raises
        ------
        EndpointError
            If it refuses, or does not answer.
        """
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
            raise self._no_answer(error) from None
        if response.status_code >= 400:
            raise EndpointError(f"{self.url}{path}: refused with status {response.status_code}: {_message(response)}")
        return response

    def download(self, path: str) -> bytes:
        """Return a file; where the connection is cut, as proxies do after a while, the rest is asked for.

        Raises
        ------
        EndpointError
            As `ask`.
        """
        content = bytearray()
        while True:
            before = len(content)
            headers = {"Range": f"bytes={before}-"} if before else {}
            try:
                for chunk in self.ask("GET", path, headers=headers, stream=True).iter_content(_CHUNK):
                    content += chunk
                return bytes(content)
            except requests.RequestException as error:
                if len(content) == before:
                    raise self._no_answer(error) from None

    def _no_answer(self, error: requests.RequestException) -> EndpointError:
        return EndpointError(f"{self.url}: does not answer ({type(error).__name__}); is the endpoint running?")


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
