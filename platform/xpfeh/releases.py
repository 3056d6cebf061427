"""Gaia's data releases: what differs between them, in one table.

Unpublished facts are from ESA's draft data model of 26 June 2026, ESA's announcements, or DR3's pattern. Names are
candidates in order of preference: `xpfeh.archive` looks up which of them the archive has, and `xpfeh probe` shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from xpfeh.errors import InputError

IDS_PER_REQUEST = 5_000
"""The maximum that the archive's DataLink service accepts (Gaia archive help, as of 2026)."""

_OLD_AND_NEW_STRUCTURES = ("RAW", "DATAMODEL_GAIA")
"""ESA is renaming the first to the second, for all releases (astroquery's pull request 3629, July 2026)."""
_AVAILABILITY = ("has_xp_continuous", "has_xp_mean_spectrum", "has_mean_spectrum_xp", "has_xp_mean", "has_xp")


@dataclass(frozen=True)
class Release:
    """A data release of Gaia.

    Attributes
    ----------
    title : str
        Its name in DataLink.
    ref_epoch : float
        Of positions, Julian year.
    n_coefficients : dict of int
        Of a spectrum, by band.
    models : dict of str, optional
        GaiaXPy's names of its models by band; without them its bases are found by their number.
    schemas : tuple of str
        Possible prefixes of the archive's tables.
    retrieval_types : tuple of str
        Possible names in DataLink of mean XP spectra as coefficients.
    data_structures : tuple of str
        Possible names in DataLink of one file with many stars, with arrays as they are.
    has_xp : tuple of str
        Possible names of the column that marks stars with such spectra.
    columns : dict of str
        The archive's names of columns of spectra, where ours differ.
    all_sources : bool
        Whether tables of all sources, of which gaia_source holds the best, are expected.
    neighbourhood : str, optional
        The archive's table that matches stars of the previous release to this one, without its prefix.
    distances : str, optional
        VizieR's table of Bailer-Jones distances.
    bulk : str, optional
        Folder of the bulk files of spectra.
    """

    title: str
    ref_epoch: float
    n_coefficients: dict[str, int]
    models: dict[str, str] | None
    schemas: tuple[str, ...]
    retrieval_types: tuple[str, ...]
    data_structures: tuple[str, ...]
    has_xp: tuple[str, ...] = _AVAILABILITY
    columns: Mapping[str, str] = field(default_factory=dict)
    all_sources: bool = False
    neighbourhood: str | None = None
    distances: str | None = None
    bulk: str | None = None


RELEASES = {
    "dr3": Release(
        title="Gaia DR3",
        ref_epoch=2016.0,  # Lindegren et al. 2021, DOI 10.1051/0004-6361/202039709
        n_coefficients={"bp": 55, "rp": 55},
        models={"bp": "v375wi", "rp": "v142r"},  # the defaults of gaiaxpy.calibrate (gaiaxpy/calibrator/calibrator.py)
        schemas=("gaiadr3",),
        retrieval_types=("XP_CONTINUOUS", "MEAN_SPECTRUM_XP"),
        data_structures=_OLD_AND_NEW_STRUCTURES,
        distances="I/352/gedr3dis",
        bulk="https://cdn.gea.esac.esa.int/Gaia/gdr3/Spectroscopy/xp_continuous_mean_spectrum",
    ),
    "dr4": Release(
        title="Gaia DR4",
        ref_epoch=2017.5,  # ESA's notebook on the pre-release epoch astrometry, June 2026
        n_coefficients={"bp": 51, "rp": 55},  # GaiaXPy's issue 114 (2024), the only source
        models=None,  # GaiaXPy's issue 151: promised for December 2026
        schemas=("gaiadr4", "gaia_dr4"),  # the first by DR3's pattern; the draft data model gives no prefix
        retrieval_types=("MEAN_SPECTRUM_XP", "XP_CONTINUOUS"),  # astroquery 0.4.11, gaia/__init__.py
        data_structures=_OLD_AND_NEW_STRUCTURES[::-1],
        all_sources=True,
        neighbourhood="dr3_neighbourhood",
    ),
}


def releases_of(n_bp: int | None, n_rp: int | None) -> tuple[str, ...]:
    """Return the data releases whose spectra have these numbers of coefficients; None is any number.

    Raises
    ------
    UserError
        If there is none.

    Examples
    --------
    >>> releases_of(55, 55), releases_of(51, 55)
    (('dr3',), ('dr4',))
    """
    given = {band: number for band, number in (("bp", n_bp), ("rp", n_rp)) if number is not None}
    found = tuple(name for name, release in RELEASES.items() if given.items() <= release.n_coefficients.items())
    if not found:
        known = "; ".join(f"{n}: {r.n_coefficients['bp']} and {r.n_coefficients['rp']}" for n, r in RELEASES.items())
        numbers = " and ".join(f"{number} {band.upper()}" for band, number in given.items())
        raise InputError(f"{numbers} coefficients belong to no known release ({known})")
    return found


def release_named(text: str) -> str | None:
    """Return the data release that a file's header names, if it names one alone.

    Examples
    --------
    >>> release_named("RELEASE = 'Gaia DR4'"), release_named("unique within a particular Data Release")
    ('dr4', None)
    """
    named = {f"dr{digit}" for digit in re.findall(r"gaia[ _]?dr(\d)", text, re.IGNORECASE)}
    return named.pop() if len(named) == 1 else None


def check_release(name: str) -> None:
    """Raise a `UserError` if there is no such release."""
    if name not in RELEASES:
        raise InputError(f"release {name}: unknown; choose {' or '.join(RELEASES)}")
