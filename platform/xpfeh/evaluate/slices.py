"""The slices of held-out stars in reports, by short, stable names."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from xpfeh.flags import Flag
from xpfeh.typing import Columns

ALL, UNFLAGGED = "all", "unflagged"
BOTH_SAMPLES = (ALL, UNFLAGGED)
"""Always both samples: flags may explain outliers, but must not hide them."""

G_EDGES = (0.0, 11.0, 12.0, 13.0, 14.0, 15.0, 21.0)
"""Labelled stars end near 15, all of Gaia at 21."""
EBV_EDGES = (0.0, 0.02, 0.05, 0.12, 0.2)
"""Test stars end at 0.2 (paper, cut 4)."""
FEH_LIMITS = (-1.0, -2.0, -2.5)
"""Limits in true [Fe/H], dex. APOGEE's grid ends at -2.5."""
ALPHA_LOW, ALPHA_HIGH = 0.1, 0.2
"""[alpha/M], dex: the gap between the two sequences of the disk."""
LITERATURE_BELOW = -2.4
"""Dex. Below it, all labels are from the literature: none are APOGEE's."""

EBV_SLICES = ("ebv<0.02", "0.02<=ebv<0.05", "0.05<=ebv<0.12", "0.12<=ebv<0.2")
ALPHA_SLICES = ("alpha<0.1", "alpha>=0.2")
LITERATURE = "literature<-2.4"
APOGEE = "apogee"


def unflagged(flags: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return whether each of N stars has none of the flags for doubtful [Fe/H].

    Examples
    --------
    >>> unflagged(np.array([0, Flag.FAINT, Flag.FAINT | Flag.OUTSIDE_DOMAIN], dtype=np.uint32)).tolist()
    [True, True, False]
    """
    doubtful = Flag.ODD_SN | Flag.OUTSIDE_DOMAIN | Flag.FEH_EDGE
    return (flags & np.uint32(doubtful)) == 0


def from_literature(reference: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return whether each of N labels comes from the literature: it has a reference other than APOGEE.

    Examples
    --------
    >>> from_literature(np.array(["APOGEE DR17", "", "Roederer et al. 2014"])).tolist()
    [False, False, True]
    """
    text = np.asarray(reference, dtype=np.str_)
    return (text != "") & ~np.char.startswith(text, "APOGEE")


def slices_of(stars: Columns) -> dict[str, NDArray[np.bool_]]:
    """Return the (N,) stars in each slice, by its name.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``feh`` (true, dex), ``flags`` (of the catalog), ``ebv`` and ``phot_g_mean_mag`` (mag), ``alpha_m`` (dex, NaN
        where unknown) and ``reference`` (of the label).

    Examples
    --------
    >>> numbers = ("feh", "ebv", "phot_g_mean_mag", "alpha_m")
    >>> stars = dict.fromkeys(numbers, np.zeros(1)) | {"flags": np.zeros(1, np.uint32), "reference": np.array([""])}
    >>> list(slices_of(stars))[:12]
    ['all', 'unflagged', 'feh<-1', 'feh<-2', 'feh<-2.5', 'literature<-2.4', 'apogee',
     'ebv<0.02', '0.02<=ebv<0.05', '0.05<=ebv<0.12', '0.12<=ebv<0.2', 'alpha<0.1']
    """
    feh, ebv, g_mag, alpha = (stars[name] for name in ("feh", "ebv", "phot_g_mean_mag", "alpha_m"))
    slices = {ALL: np.ones(len(feh), dtype=bool), UNFLAGGED: unflagged(stars["flags"])}
    slices |= {f"feh<{limit:g}": feh < limit for limit in FEH_LIMITS}
    literature = from_literature(stars["reference"])
    slices |= {LITERATURE: literature & (feh < LITERATURE_BELOW), APOGEE: ~literature}
    dusty = [(ebv >= low) & (ebv < high) for low, high in pairwise(EBV_EDGES)]
    slices |= dict(zip(EBV_SLICES, dusty, strict=True))
    slices |= dict(zip(ALPHA_SLICES, (alpha < ALPHA_LOW, alpha >= ALPHA_HIGH), strict=True))
    slices |= {f"{low:g}<=G<{high:g}": (g_mag >= low) & (g_mag < high) for low, high in pairwise(G_EDGES)}
    return slices
