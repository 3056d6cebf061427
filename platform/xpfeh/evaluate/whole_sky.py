"""The labelled stars of the whole sky, in groups: giants behind any amount of dust and in the plane, and dwarfs.

The numbers to quote are those of the paper's stars (`xpfeh.evaluate.slices`), which are giants far from the plane and
behind little dust. A model trained on the whole sky must be right here too, including its uncertainties.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from xpfeh.columns import rows_of
from xpfeh.evaluate.metrics import with_errors
from xpfeh.evaluate.slices import ALL, BOTH_SAMPLES, unflagged
from xpfeh.labels.cuts import MAX_LOGG
from xpfeh.typing import Columns

EVERY, GIANTS, PLANE, DWARFS = "all", "giants", "giants |b|<10", "dwarfs"
DUSTY = (
    "giants ebv<0.2", "giants 0.2<=ebv<0.5", "giants 0.5<=ebv<0.8", "giants 0.8<=ebv<1.5", "giants ebv>=1.5",
)  # fmt: skip
DUSTIEST = ("giants 1.5<=ebv<3", "giants ebv>=3")
"""The last of `DUSTY`, split in two."""
TITLES = {
    EVERY: "all",
    GIANTS: "giants",
    **dict(zip(DUSTY, ("giants, E(B−V) < 0.2", "0.2 to 0.5", "0.5 to 0.8", "0.8 to 1.5", "1.5 and more"), strict=True)),
    **dict(zip(DUSTIEST, ("of which 1.5 to 3", "of which 3 and more"), strict=True)),
    PLANE: "giants, |b| < 10°",
    DWARFS: "dwarfs and subgiants",
}
"""Names of the groups in tables, in order."""

_EBV_EDGES = (0.0, 0.2, 0.5, 0.8, 1.5, np.inf)  # mag; the paper's stars end at 0.2, its reliable sample at 0.5
_DUSTIEST_EDGES = (1.5, 3.0, np.inf)
_PLANE_DEG = 10.0


def is_giant(logg: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return whether each of N stars is a giant by its surface gravity (dex); False if that is unknown.

    Examples
    --------
    >>> is_giant(np.array([2.4, 3.5, np.nan])).tolist()
    [True, False, False]
    """
    return logg < MAX_LOGG


def in_plane(stars: Columns) -> NDArray[np.bool_]:
    """Return whether each of N stars, by its Galactic latitude ``b`` (deg), is within 10 degrees of the plane."""
    return np.abs(stars["b"]) < _PLANE_DEG


def groups_of(stars: Columns) -> dict[str, NDArray[np.bool_]]:
    """Return the stars in each group of `TITLES` as (N,) masks, by group.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        ``logg`` (of the label, dex, NaN where unknown), ``ebv`` (mag) and ``b`` (deg).

    Examples
    --------
    >>> stars = {"logg": np.array([2.0, 2.0, 4.5]), "ebv": np.array([0.1, 3.5, 0.3]), "b": np.array([30.0, -1.0, 5.0])}
    >>> {name: chosen.tolist() for name, chosen in groups_of(stars).items() if chosen[1]}
    {'all': [True, True, True], 'giants': [True, True, False], 'giants ebv>=1.5': [False, True, False],
     'giants ebv>=3': [False, True, False], 'giants |b|<10': [False, True, False]}
    """
    giants, ebv = is_giant(stars["logg"]), stars["ebv"]
    groups = {EVERY: np.ones(len(ebv), dtype=bool), GIANTS: giants}
    for names, edges in ((DUSTY, _EBV_EDGES), (DUSTIEST, _DUSTIEST_EDGES)):
        between = [giants & (ebv >= low) & (ebv < high) for low, high in pairwise(edges)]
        groups |= dict(zip(names, between, strict=True))
    return groups | {PLANE: giants & in_plane(stars), DWARFS: stars["logg"] >= MAX_LOGG}


def sky_numbers(stars: Columns) -> dict[str, dict[str, dict[str, float]]]:
    """Return `xpfeh.evaluate.metrics.with_errors` for each group, for all its stars and for the unflagged ones.

    Parameters
    ----------
    stars : mapping of (N,) arrays
        As in `with_errors` and `groups_of`, and ``flags`` (of the catalog).

    Returns
    -------
    dict
        By group, then "all" or "unflagged", then the number's name.
    """
    clean = unflagged(stars["flags"])
    return {
        group: {sample: with_errors(rows_of(stars, chosen & (clean | (sample == ALL)))) for sample in BOTH_SAMPLES}
        for group, chosen in groups_of(stars).items()
    }
