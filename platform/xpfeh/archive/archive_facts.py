"""Facts learned about a release's archives, such as names that they accept, kept on this machine with the cache."""

from __future__ import annotations

import json
import os
import time
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xpfeh.errors import Notice
from xpfeh.files import data_folder, whole_file


def recall(release: str, topic: str, url: str, max_age_s: float = float("inf")) -> Any | None:
    """Return the fact remembered on a topic for a service, or None if there is none, or it is too old."""
    entry = _read(release).get(topic, {}).get(url)
    if not isinstance(entry, dict) or not isinstance(entry.get("at"), int | float):
        return None
    return entry.get("value") if time.time() - entry["at"] <= max_age_s else None


def remember(release: str, topic: str, url: str, value: Any) -> None:
    """Keep a value, which must be valid in JSON, for later calls."""
    learned = _read(release)
    learned.setdefault(topic, {})[url] = {"at": time.time(), "value": value}
    path = _path(release)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(learned))


def forget(release: str) -> None:
    """Forget all facts about a release's archives."""
    _path(release).unlink(missing_ok=True)


def cache_folder(release: str) -> Path:
    """Return the cache folder of a release; where it cannot be written, a temporary one for this process."""
    folder = data_folder("cache") / release
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return Path(_temporary(folder).name) / release


@cache
def _temporary(unusable: Path) -> TemporaryDirectory[str]:
    """Return a folder that is deleted when this process ends."""
    warnings.warn(f"{unusable}: cannot be written; the archive's answers are lost at the end", Notice, stacklevel=2)
    return TemporaryDirectory(prefix="xpfeh-cache-")


def _path(release: str) -> Path:
    return cache_folder(release) / "learned.json"


def _read(release: str) -> dict[str, dict[str, object]]:
    try:
        learned = json.loads(_path(release).read_text())
    except (OSError, ValueError):  # none yet, or damaged: it will be learned again
        return {}
    return learned if isinstance(learned, dict) and all(isinstance(each, dict) for each in learned.values()) else {}
