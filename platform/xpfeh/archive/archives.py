"""The services that have Gaia's data: ESA's archive and its mirrors, in the order in which they are queried.

Known from public code (ESA: astroquery; ARI: the GAVO data centre's scripts; AIP: its documentation of TAP and its
metadata pages). No mirror has been tested live: see docs/ingest.md.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field, replace

from xpfeh.errors import Notice, UserError


@dataclass(frozen=True)
class GaiaArchive:
    """A service that has Gaia's tables.

    Attributes
    ----------
    name : str
        The value of `--archive`.
    title : str
        Name in messages.
    tap : str
        Table Access Protocol (IVOA TAP 1.1).
    spectra : str, optional
        Its table of coefficients, without the release's prefix, where TAP serves them.
    data, links : str, optional
        DataLink's services: spectra by source_id, and the list of a source's products.
    login : str, optional
        URL of the login.
    """

    name: str
    title: str
    tap: str
    spectra: str | None = None
    data: str | None = None
    links: str | None = None
    login: str | None = None


ESA = GaiaArchive(
    name="esa",
    title="ESA's Gaia archive",
    tap="https://gea.esac.esa.int/tap-server/tap",
    data="https://gea.esac.esa.int/data-server/data",
    links="https://gea.esac.esa.int/data-server/datalink/links",
    login="https://gea.esac.esa.int/tap-server/login",
)
ARI = GaiaArchive(
    name="ari",
    title="ARI Heidelberg",
    tap="https://gaia.ari.uni-heidelberg.de/tap",
    spectra="xp_continuous_mean_spectrum",
)
AIP = GaiaArchive(
    name="aip",
    title="Gaia@AIP",
    tap="https://gaia.aip.de/tap",
    spectra="xp_continuous_mean_spectrum",
)


_BELIEVED_S = 120.0  # an endpoint runs for weeks: the state of a service is checked again after this long


class ServiceState:
    """What a process knows about services, by URL: which have answered, and which are down."""

    def __init__(self) -> None:
        self._answered: dict[str, float] = {}
        self._down: dict[str, tuple[float, str]] = {}
        self._noticed: set[str] = set()

    def answered(self, url: str) -> None:
        """Record that a service has answered."""
        self._answered[url] = time.monotonic() + _BELIEVED_S
        self._down.pop(url, None)

    def has_answered(self, url: str) -> bool:
        """Return whether a service has answered recently."""
        return time.monotonic() < self._answered.get(url, 0.0)

    def any_has_answered(self) -> bool:
        """Return whether at least one service has answered recently."""
        return any(map(self.has_answered, list(self._answered)))

    def down(self, url: str, reason: str) -> None:
        """Record that a service is down."""
        self._answered.pop(url, None)
        self._down[url] = (time.monotonic() + _BELIEVED_S, reason)

    def notice(self, line: str) -> None:
        """Issue a warning, once per process."""
        if line not in self._noticed:
            self._noticed.add(line)
            warnings.warn(line, Notice, stacklevel=4)

    def why_down(self, url: str) -> str | None:
        """Return the reason not to query a service now, or None."""
        until, reason = self._down.get(url, (0.0, ""))
        return reason if time.monotonic() < until else None


@dataclass(frozen=True)
class Services:
    """The services' addresses, and how long to wait for them.

    Attributes
    ----------
    archives : tuple of GaiaArchive
        In the order in which they are queried.
    vizier_tap : str
        TAP of VizieR.
    timeout_s : float
        Maximum silence of a service that has answered before, s.
    answer_s : float
        Maximum silence before a service's first answer, s: a small query, which takes the archive about a second.
        Two of them, to DataLink's links and to TAP, fit into twenty seconds.
    attempts : int
        Requests before giving up on a service that has answered before.
    pause_s : float
        Wait before the second attempt, s; it doubles each time.
    patience_s : float
        No attempt starts later than this, s, at a service that has not answered before.
    state : ServiceState
        What this process knows about the services.
    """

    archives: tuple[GaiaArchive, ...] = (ESA, ARI, AIP)
    vizier_tap: str = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"
    timeout_s: float = 120.0
    answer_s: float = 9.0
    attempts: int = 5
    pause_s: float = 2.0
    patience_s: float = 9.0
    state: ServiceState = field(default_factory=ServiceState, compare=False, repr=False)

    def only(self, name: str | None) -> Services:
        """Return the services with only the named archive, and more time for its first answer; all if no name is given.

        Raises
        ------
        UserError
            If no archive has this name.

        Examples
        --------
        >>> [archive.title for archive in PUBLIC.only("ari").archives]
        ['ARI Heidelberg']
        """
        if name is None:
            return self
        chosen = tuple(archive for archive in self.archives if archive.name == name)
        if not chosen:
            raise UserError(f"--archive {name}: choose one of {', '.join(archive.name for archive in self.archives)}")
        return replace(self, archives=chosen, answer_s=self.timeout_s)


PUBLIC = Services()
"""The public services; tests use a local server instead."""

INTERACTIVE = replace(PUBLIC, timeout_s=20.0, answer_s=3.0, attempts=2, patience_s=0.0)
"""The same for a request that someone is waiting for: a silent service gets 3 s, or twice 20 s if it has answered
before."""
