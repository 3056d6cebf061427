"""A plan: a run's inputs, settings and shards. It determines every byte of the output, and never changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from xpfeh.settings import PreprocessSettings

_SHOWN = 4  # differences listed in a message

Kind = Literal["features", "catalog"]
FORMAT = 4
"""Of the parts; incremented when their contents change. Plans of format 1 do not state it."""


class Shard(BaseModel):
    """Some rows of one input file, which become one part.

    Attributes
    ----------
    name : str
        Name of the shard, its part and its record.
    source : str
        The file's absolute path or URI, the packaged library's name, or the name of a part of the features.
    start : int
        The first row, or star of the library, to read.
    rows : int or None
        Number of rows; None if unknown before reading the file.
    fingerprint : str
        Of the whole file's bytes, see `xpfeh.files.digest`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    start: int = 0
    rows: int | None = None
    fingerprint: str = ""


class Plan(BaseModel):
    """The inputs, settings and shards of a run.

    Attributes
    ----------
    kind : {"features", "catalog"}
    inputs : dict
        The fingerprint of each input, by its name.
    settings : PreprocessSettings
        How spectra become features.
    model : str
        The version of the model that predicts; empty for features.
    shards : list of Shard
    made_by : dict
        The code that planned it; the code that made a part is in the part's record.
    format : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    inputs: dict[str, str]
    settings: PreprocessSettings
    model: str = ""
    shards: list[Shard]
    made_by: dict[str, str]
    format: int = FORMAT

    @property
    def is_of_this_format(self) -> bool:
        """Whether a plan that was read back has this version's format."""
        return self.format == FORMAT and "format" in self.model_fields_set

    def fingerprint(self) -> str:
        """Return a SHA-256 (hex, 16 digits) of everything that determines the output."""
        return hashlib.sha256(self.model_dump_json(exclude={"made_by"}).encode()).hexdigest()[:16]

    def provenance(self) -> dict[str, object]:
        """Return the origin recorded in each part's metadata."""
        origin = self.model_dump(mode="json", exclude={"shards", "made_by"})
        return {**origin, "parts": len(self.shards), "fingerprint": self.fingerprint()}

    def differences(self, other: Plan) -> str:
        """Return, as text, how the output of `other` would differ from this plan's; empty if it would not."""
        choices = _changes(self._choices(), other._choices())
        found = [f"{name} {was!r} -> {now!r}" for name, was, now in choices]
        for source, was, now in _changes(self._files(), other._files()) or _changes(self.inputs, other.inputs):
            if was is None:
                found.append(f"{source} is new")
            elif now is None:
                found.append(f"{source} is gone")
            else:
                found.append(f"{source} has changed")
        if not found and self.shards != other.shards:
            found = ["the input is divided into other shards"]
        more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return ", ".join(found[:_SHOWN]) + more

    def _choices(self) -> dict[str, object]:
        return {**dict(self.settings), "kind": self.kind, "model": self.model}

    def _files(self) -> dict[str, str]:
        return {shard.source: shard.fingerprint for shard in self.shards}


def _changes(was: Mapping[str, object], now: Mapping[str, object]) -> list[tuple[str, object, object]]:
    """Return (key, value before, value now) for each difference; None for a missing value."""
    return [(key, was.get(key), now.get(key)) for key in {**was, **now} if was.get(key) != now.get(key)]
