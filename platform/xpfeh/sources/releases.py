"""Gaia's data releases: all that differs between them, in one table.

What is not published yet is what ESA has announced or what DR3's pattern suggests; `xpfeh probe dr4` asks the archive
whether it holds, and this file is the one to change where it does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from xpfeh.errors import UserError

IDS_PER_REQUEST = 5_000
"""The most that the archive's DataLink service takes (Gaia archive help, as of 2026)."""


@dataclass(frozen=True)
class Release:
    """A data release of Gaia.

    Attributes
    ----------
    title : str
        What DataLink calls it.
    ref_epoch : float
        Of positions, Julian year.
    n_coefficients : dict of int
        Of a spectrum, by band.
    models : dict of str, optional
        GaiaXPy's names of its models by band; without them its bases are found by their number.
    retrieval_type : str
        What DataLink calls mean XP spectra as coefficients.
    data_structures : tuple of str
        What DataLink may call one file of many stars, with arrays as they are; tried in this order.
    columns : dict of str
        The archive's names of columns of spectra that have another name here.
    gaia_source : str
        The archive's table of positions and photometry.
    has_xp : str
        Its column (true or false) that tells which stars have such spectra.
    neighbourhood : str, optional
        The archive's table of which stars of the release before are which of this.
    neighbours : tuple of str, optional
        Its columns of identifiers, those of the release before first.
    distances : str, optional
        VizieR's table of Bailer-Jones distances.
    bulk : str, optional
        Folder of the bulk files of spectra.
    """

    title: str
    ref_epoch: float
    n_coefficients: dict[str, int]
    models: dict[str, str] | None
    retrieval_type: str
    data_structures: tuple[str, ...]
    gaia_source: str
    has_xp: str
    columns: Mapping[str, str] = field(default_factory=dict)
    neighbourhood: str | None = None
    neighbours: tuple[str, str] | None = None
    distances: str | None = None
    bulk: str | None = None


RELEASES = {
    "dr3": Release(
        title="Gaia DR3",
        ref_epoch=2016.0,  # Lindegren et al. 2021, DOI 10.1051/0004-6361/202039709
        n_coefficients={"bp": 55, "rp": 55},
        models={"bp": "v375wi", "rp": "v142r"},  # the defaults of gaiaxpy.calibrate (gaiaxpy/calibrator/calibrator.py)
        retrieval_type="XP_CONTINUOUS",
        data_structures=("RAW",),
        gaia_source="gaiadr3.gaia_source",
        has_xp="has_xp_continuous",
        distances="I/352/gedr3dis",
        bulk="https://cdn.gea.esac.esa.int/Gaia/gdr3/Spectroscopy/xp_continuous_mean_spectrum",
    ),
    "dr4": Release(
        title="Gaia DR4",
        ref_epoch=2017.5,
        n_coefficients={"bp": 51, "rp": 55},  # GaiaXPy's issue 114 (2024), the only source
        models=None,  # GaiaXPy's issue 151: promised for December 2026
        retrieval_type="MEAN_SPECTRUM_XP",  # astroquery 0.4.12.dev, gaia/core.py
        data_structures=("DATAMODEL_GAIA", "RAW"),  # the same; whether the old name works is not known
        gaia_source="gaiadr4.gaia_source",  # by DR3's pattern
        has_xp="has_xp_continuous",  # by DR3's pattern
        neighbourhood="gaiadr4.dr3_neighbourhood",
        neighbours=("dr3_source_id", "dr4_source_id"),  # by the pattern of gaiadr3.dr2_neighbourhood
    ),
}


def releases_of(n_bp: int, n_rp: int) -> tuple[str, ...]:
    """Return the data releases whose spectra have so many coefficients a band.

    Raises
    ------
    UserError
        If no known release has.

    Examples
    --------
    >>> releases_of(55, 55), releases_of(51, 55)
    (('dr3',), ('dr4',))
    """
    found = tuple(name for name, release in RELEASES.items() if release.n_coefficients == {"bp": n_bp, "rp": n_rp})
    if not found:
        known = "; ".join(f"{n}: {r.n_coefficients['bp']} and {r.n_coefficients['rp']}" for n, r in RELEASES.items())
        raise UserError(f"{n_bp} BP and {n_rp} RP coefficients belong to no known release ({known})")
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
        raise UserError(f"release {name}: there are {', '.join(RELEASES)}")
