"""The cuts that select the paper's training stars (section 2.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xpfeh.flags import NO_PREDICTION, Flag
from xpfeh.typing import Columns
from xpfeh.xp import photometry

MAX_LOGG = 3.5
"""Replaces the cut in M_G where the distance is unknown."""


def training_cuts(features: Columns, logg: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Return which stars pass each of the paper's cuts, by the cut's name.

    Parameters
    ----------
    features : mapping of (N,) arrays
        Columns of `xpfeh.columns.FEATURES`.
    logg : (N,) float64
        Surface gravity from the labels, dex, NaN where unknown.

    Notes
    -----
    Where M_G is unknown ``logg < 3.5`` replaces the giant cut; where |Z| is unknown its cut is not evaluated.
    The names of the cuts state this, and the model's card stores them.
    """
    m_g = features["m_g"]
    distance_known = np.isfinite(m_g)
    near_plane = (features["flags"] & np.uint32(Flag.NEAR_PLANE)) > 0
    return {
        "usable spectrum": usable(features),
        "excess factor (cut 1)": photometry.passes_excess_factor(
            features["phot_bp_rp_excess_factor"], features["bp_rp0"]
        ),
        "0.7 < (BP-RP)0 < 1.9 (cut 2)": photometry.passes_colour(features["bp_rp0"]),
        f"giant: M_G, or logg < {MAX_LOGG} where M_G is unknown (cut 2)": np.where(
            distance_known, photometry.passes_giant(m_g, features["bp_rp0"]), logg < MAX_LOGG
        ),
        "|Z| > 0.2 kpc where known (cut 3)": ~near_plane,
        "|b| > 20 deg (cut 4)": np.abs(features["b"]) > 20.0,
        "E(B-V) < 0.2 (cut 5)": features["ebv"] < 0.2,
        "G0 > 6 (cut 6)": features["g0"] > 6.0,
    }


def usable(features: Columns) -> NDArray[np.bool_]:
    """Return which stars have a spectrum that a model can use."""
    return (features["flags"] & np.uint32(NO_PREDICTION)) == 0
