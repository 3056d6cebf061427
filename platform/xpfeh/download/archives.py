"""Where Gaia's data are: ESA's archive and its mirrors, in one table, in the order in which they are asked.

Known from public code (ESA: astroquery; ARI: the GAVO data centre's scripts; AIP: its documentation of TAP and its
metadata pages). No mirror was tried from here: see docs/dr4.md.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field, replace

from xpfeh.errors import Notice, UserError


@dataclass(frozen=True)
class Archive:
    """A service that has Gaia's tables.

    Attributes
    ----------
    name : str
        As `--archive` takes it.
    title : str
        As messages call it.
    tap : str
        Table Access Protocol (IVOA TAP 1.1).
    spectra : str, optional
        Its table of coefficients, without the release's prefix, where TAP serves them.
    data, links : str, optional
        DataLink's services: spectra by source_id, and which products a source has.
    login : str, optional
        Where a user logs in.
    """

    name: str
    title: str
    tap: str
    spectra: str | None = None
    data: str | None = None
    links: str | None = None
    login: str | None = None


ESA = Archive(
    name="esa",
    title="ESA's Gaia archive",
    tap="https://gea.esac.esa.int/tap-server/tap",
    data="https://gea.esac.esa.int/data-server/data",
    links="https://gea.esac.esa.int/data-server/datalink/links",
    login="https://gea.esac.esa.int/tap-server/login",
)
ARI = Archive(
    name="ari",
    title="ARI Heidelberg",
    tap="https://gaia.ari.uni-heidelberg.de/tap",
    spectra="xp_continuous_mean_spectrum",
)
AIP = Archive(
    name="aip",
    title="Gaia@AIP",
    tap="https://gaia.aip.de/tap",
    spectra="xp_continuous_mean_spectrum",
)


_AWAY_S = 120.0  # an endpoint runs for weeks: what was away is tried again after this long


class State:
    """What a process has seen of services, by URL: which have answered, and which are away."""

    def __init__(self) -> None:
        self._answered: set[str] = set()
        self._away: dict[str, tuple[float, str]] = {}
        self._noticed: set[str] = set()

    def answered(self, url: str) -> None:
        """Take down that a service has answered."""
        self._answered.add(url)
        self._away.pop(url, None)

    def has_answered(self, url: str) -> bool:
        """Return whether a service has answered."""
        return url in self._answered

    def away(self, url: str, reason: str) -> None:
        """Take down that a service is away."""
        self._answered.discard(url)
        self._away[url] = (time.monotonic() + _AWAY_S, reason)

    def notice(self, line: str) -> None:
        """Warn of something, once a process."""
        if line not in self._noticed:
            self._noticed.add(line)
            warnings.warn(line, Notice, stacklevel=4)

    def why_away(self, url: str) -> str | None:
        """Return why a service is not to be asked now."""
        until, reason = self._away.get(url, (0.0, ""))
        return reason if time.monotonic() < until else None


@dataclass(frozen=True)
class Services:
    """Where the services are, and how patient to be with them.

    Attributes
    ----------
    archives : tuple of Archive
        In the order in which they are asked.
    vizier_tap : str
        TAP of VizieR.
    timeout_s : float
        Longest silence of a service in the middle of its work, s.
    answer_s : float
        Longest silence before a service's first answer, s: a small question, that takes the archive about a second.
        Two of them, of DataLink's links and of TAP, are over within twenty.
    attempts : int
        Requests before giving up a service that has answered before.
    pause_s : float
        Wait before the second attempt, s; it doubles each time.
    patience_s : float
        No attempt begins later than this, s, at a service that has not answered before.
    state : State
        Of the services, as this process has seen them.
    """

    archives: tuple[Archive, ...] = (ESA, ARI, AIP)
    vizier_tap: str = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"
    timeout_s: float = 120.0
    answer_s: float = 9.0
    attempts: int = 5
    pause_s: float = 2.0
    patience_s: float = 9.0
    state: State = field(default_factory=lambda: State(), compare=False, repr=False)

    def only(self, name: str | None) -> Services:
        """Return the services with one archive alone, which is then waited for, or as they are without a name.

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
            raise UserError(f"--archive {name}: there are {', '.join(archive.name for archive in self.archives)}")
        return replace(self, archives=chosen, answer_s=self.timeout_s)


PUBLIC = Services()
"""The services that everyone uses; tests give a server of this machine."""
