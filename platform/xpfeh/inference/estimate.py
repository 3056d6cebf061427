"""From features to catalog rows: the same function makes a row of the catalog and an online answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xpfeh.flags import Flag, bits
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.cuts import MAX_LOGG

_FROM_FEATURES = {
    "source_id": "source_id",
    "gl": "l",
    "gb": "b",
    "ra": "ra",
    "dec": "dec",
    "phot_bp_rp_excess_factor": "phot_bp_rp_excess_factor",
    "BP_RP0": "bp_rp0",
    "PHOT_G_MEAN_MAG": "phot_g_mean_mag",
    "M_G": "m_g",
    "EBV": "ebv",
    "rgeo": "rgeo",
}
"""The catalog's columns that features have, by the paper's names (Table 2)."""

_CANNOT_SAY = 0.75  # dex, of LOGG_err: giants and dwarfs of one colour are 1 to 3 dex apart


def estimate(features: Mapping[str, NDArray], predictor: Predictor) -> dict[str, NDArray]:
    """Return the columns of `xpfeh.columns.CATALOG` for N stars, in their order.

    A star without a usable spectrum or E(B-V) keeps its row, with NaN for what is predicted and a flag.
    """
    predicted = predictor.predict(features)
    return {
        **{name: features[feature] for name, feature in _FROM_FEATURES.items()},
        **predicted,
        "flags": features["flags"] | prediction_flags(predicted, features["m_g"], predictor.card.domain_threshold),
        "model_version": np.full(len(features["source_id"]), predictor.version, dtype=object),
    }


def prediction_flags(
    predicted: Mapping[str, NDArray], m_g: NDArray[np.float64], domain_threshold: float
) -> NDArray[np.uint32]:
    """Return the (N,) flags that a prediction decides.

    OUTSIDE_DOMAIN, and FEH_EDGE where a limit is open; and, of a star without a distance, GIANT_BY_SPECTRUM and
    NOT_GIANT if LOGG says so, CUT_NOT_EVALUATED if it cannot say.

    Parameters
    ----------
    predicted : mapping of (N,) arrays
        The predictor's columns.
    m_g : (N,) float64
        Absolute magnitude, NaN where no distance is known.
    domain_threshold : float
    """
    open_end = np.isnan(predicted["FEH_lo95"]) | np.isnan(predicted["FEH_hi95"])
    # A star that cannot be predicted has no score either: its flags are the spectrum's.
    answered = np.isfinite(predicted["domain_score"])
    no_distance = np.isnan(m_g) & answered
    says = predicted["LOGG_err"] < _CANNOT_SAY
    return bits({
        Flag.OUTSIDE_DOMAIN: predicted["domain_score"] > domain_threshold,
        Flag.FEH_EDGE: open_end & answered,
        Flag.GIANT_BY_SPECTRUM: no_distance & says,
        Flag.NOT_GIANT: no_distance & says & (predicted["LOGG"] >= MAX_LOGG),
        Flag.CUT_NOT_EVALUATED: no_distance & ~says,
    })  # fmt: skip
