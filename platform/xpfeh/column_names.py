"""Column names in tables: our own, and those of Gaia's archive, VizieR and TOPCAT.

Case never matters. Of several names with the same meaning the first in the order below is used; two columns whose names
differ only in case must hold the same values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from xpfeh.errors import InputError

_OWN = (("ra", "dec"), ("ra", "de"), ("ra", "decl"))
_ICRS = (("ra_icrs", "de_icrs"), ("radeg", "dedeg"), ("_ra_icrs", "_de_icrs"), ("_ra", "_de"))
_J2000 = (("raj2000", "dej2000"), ("_raj2000", "_dej2000"))
_PAIRS = (*_OWN, *_ICRS, *_J2000)
"""Right ascension and declination in one system, by preference: our own names, ICRS at the catalog's epoch, then J2000.
Those with an underscore are computed by VizieR."""

GAIA: Mapping[str, tuple[str, ...]] = {
    # `GaiaDR2` is left out: it identifies other stars. In tables of the literature Source is often a survey: last.
    "source_id": ("gaiadr3", "gaiaedr3", "gaiadr3_source_id", "gaiaedr3_source_id", "source"),
    "ra": tuple(dict.fromkeys(ra for ra, _ in _PAIRS)),
    "dec": tuple(dict.fromkeys(dec for _, dec in _PAIRS)),
    "phot_g_mean_mag": ("gmag",),
    "phot_bp_mean_mag": ("bpmag",),
    "phot_rp_mean_mag": ("rpmag",),
    "phot_bp_rp_excess_factor": ("e(bp/rp)", "e_bp_rp_"),  # VizieR's and astroquery's; E(BP-RP) is a reddening
    "parallax": ("plx",),
    "parallax_error": ("e_plx",),
    "parallax_over_error": ("rplx",),
    "nu_eff_used_in_astrometry": ("nueff",),
    "pseudocolour": ("pscol",),
    "astrometric_params_solved": ("solved",),
    "ecl_lat": ("elat",),
    "pmdec": ("pmde",),
    "ebv": ("e(b-v)", "e_b-v_", "e_bv"),  # VizieR's and astroquery's; e_B-V is the error of a colour
    "rgeo": ("r_med_geo",),  # VizieR's I/352 has the 16th and 84th percentiles too, as b_rgeo and B_rgeo
}
"""Other names of the columns of Gaia stars (lower case), in order of preference."""

LITERATURE: Mapping[str, tuple[str, ...]] = {
    "ra": ("ra", "raj2000", "radeg", "raicrs", "ra2000"),
    "dec": ("dec", "decl", "de", "dej2000", "decj2000", "dedeg", "decdeg", "deicrs", "decicrs", "dec2000"),
    "feh": ("feh",),
    "logg": ("logg",),
    "name": ("object", "name", "id", "star", "mainid", "objectname"),
    "bibcode": ("bibcode", "bibref"),
    "year": ("year", "pubyear"),
    "limit": ("lfeh", "ulfeh", "ulfe", "limitfeh", "flagfeh"),
    "source_id": ("sourceid", *(re.sub("_", "", name) for name in GAIA["source_id"])),
    "feh_err": ("efeh",),
}
"""Column names in tables of the literature, see `plain`: [Fe/H], __Fe_H_ and FEH are all ``feh``. J2000 positions come
first: compilations are matched at that epoch."""


def plain(name: str) -> str:
    """Return a name as lower-case letters and digits only.

    >>> plain("__Fe_H_")
    'feh'
    """
    return re.sub("[^a-z0-9]", "", name.lower())


class Spellings(Collection[str]):
    """Column names, compared by their spelling, such as their lower case.

    >>> "SOURCE_ID" in Spellings(["source_id"]), "[Fe/H]" in Spellings(["feh"], plain)
    (True, True)
    """

    def __init__(self, names: Iterable[str], spelling: Callable[[str], str] = str.lower) -> None:
        self._spelling = spelling
        self._names = frozenset(map(spelling, names))

    def __contains__(self, name: object) -> bool:
        return self._spelling(str(name)) in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def spellings_of(names: Iterable[str]) -> Spellings:
    """Return all names that these columns of Gaia stars, given by our names, may have.

    >>> "RAJ2000" in spellings_of(["ra"])
    True
    """
    return Spellings(each for name in names for each in (name, *GAIA.get(name, ())))


def find_columns(there: Sequence[str], names: Collection[str], j2000_first: bool = False) -> dict[str, list[str]]:
    """Return a table's columns for each of our names; several for one name only if they differ in case alone.

    Parameters
    ----------
    there : sequence of str
        The table's columns.
    names : collection of str
        Ours. A column that has exactly one of these names is never used for another one.
    j2000_first : bool
        Whether positions at J2000 come right after ``ra`` and ``dec`` in the order of preference.

    Examples
    --------
    >>> find_columns(["Source", "RAJ2000", "DEJ2000", "RA_ICRS", "DE_ICRS"], ["source_id", "ra", "dec"])
    {'source_id': ['Source'], 'ra': ['RA_ICRS'], 'dec': ['DE_ICRS']}
    >>> find_columns(["b_rgeo", "B_rgeo"], ["rgeo"])
    {}
    """
    by_lower: dict[str, list[str]] = {}
    for column in dict.fromkeys(there):
        by_lower.setdefault(column.lower(), []).append(column)
    spellings = {name: (name.lower(), *GAIA.get(name, ())) for name in names}
    if {"ra", "dec"} <= spellings.keys():
        spellings |= _position(by_lower.keys(), j2000_first)
    found = {}
    for name, candidates in spellings.items():
        columns = next((by_lower[spelling] for spelling in candidates if spelling in by_lower), [])
        own = [column for column in columns if column == name or column not in names]
        if own:
            found[name] = sorted(own, key=lambda column: column != name)
    return found


def _position(there: Collection[str], j2000_first: bool) -> dict[str, tuple[str, ...]]:
    """Return the spellings of right ascension and declination in one system; systems are never mixed."""
    ordered = (*_OWN, *_J2000, *_ICRS) if j2000_first else _PAIRS
    ra, dec = max(ordered, key=lambda pair: sum(name in there for name in pair))  # the first pair that is complete
    return {"ra": (ra,), "dec": (dec,)}


def at_j2000(column: str) -> bool:
    """Return whether a right ascension with this name is at epoch 2000, as VizieR computes it from Gaia's.

    >>> at_j2000("RAJ2000"), at_j2000("RA_ICRS")
    (True, False)
    """
    return column.lower() in {ra for ra, _ in _J2000}


def one_each(found: Mapping[str, Sequence[str]], same: Callable[[str, str], bool], path: object) -> dict[str, str]:
    """Return the one column for each of our names.

    Parameters
    ----------
    found : mapping
        From `find_columns`.
    same : callable
        Whether two columns hold the same values.
    path : object
        Name of the table in messages.

    Raises
    ------
    UserError
        If two columns whose names differ only in case hold different values.

    Examples
    --------
    >>> one_each({"ra": ["ra", "RA"]}, lambda a, b: True, "stars.csv")
    {'ra': 'ra'}
    """
    for first, *others in found.values():
        for other in others:
            if not same(first, other):
                raise InputError(
                    f"{path}: the columns {first} and {other} differ only in case but hold different values; keep one"
                )
    return {name: columns[0] for name, columns in found.items()}
