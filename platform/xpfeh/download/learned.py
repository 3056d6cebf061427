"""What was learnt about a release's archives, kept on this machine with their answers: names that they accept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from xpfeh.files import data_folder, whole_file


def recall(release: str, topic: str, url: str, max_age_s: float = float("inf")) -> Any | None:
    """Return what was remembered on a topic at a service, or None if there is nothing, or it is too old."""
    entry = _read(release).get(topic, {}).get(url)
    if not isinstance(entry, dict) or not isinstance(entry.get("at"), int | float):
        return None
    return entry.get("value") if time.time() - entry["at"] <= max_age_s else None


def remember(release: str, topic: str, url: str, value: Any) -> None:
    """Keep a value, which JSON can hold, for later calls."""
    learned = _read(release)
    learned.setdefault(topic, {})[url] = {"at": time.time(), "value": value}
    path = _path(release)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(learned))


def forget(release: str) -> None:
    """Forget all that was learnt about a release's archives."""
    _path(release).unlink(missing_ok=True)


def _path(release: str) -> Path:
    return data_folder("cache") / release / "learned.json"


def _read(release: str) -> dict[str, dict[str, Any]]:
    try:
        learned = json.loads(_path(release).read_text())
    except (OSError, ValueError):  # none yet, or damaged: it will be learnt again
        return {}
    return learned if isinstance(learned, dict) and all(isinstance(each, dict) for each in learned.values()) else {}
