"""A plan: what a run makes of what, cut into shards. It decides every byte of the output, and never changes."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import BaseModel

_TOLD = 4


class Shard(BaseModel, frozen=True):
    """A piece of input: a file, or `rows` rows of it from `start` on (0: as many as there are).

    ``fingerprint`` is of the whole file's bytes, see `xpfeh.files.digest`; empty where the source has none.
    """

    name: str
    source: str
    release: str = ""
    start: int = 0
    rows: int = 0
    fingerprint: str = ""


class Plan(BaseModel, frozen=True):
    """What a run makes of what.

    ``inputs`` tells each source's fingerprint, ``settings`` how spectra become features, ``model`` which model
    predicts (empty for features), ``made_by`` the code and its packages.
    """

    kind: str
    inputs: dict[str, str]
    settings: dict[str, Any]
    model: str = ""
    shards: list[Shard]
    made_by: dict[str, str]

    def fingerprint(self) -> str:
        """Return a SHA-256 (hex, 16 digits) of all that decides the output's content."""
        return _short(self.model_dump_json(exclude={"made_by"}))

    def settings_fingerprint(self) -> str:
        """Return a SHA-256 (hex, 16 digits) of the settings."""
        return _short(self.model_dump_json(include={"settings"}))

    def provenance(self) -> dict[str, Any]:
        """Return what each part's metadata tells of its origin."""
        told = self.model_dump(exclude={"shards"})
        return {**told, "parts": len(self.shards), "fingerprint": self.fingerprint()}

    def differences(self, other: Plan) -> str:
        """Tell how the content of `other` would differ from this plan's; empty if it would not."""
        told = [f"{name} {was!r} -> {now!r}" for name, was, now in _changes(self.settings, other.settings)]
        told += [f"{key} {was!r} -> {now!r}" for key, was, now in _changes(_head(self), _head(other))]
        files = _changes(
            {s.source: s.fingerprint for s in self.shards}, {s.source: s.fingerprint for s in other.shards}
        )
        beside = _changes(self.inputs, other.inputs)
        for source, was, now in files or beside:
            told.append(f"{source} {'is new' if was is None else 'is gone' if now is None else 'has changed'}")
        if not told and self.shards != other.shards:
            told = ["the input is cut into other shards"]
        more = f", and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        return ", ".join(told[:_TOLD]) + more


def _head(plan: Plan) -> dict[str, str]:
    return {"kind": plan.kind, "model": plan.model}


def _files(plan: Plan) -> dict[str, str]:
    return {shard.source: shard.fingerprint for shard in plan.shards}


def _changes(was: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(key, was.get(key), now.get(key)) for key in {**was, **now} if was.get(key) != now.get(key)]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
