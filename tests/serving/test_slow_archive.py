"""An archive that does not answer holds up those alone who ask for its stars."""

import threading

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.serving import archive
from xpfeh.serving.archive import AT_ONCE, Archive


def test_a_slow_archive_is_given_up_and_no_more_are_sent_there(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def slow(ids: np.ndarray, release: str) -> str:
        answers.wait(60)
        return f"{len(ids)} of {release}"

    monkeypatch.setattr("xpfeh.archive.cache.bring", slow)
    monkeypatch.setattr(archive, "WAIT_S", 0.05)
    asked = Archive("dr3")
    for _ in range(AT_ONCE):
        with pytest.raises(UserError, match=r"not answered in 0\.05 s"):
            asked.bring(np.array([1]))
    with pytest.raises(UserError, match="being asked for other requests"):
        asked.bring(np.array([1]))
    answers.set()
    asked._threads.shutdown(wait=True)
    again = Archive("dr3")
    assert again.bring(np.array([1, 2])) == "2 of dr3"
    assert again.bring(np.array([1])) == "1 of dr3"
