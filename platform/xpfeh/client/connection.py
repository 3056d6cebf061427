"""HTTP to an endpoint: retries what may pass, and reports the rest in one line."""

from __future__ import annotations

from typing import Any

import requests
import tenacity

from xpfeh.errors import EndpointError, InputError

_TEMPORARY = (429, 502, 503, 504)  # limits, restarts, overload
_ATTEMPTS, _LONGEST_WAIT_S = 8, 60.0  # about a minute in all
_CHUNK = 1 << 16  # bytes: a chunk that is cut off is lost


class Connection:
    """A connection to an endpoint, with a key if it needs one.

    Parameters
    ----------
    url : str
    key : str or None
    timeout_s : float
        Longest silence of the endpoint, s.

    Raises
    ------
    InputError
        If the URL does not begin with http:// or https://.
    """

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        if not str(url).startswith(("http://", "https://")):
            raise InputError(f"{url!r}: not the address of an endpoint; write http://HOST:PORT")
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = requests.Session()
        if key is not None:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request, and retry while the failure is temporary.

        A DELETE is only repeated if it certainly had no effect: it may have cancelled a job, and the next would delete
        it.

        Raises
        ------
        EndpointError
            If it refuses, or does not answer.
        """
        lost: tuple[type[Exception], ...] = () if method == "DELETE" else (requests.ConnectionError,)
        temporary = (429,) if method == "DELETE" else _TEMPORARY
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_wait,
            retry=tenacity.retry_if_exception_type(lost)
            | tenacity.retry_if_result(lambda response: response.status_code in temporary),
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
        """Return a file; if the connection is cut, as by proxies after a while, continue with the rest.

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
    """Wait as long as the endpoint demands, or twice as long each time."""
    doubled = min(0.5 * 2 ** (state.attempt_number - 1), _LONGEST_WAIT_S)
    if state.outcome is None or state.outcome.failed:
        return doubled
    demanded = state.outcome.result().headers.get("Retry-After", "")
    return min(float(demanded), _LONGEST_WAIT_S) if demanded.isdigit() else doubled


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.reason
