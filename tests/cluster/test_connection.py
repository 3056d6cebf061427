import time

import pytest
import ray
from xpfeh.cluster.connection import join
from xpfeh.errors import UserError


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:port"])
def test_a_cluster_that_has_ended_is_told_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", address)
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"no Ray cluster to join .*RAY_ADDRESS"):
        join()
    assert time.monotonic() - begun < 10
