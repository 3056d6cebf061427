"""The flag bits of a star: one table, used by features, catalogs, documentation and `--help`.

>>> Flag(0b110) == Flag.NO_DUST | Flag.COLOUR_RANGE
True
>>> MEANING[Flag.NEAR_PLANE]
'|Z| <= 0.2 kpc (cut 3)'
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Flag(IntFlag):
    """Bits of the ``flags`` column (uint32); 0 means: nothing to report.

    Published catalogs hold these numbers: a bit is never used for something else.
    """

    BAD_SPECTRUM = 1 << 0
    NO_DUST = 1 << 1
    COLOUR_RANGE = 1 << 2
    NOT_GIANT = 1 << 3
    NEAR_PLANE = 1 << 4
    BAD_PHOTOMETRY = 1 << 5
    CUT_NOT_EVALUATED = 1 << 6
    HIGH_EXTINCTION = 1 << 7
    FAINT = 1 << 8
    LOW_SN = 1 << 9
    NO_PHOTOMETRY = 1 << 10
    MISSING_BAND = 1 << 11
    NO_CORRELATIONS = 1 << 12
    CORRECTION_RANGE = 1 << 13
    OUTSIDE_DOMAIN = 1 << 14
    FEH_EDGE = 1 << 15
    ODD_SN = 1 << 16
    PARALLAX_DISTANCE = 1 << 17
    GIANT_BY_SPECTRUM = 1 << 18
    OWN_EBV = 1 << 19


MEANING: dict[Flag, str] = {
    Flag.BAD_SPECTRUM: "flux or error not finite, or nothing to normalise by: no prediction",
    Flag.NO_DUST: "no E(B-V) at this position: no prediction",
    Flag.COLOUR_RANGE: "(BP-RP)0 outside 0.7 to 1.9, the range of the training stars (cut 2)",
    Flag.NOT_GIANT: "not a red giant (cut 2): by M_G; or, where no distance is known, by LOGG >= 3.5",
    Flag.NEAR_PLANE: "|Z| <= 0.2 kpc (cut 3)",
    Flag.BAD_PHOTOMETRY: "phot_bp_rp_excess_factor too large (cut 1)",
    Flag.CUT_NOT_EVALUATED: "giant or dwarf is not known (cut 2): no colour, or neither M_G nor LOGG with an error "
    "below 0.75 dex",
    Flag.HIGH_EXTINCTION: "E(B-V) >= 0.5: outside the paper's reliable sample",
    Flag.FAINT: "G > 15: fainter than the training stars, the error is an extrapolation",
    Flag.LOW_SN: "median signal-to-noise of the samples below 10",
    Flag.NO_PHOTOMETRY: "Gaia's G, BP or RP is missing: synthesised from the spectrum, cut 1 not evaluated; without a "
    "gaia_source row, position from the source_id",
    Flag.MISSING_BAND: "BP or RP is missing: no prediction",
    Flag.NO_CORRELATIONS: "coefficients came without correlations: flux errors use typical ones (DR4: 0)",
    Flag.CORRECTION_RANGE: "outside the range of the systematics correction",
    Flag.OUTSIDE_DOMAIN: "domain score above the model's threshold: the spectrum is unlike the training stars'",
    Flag.FEH_EDGE: "near or beyond the labels' range: an interval is open, or there is no [Fe/H]",
    Flag.ODD_SN: "signal-to-noise below 0.4 of what is usual at this G: often a blend or a bad spectrum; 4 % of giants",
    Flag.PARALLAX_DISTANCE: "M_G and |Z| from 1/parallax (no distance given): zero point subtracted where known, "
    "parallax_over_error > 5",
    Flag.GIANT_BY_SPECTRUM: "no distance: LOGG decides whether it is a giant (NOT_GIANT); |Z| (cut 3) is not known",
    Flag.OWN_EBV: "E(B-V) is the one that came with the star, not the dust map's",
}

NO_PREDICTION = Flag.BAD_SPECTRUM | Flag.NO_DUST
"""A star with either has no [Fe/H]. One without BP or RP has BAD_SPECTRUM as well."""

OUTSIDE_PAPER_SAMPLE = Flag.COLOUR_RANGE | Flag.NOT_GIANT | Flag.NEAR_PLANE | Flag.BAD_PHOTOMETRY
"""A star with any of these fails cuts 1 to 3 of the paper (section 2.3)."""

INFORMATIVE = Flag.HIGH_EXTINCTION | Flag.PARALLAX_DISTANCE | Flag.NO_PHOTOMETRY | Flag.GIANT_BY_SPECTRUM | Flag.OWN_EBV
"""Flags about where a star is, or where a number comes from; nothing is wrong with such a star."""

NOT_GOOD = (
    Flag.BAD_SPECTRUM | Flag.NO_DUST | Flag.MISSING_BAND | Flag.NOT_GIANT | Flag.CUT_NOT_EVALUATED | Flag.LOW_SN
    | Flag.CORRECTION_RANGE | Flag.OUTSIDE_DOMAIN | Flag.FEH_EDGE | Flag.ODD_SN
)  # fmt: skip
"""A star with any of these is not good.

