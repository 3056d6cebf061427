"""Keys of collaborators: who may do what, and how much.

A JSON file that only its owner may read, with the SHA-256 of each key and never the key: keys are 256 random bits,
so no slow hash is needed. Replicas read it again when it changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xpfeh.errors import UserError
from xpfeh.files import local_path, whole_file
from xpfeh.settings import check_name, first_problem

PREFIX = "xpfeh_"
"""Every key starts with it, so that a key published by mistake is recognised."""


class Scope(StrEnum):
    """What a key may do: request predictions, read published stars, or see what the operator sees."""

    PREDICT = "predict"
    READ = "read"
    ADMIN = "admin"


class Key(BaseModel):
    """A collaborator's key, as stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[Scope, ...] = (Scope.PREDICT, Scope.READ)
    requests_per_minute: int = Field(600, ge=1)
    stars_per_day: int = Field(1_000_000, ge=1)
    made: datetime


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key] = []


class Keys:
    """The keys of a file."""

    def __init__(self, path: str | Path) -> None:
        self.path = local_path(path)
        self._read_at = -1
        self._keys: list[Key] = []

    def all(self) -> list[Key]:
        """Return the keys that are valid now.

        Raises
        ------
        UserError
            If it is not a key file.
        """
        changed = self.path.stat().st_mtime_ns if self.path.exists() else 0
        if changed != self._read_at:
            try:
                self._keys = _KeyFile.model_validate_json(self.path.read_bytes()).keys if changed else []
            except ValidationError as error:
                raise UserError(f"{self.path}: not a key file ({first_problem(error)})") from None
            self._read_at = changed
        return self._keys

    def find(self, token: str) -> Key | None:
        """Return the key that a request shows; all are compared in constant time, which leaks nothing about them."""
        shown = _hash(token)
        found = None
        for key in self.all():
            if hmac.compare_digest(key.sha256, shown):
                found = key
        return found

    def add(self, name: str, scopes: tuple[Scope, ...], requests_per_minute: int, stars_per_day: int) -> str:
        """Create a key and return it: it cannot be shown again.

        Raises
        ------
        UserError
            If a key of that name exists.
        """
        check_name("key", name)
        token = PREFIX + secrets.token_urlsafe(32)
        with self._changing() as keys:
            if any(key.name == name for key in keys):
                raise UserError(f"{self.path}: {name} already has a key; revoke it first")
            keys.append(
                Key(
                    name=name,
                    sha256=_hash(token),
                    scopes=scopes,
                    requests_per_minute=requests_per_minute,
                    stars_per_day=stars_per_day,
                    made=datetime.now(UTC),
                )
            )
        return token

    def revoke(self, name: str) -> None:
        """Revoke a key; replicas refuse it from their next request on.

        Raises
        ------
        UserError
            If it does not exist.
        """
        with self._changing() as keys:
            kept = [key for key in keys if key.name != name]
            if len(kept) == len(keys):
                raise UserError(f"{self.path}: {name} has no key")
            keys[:] = kept

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """Yield the keys to change, under a lock, and write them."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{self.path}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = list(self.all())
            yield keys
            with whole_file(self.path) as temporary:
                temporary.touch(mode=0o600)
                temporary.write_text(_KeyFile(keys=keys).model_dump_json(indent=1))


class Spending:
    """How much of their limits keys have used at this replica."""

    def __init__(self) -> None:
        storage = MemoryStorage()
        self._minute, self._day = MovingWindowRateLimiter(storage), FixedWindowRateLimiter(storage)

    def ask(self, key: Key) -> int:
        """Count a request; return 0, or the seconds until the next is allowed."""
        limit = RateLimitItemPerMinute(key.requests_per_minute)
        return 0 if self._minute.hit(limit, key.name) else self._left(self._minute, limit, key)

    def wait_s(self, key: Key, stars: int) -> int:
        """Return 0 if these stars are within the quota, or the seconds until it is renewed."""
        limit = RateLimitItemPerDay(key.stars_per_day)
        return 0 if self._day.test(limit, key.name, cost=stars) else self._left(self._day, limit, key)

    def spend(self, key: Key, stars: int) -> None:
        """Count stars."""
        self._day.hit(RateLimitItemPerDay(key.stars_per_day), key.name, cost=stars)

    def _left(
        self,
        window: MovingWindowRateLimiter | FixedWindowRateLimiter,
        limit: RateLimitItemPerMinute | RateLimitItemPerDay,
        key: Key,
    ) -> int:
        until = window.get_window_stats(limit, key.name).reset_time
        return max(1, round(until - datetime.now(UTC).timestamp() + 0.5))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
