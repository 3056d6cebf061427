"""Gaia's archive behind the endpoint: queried for two requests at a time, and no longer than a request may take.

So a slow or unreachable archive costs requests for its stars an error, and other requests nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore

import numpy as np
from numpy.typing import NDArray

from xpfeh.archive.archives import INTERACTIVE, Services
from xpfeh.errors import ArchiveError, UserError
from xpfeh.sources.reader import SpectraFile

AT_ONCE, WAIT_S = 2, 20.0  # WAIT_S: less than the proxy's request_timeout_s
SILENCE_S = 4.0  # an archive that is up answers its first, short query within about a second


class Archive:
    """Downloads spectra of stars of a data release; what comes too late for a request is cached for the next one."""

    def __init__(self, release: str, services: Services = INTERACTIVE) -> None:
        self._release, self._services = release, services
        self._threads, self._free = ThreadPoolExecutor(AT_ONCE), Semaphore(AT_ONCE)

    def bring(self, ids: NDArray[np.int64]) -> SpectraFile:
        """Return the spectra of stars.

        Raises
        ------
        UserError
            If the archive refuses, has given no sign of life in `SILENCE_S`, has not answered in `WAIT_S`, or is busy
            with other requests.
        """
        from xpfeh.archive.cache import bring  # pyvo and astroquery take 75 MB: not before they are needed

        if not self._free.acquire(blocking=False):
            raise UserError("Gaia's archive is being queried for other requests; retry later, or send the spectra")
        query = self._threads.submit(bring, ids, self._release, self._services)
        query.add_done_callback(lambda _: self._free.release())
        try:
            return query.result(SILENCE_S)
        except (TimeoutError, ArchiveError):
            if not self._services.state.any_has_answered():
                raise UserError(
                    "Gaia's archive cannot be reached, nor can a mirror; retry later, or send the spectra"
                ) from None
        try:
            return query.result(WAIT_S - SILENCE_S)
        except TimeoutError:
            raise UserError(
                f"Gaia's archive has not answered in {WAIT_S:g} s; retry later (its answer will be cached), "
                "or send the spectra"
            ) from None
