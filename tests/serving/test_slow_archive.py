"""An archive that does not answer delays only requests for its stars."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from xpfeh.archive.archives import ESA, INTERACTIVE, Services, ServiceState
from xpfeh.errors import UserError
from xpfeh.serving import archive
from xpfeh.serving.archive import AT_ONCE, Archive

STAR = np.array([5_937_083_312_263_887_616])


def away_at(url: str) -> Services:
    """The endpoint's services, all at one address, in an unknown state."""
    esa = replace(ESA, tap=f"{url}/tap", data=f"{url}/data", links=f"{url}/links")
    return replace(
        INTERACTIVE, archives=(esa, replace(esa, data=None, links=None, spectra="spectra")), state=ServiceState()
    )


def test_a_slow_archive_is_given_up_and_no_more_are_sent_there(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def slow(ids: np.ndarray, release: str, services: Services) -> str:
        services.state.answered("ESA's links")
        answers.wait(60)
        return f"{len(ids)} of {release}"

    monkeypatch.setattr("xpfeh.archive.cache.bring", slow)
    monkeypatch.setattr(archive, "SILENCE_S", 0.1)
    monkeypatch.setattr(archive, "WAIT_S", 0.15)
    asked = Archive("dr3", away_at("http://nowhere.invalid"))
    for _ in range(AT_ONCE):
        with pytest.raises(UserError, match=r"not answered in 0\.15 s"):
            asked.bring(np.array([1]))
    with pytest.raises(UserError, match="being queried for other requests"):
        asked.bring(np.array([1]))
    answers.set()
    asked._threads.shutdown(wait=True)
    again = Archive("dr3", away_at("http://nowhere.invalid"))
    assert again.bring(np.array([1, 2])) == "2 of dr3"
    assert again.bring(np.array([1])) == "1 of dr3"


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_an_archive_that_cannot_be_reached_is_given_up_soon(
    silent: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path))
    assert archive.SILENCE_S < 5
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"^Gaia's archive cannot be reached, nor can a mirror"):
        Archive("dr3", away_at("http://127.0.0.1:9")).bring(STAR)  # refused at once: no second attempt
    assert time.monotonic() - begun < 2
    monkeypatch.setattr(archive, "SILENCE_S", 0.2)
    quick = replace(away_at(silent), answer_s=0.5)
    with pytest.raises(UserError, match=r"^Gaia's archive cannot be reached, nor can a mirror"):
        Archive("dr3", quick).bring(STAR)


def test_the_state_of_a_service_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    state, now = ServiceState(), time.monotonic()
    state.answered("tap")
    assert state.any_has_answered()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3600)
    assert not state.any_has_answered()