BAD_PHOTOMETRY is not among them: behind dust, cut 1 in the dereddened colour marks the dust. Of 16,646 unseen
development stars that have none of these flags, it is on 3,098, of which 3,012 have E(B-V) >= 0.5, with a MAE of 0.107
compared with 0.101 for the others there. Below E(B-V) = 0.2 it is on 19 of 5,143, which change the MAE from 0.0660 to
0.0666 and the share of dwarfs from 2.8 to 2.9 % (2026-11-29).
"""

BEYOND_PAPER = OUTSIDE_PAPER_SAMPLE | Flag.HIGH_EXTINCTION
"""A star with any of these is not good either, if the model was trained on the paper's stars alone."""

GOOD = (
    "a giant with a sound spectrum that is like those the model learned from, and an [Fe/H] whose interval is closed "
    "on both sides"
)
"""The definition of a good star, also the description of the column ``good``."""


def not_good(whole_sky: bool) -> Flag:
    """Return the flags that a good star must not have; see `is_good`."""
    return NOT_GOOD if whole_sky else NOT_GOOD | BEYOND_PAPER


def is_good(flags: NDArray[np.uint32], whole_sky: bool) -> NDArray[np.bool_]:
    """Return whether each of N stars is `GOOD`, by its flags: the column ``good``.

    Parameters
    ----------
    flags : (N,) uint32
        Of a catalog.
    whole_sky : bool
        Whether the model was trained on stars of the whole sky, or on the paper's alone.

    Examples
    --------
    >>> flags = np.array([0, Flag.FAINT, Flag.NOT_GIANT, Flag.HIGH_EXTINCTION], dtype=np.uint32)
    >>> is_good(flags, whole_sky=True).tolist(), is_good(flags, whole_sky=False).tolist()
    ([True, True, False, True], [True, True, False, False])
    """
    return (flags & np.uint32(not_good(whole_sky))) == 0


def names(stars: Any) -> NDArray[np.str_]:
    """Return the names of each star's flags as one text, such as ``"FAINT NO_CORRELATIONS"``; empty if it has none.

    Parameters
    ----------
    stars
        A table of any kind with a column ``flags``, or the (N,) flags themselves.

    Returns
    -------
    (N,) str

    Examples
    --------
    >>> names({"flags": [4352, 0]}).tolist()
    ['FAINT NO_CORRELATIONS', '']
    """
    is_table = isinstance(stars, Mapping) or hasattr(stars, "columns")
    flags = np.nan_to_num(np.ma.filled(stars["flags"] if is_table else stars, 0))  # NaN: a star without a result
    each, place = np.unique(flags.astype(np.uint32), return_inverse=True)
    texts = np.array([" ".join(str(flag.name) for flag in Flag(value)) for value in each.tolist()], dtype=np.str_)
    return texts[place]


def bits(conditions: Mapping[Flag, NDArray[np.bool_]]) -> NDArray[np.uint32]:
    """Return (N,) flags: each bit is set where its condition (N,) holds.

    Examples
    --------
    >>> bits({Flag.FAINT: np.array([True, False]), Flag.LOW_SN: np.array([True, True])}).tolist()
    [768, 512]
    """
    return np.bitwise_or.reduce([np.where(holds, np.uint32(bit), np.uint32(0)) for bit, holds in conditions.items()])
