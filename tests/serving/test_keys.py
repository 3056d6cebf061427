"""Keys: hashed, changed while a server reads them, limited."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from xpfeh.errors import UserError
from xpfeh.serving.keys import PREFIX, Keys, Scope, Spending

BOTH = (Scope.PREDICT, Scope.READ)


def test_only_a_keys_hash_is_stored_and_it_can_be_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    server, owner = Keys(path), Keys(path)
    assert server.find("anything") is None
    token = owner.add("vienna", BOTH, 60, 1000)
    assert token.startswith(PREFIX)
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = server.find(token)
    assert key is not None
    assert (key.name, key.scopes, key.requests_per_minute, key.stars_per_day) == ("vienna", BOTH, 60, 1000)
    assert server.find(token[:-1]) is None
    with pytest.raises(UserError, match="vienna already has a key"):
        owner.add("vienna", BOTH, 60, 1000)
    owner.revoke("vienna")
    assert server.find(token) is None
    with pytest.raises(UserError, match="vienna has no key"):
        owner.revoke("vienna")


def test_keys_created_at_once_are_all_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda i: Keys(tmp_path / "k.json").add(f"n{i}", BOTH, 1, 1), range(24)))
    keys = Keys(tmp_path / "k.json")
    assert {key.name for key in keys.all()} == {f"n{i}" for i in range(24)}
    assert all(keys.find(token) for token in tokens)


@pytest.mark.parametrize("content", ["{", "[]", '{"keys": [{"name": "a"}]}', ""])
def test_an_invalid_key_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(UserError, match=r"keys\.json: not a key file"):
        Keys(tmp_path / "keys.json").find("a")


def test_limits_of_one_key_are_not_those_of_another(tmp_path: Path) -> None:
    keys, spending = Keys(tmp_path / "keys.json"), Spending()
    one, other = (keys.find(keys.add(name, BOTH, 2, 100)) for name in ("one", "other"))
    assert one is not None
    assert other is not None
    assert [spending.ask(one) for _ in range(2)] == [0, 0]
    assert 1 <= spending.ask(one) <= 61
    assert spending.ask(other) == 0
    assert spending.wait_s(one, 100) == 0  # not counted yet
    spending.spend(one, 90)
    assert 1 <= spending.wait_s(one, 11) <= 86_401
    assert spending.wait_s(one, 10) == 0
    assert spending.wait_s(other, 100) == 0
