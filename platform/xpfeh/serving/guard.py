"""Who may use an endpoint, and how much: the keys of its file, applied to requests."""

from __future__ import annotations

import logging

from fastapi import Request
from ray.util.metrics import Counter
from starlette.exceptions import HTTPException

from xpfeh.serving.keys import Key, Keys, Scope, Spending
from xpfeh.serving.problems import too_many

_STARS = Counter("xpfeh_stars_asked", "Stars requested", ("key",))


class Guard:
    """Admits requests, and counts their stars.

    Parameters
    ----------
    keys : str, optional
        Key file; without one everybody is admitted.
    """

    def __init__(self, keys: str | None) -> None:
        self._keys = Keys(keys) if keys else None
        self._spending = Spending()

    def admit(self, request: Request, scope: Scope) -> Key | None:
        """Return the key of a request, or None if no key is needed.

        Raises
        ------
        HTTPException
            401 without a valid key, 403 for what it may not do, 429 for too many requests.
        """
        if self._keys is None:
            return None
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        key = self._keys.find(token.strip()) if kind.lower() == "bearer" else None
        if key is None:
            raise HTTPException(401, "a key is needed: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})
        if scope not in key.scopes:
            raise HTTPException(403, f"the key of {key.name} may not {scope}")
        if seconds := self._spending.ask(key):
            raise too_many(f"{key.requests_per_minute:,} requests a minute", seconds)
        return key

    def spend(self, key: Key | None, stars: int) -> None:
        """Count stars, before they are computed; raises as `check`."""
        self.check(key, stars)
        self.count(key, stars)

    def check(self, key: Key | None, stars: int) -> None:
        """Refuse stars beyond a key's limit.

        Raises
        ------
        HTTPException
            429 if the key has fewer left today, 422 if its daily limit is lower.
        """
        if key and stars > key.stars_per_day:
            raise HTTPException(422, f"the limit of this key is {key.stars_per_day:,} stars a day; send fewer")
        if key and (seconds := self._spending.wait_s(key, stars)):
            raise too_many(f"{key.stars_per_day:,} stars a day", seconds)

    def count(self, key: Key | None, stars: int) -> None:
        """Count stars that a key may have."""
        if key:
            self._spending.spend(key, stars)
        name = key.name if key else "none"
        _STARS.inc(stars, {"key": name})
        logging.getLogger("ray.serve").info("key %s requested %d stars", name, stars)
